"""The tables `clusterings` and `clustering_requests`, and how far the signals have moved since the last clustering."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Clustering:
    """One full clustering: when, why, of how many signals, and the figures that placing needs."""

    id: int
    at: datetime
    run_id: str | None
    reason: str
    model: str
    signals: int
    unclustered: int
    clusters: int
    figures: dict[str, Any]


class Counted(NamedTuple):
    """Live signals with a vector; fresh ones (nowhere yet); placed since; of those fitting nowhere; gone; no vector."""

    signals: int
    fresh: int
    placed: int
    unplaced: int
    gone: int
    waiting: int


class State(NamedTuple):
    """What stands for the live signals' words, for their weights, and for which of them lack a vector."""

    signals: str
    weights: str
    vectors: str


def record(
    connection: Connection,
    workspace_id: str,
    *,
    run_id: str | None,
    reason: str,
    model: str,
    signals: int,
    unclustered: int,
    clusters: int,
    figures: Mapping[str, Any],
) -> int:
    """Note a full clustering; returns its id, higher than any before."""
    return int(
        connection.execute(
            text(
                "INSERT INTO elmer.clusterings (workspace_id, run_id, reason, model, signals, unclustered, clusters, "
                "figures) VALUES (:w, :run, :reason, :model, :signals, :unclustered, :clusters, "
                "CAST(:figures AS jsonb)) RETURNING id"
            ),
            {"w": workspace_id, "run": run_id, "reason": reason, "model": model, "signals": signals,
             "unclustered": unclustered, "clusters": clusters, "figures": json.dumps(dict(figures))},
        ).scalar_one()
    )  # fmt: skip


def every(connection: Connection, workspace_id: str, limit: int = 1_000) -> list[Clustering]:
    """The clusterings made, the newest first."""
    rows = connection.execute(
        text(
            "SELECT id, at, run_id, reason, model, signals, unclustered, clusters, figures FROM elmer.clusterings "
            "WHERE workspace_id = :w ORDER BY id DESC LIMIT :n"
        ),
        {"w": workspace_id, "n": limit},
    )
    return [Clustering(*row) for row in rows]


def last(connection: Connection, workspace_id: str) -> Clustering | None:
    """The newest clustering, None before the first."""
    return next(iter(every(connection, workspace_id, 1)), None)


def ask(connection: Connection, workspace_id: str, reason: str) -> int:
    """Ask for a full clustering by the next run; `hand` or `schedule`. Returns the request's id."""
    return int(
        connection.execute(
            text("INSERT INTO elmer.clustering_requests (workspace_id, reason) VALUES (:w, :r) RETURNING id"),
            {"w": workspace_id, "r": reason},
        ).scalar_one()
    )


def last_request(connection: Connection, workspace_id: str) -> tuple[int, str | None]:
    """The newest request's id and reason; 0 and None where there never was one."""
    row = connection.execute(
        text("SELECT id, reason FROM elmer.clustering_requests WHERE workspace_id = :w ORDER BY id DESC LIMIT 1"),
        {"w": workspace_id},
    ).one_or_none()
    return (0, None) if row is None else (int(row.id), str(row.reason))


def state(connection: Connection, workspace_id: str, model: str) -> State:
    """How the signals stand, in one scan and a few bytes: 100,000 signals need no 100,000 rows to see a change."""
    row = connection.execute(
        text(
            """
            SELECT count(*) || ':' || coalesce(sum(hashtextextended(concat_ws(chr(31), s.id, s.text_hash), 0)::numeric
                       + hashtextextended(concat_ws(chr(31), s.id, s.text_hash), 1)::numeric * 4294967311), 0) AS words,
                   coalesce(sum(hashtextextended(concat_ws(chr(31), s.id,
                       coalesce(s.edits->>'severity', s.severity, ''),
                       coalesce(s.edits->>'frequency', s.frequency, '')), 0)::numeric), 0)::text AS weights,
                   count(*) FILTER (WHERE e.text_hash IS NULL) || ':' || coalesce(sum(
                       hashtextextended(s.id, 0)::numeric) FILTER (WHERE e.text_hash IS NULL), 0) AS vectors
            FROM elmer.signals s
            LEFT JOIN elmer.embeddings e
                ON e.workspace_id = s.workspace_id AND e.model = :m AND e.text_hash = s.text_hash
            WHERE s.workspace_id = :w AND s.retired_at IS NULL
            """
        ),
        {"w": workspace_id, "m": model},
    ).one()
    return State(row.words, row.weights, row.vectors)


def counted(connection: Connection, workspace_id: str, model: str) -> Counted:
    """How far the signals have moved since the last clustering."""
    row = connection.execute(
        text(
            """
            SELECT count(*) FILTER (WHERE s.live AND s.has) AS signals,
                   count(*) FILTER (WHERE s.live AND s.has AND m.text_hash IS DISTINCT FROM s.text_hash) AS fresh,
                   count(*) FILTER (WHERE s.live AND m.placed_by = 'neighbours') AS placed,
                   count(*) FILTER (WHERE s.live AND m.placed_by = 'neighbours' AND m.cluster_id IS NULL) AS unplaced,
                   count(*) FILTER (WHERE NOT s.live AND m.signal_id IS NOT NULL) AS gone,
                   count(*) FILTER (WHERE s.live AND NOT s.has) AS waiting
            FROM (SELECT i.workspace_id, i.id, i.text_hash, i.retired_at IS NULL AS live,
                         e.text_hash IS NOT NULL AS has
                  FROM elmer.signals i LEFT JOIN elmer.embeddings e
                      ON e.workspace_id = i.workspace_id AND e.model = :m AND e.text_hash = i.text_hash
                  WHERE i.workspace_id = :w) s
            LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id
            """
        ),
        {"w": workspace_id, "m": model},
    ).one()
    return Counted(*(int(one) for one in row))
