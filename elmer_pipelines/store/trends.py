"""The table `cluster_trends`, the dated signals it is counted from, and `notices`: what people are told of it, once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Dated:
    """A live signal with a date (of the words, else of the document), and the live clusters it is in, None where none.

    `need` is inside `theme`, `theme` inside `area`.
    """

    signal_id: str
    document_id: str
    at: datetime
    area: str | None
    theme: str | None
    need: str | None


@dataclass(frozen=True)
class Notice:
    """Something about a cluster in the week that begins with this Monday, or on this day; `kind` says what."""

    cluster_id: str
    week: date
    message: str
    detail: dict[str, Any]
    kind: str


def dated(connection: Connection, workspace_id: str) -> list[Dated]:
    """Every live signal that has a date, by id."""
    rows = connection.execute(
        text(
            "SELECT s.id, s.document_id, coalesce(s.occurred_at, v.occurred_at) AS at, a.id AS area, t.id AS theme, "
            "n.id AS need FROM elmer.signals s "
            "JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id "
            "AND v.content_hash = s.content_hash "
            "LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id "
            "LEFT JOIN elmer.clusters t ON t.workspace_id = s.workspace_id AND t.id = m.cluster_id "
            "AND t.ended_at IS NULL "
            "LEFT JOIN elmer.clusters a ON a.workspace_id = s.workspace_id AND a.id = t.parent_id "
            "AND a.ended_at IS NULL "
            "LEFT JOIN elmer.clusters n ON n.workspace_id = s.workspace_id AND n.id = m.need_id "
            "AND n.ended_at IS NULL "
            "WHERE s.workspace_id = :w AND s.retired_at IS NULL "
            "AND coalesce(s.occurred_at, v.occurred_at) IS NOT NULL ORDER BY s.id"
        ),
        {"w": workspace_id},
    )
    return [Dated(*row) for row in rows]


def live(connection: Connection, workspace_id: str) -> dict[str, str]:
    """The level of every live cluster, by id."""
    rows = connection.execute(
        text("SELECT id, level FROM elmer.clusters WHERE workspace_id = :w AND ended_at IS NULL ORDER BY id"),
        {"w": workspace_id},
    )
    return {row.id: row.level for row in rows}


def replace_trends(connection: Connection, workspace_id: str, trends: Sequence[Mapping[str, Any]]) -> None:
    """Make these the trends: each has `cluster_id`, `verdict`, `weeks` and `arithmetic` (JSON values)."""
    connection.execute(text("DELETE FROM elmer.cluster_trends WHERE workspace_id = :w"), {"w": workspace_id})
    if trends:
        connection.execute(
            text(
                "INSERT INTO elmer.cluster_trends (workspace_id, cluster_id, verdict, weeks, arithmetic) "
                "VALUES (:w, :cluster_id, :verdict, CAST(:weeks AS jsonb), CAST(:arithmetic AS jsonb))"
            ),
            [
                {"w": workspace_id, "cluster_id": one["cluster_id"], "verdict": one["verdict"],
                 "weeks": json.dumps(one["weeks"]), "arithmetic": json.dumps(one["arithmetic"])}
                for one in trends
            ],
        )  # fmt: skip


def trends(connection: Connection, workspace_id: str, level: str = "theme") -> list[dict[str, Any]]:
    """The trends of the live clusters of a level, the largest first: cluster_id, theme, size, verdict, weeks, …"""
    rows = connection.execute(
        text(
            "SELECT c.id AS cluster_id, coalesce(c.human_theme, c.theme) AS theme, c.size, t.verdict, t.weeks, "
            "t.arithmetic FROM elmer.clusters c JOIN elmer.cluster_trends t "
            "ON t.workspace_id = c.workspace_id AND t.cluster_id = c.id "
            "WHERE c.workspace_id = :w AND c.level = :level AND c.ended_at IS NULL ORDER BY c.size DESC, c.id"
        ),
        {"w": workspace_id, "level": level},
    )
    return [dict(row) for row in rows.mappings()]


def note(connection: Connection, workspace_id: str, notices: Sequence[Notice], *, quiet_since: date) -> int:
    """Keep what people are to be told, but for clusters of which they were told in the weeks from `quiet_since` on.

    Returns how many are new.
    """
    new = 0
    for one in notices:
        new += connection.execute(
            text(
                "INSERT INTO elmer.notices (workspace_id, cluster_id, week, message, detail, kind) "
                "SELECT :w, :c, :week, :message, CAST(:detail AS jsonb), :kind WHERE NOT EXISTS (SELECT FROM "
                "elmer.notices WHERE workspace_id = :w AND cluster_id = :c AND kind = :kind AND week >= :since) "
                "ON CONFLICT DO NOTHING"
            ),
            {
                "w": workspace_id, "c": one.cluster_id, "week": one.week, "message": one.message,
                "detail": json.dumps(one.detail), "since": quiet_since, "kind": one.kind,
            },
        ).rowcount  # fmt: skip
    return new


def untold(connection: Connection, workspace_id: str) -> list[Notice]:
    """Notices nobody has been told yet, oldest first, locked until the transaction ends: others don't see them."""
    rows = connection.execute(
        text(
            "SELECT cluster_id, week, message, detail, kind FROM elmer.notices "
            "WHERE workspace_id = :w AND told_at IS NULL ORDER BY week, cluster_id, kind FOR UPDATE SKIP LOCKED"
        ),
        {"w": workspace_id},
    )
    return [Notice(*row) for row in rows]


def told(connection: Connection, workspace_id: str, notice: Notice) -> None:
    """People have been told."""
    connection.execute(
        text(
            "UPDATE elmer.notices SET told_at = now() "
            "WHERE workspace_id = :w AND cluster_id = :c AND week = :week AND kind = :kind"
        ),
        {"w": workspace_id, "c": notice.cluster_id, "week": notice.week, "kind": notice.kind},
    )
