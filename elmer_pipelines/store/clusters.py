"""The tables `clusters`, `cluster_members`, `cluster_events` and `cluster_trends`.

`clusters.human_theme` is written by `name_by_person` only (I5); ended clusters stay, with the date of their end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True)
class ClusterRow:
    """What a clustering writes of one cluster."""

    id: str
    size: int
    severity: str | None
    frequency: str | None
    confidence: float | None
    suggested_action: str | None


@dataclass(frozen=True)
class Member:
    """Where a signal belongs: a cluster, or None with the nearest one; cosine similarity to that cluster's centre."""

    signal_id: str
    cluster_id: str | None
    nearest_id: str | None
    similarity: float | None


def membership(connection: Connection, workspace_id: str) -> dict[str, str]:
    """The cluster of every clustered live signal."""
    rows = connection.execute(
        text(
            "SELECT m.signal_id, m.cluster_id FROM elmer.cluster_members m JOIN elmer.signals s "
            "ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "WHERE m.workspace_id = :w AND m.cluster_id IS NOT NULL AND s.retired_at IS NULL"
        ),
        {"w": workspace_id},
    )
    return {row.signal_id: row.cluster_id for row in rows}


def known_ids(connection: Connection, workspace_id: str) -> set[str]:
    """Every cluster id ever used in the workspace, ended ones included."""
    rows = connection.execute(text("SELECT id FROM elmer.clusters WHERE workspace_id = :w"), {"w": workspace_id})
    return set(rows.scalars())


def replace_members(connection: Connection, workspace_id: str, members: Sequence[Member]) -> None:
    """Make `members` the whole membership of the workspace."""
    connection.execute(text("DELETE FROM elmer.cluster_members WHERE workspace_id = :w"), {"w": workspace_id})
    for start in range(0, len(members), 5_000):
        connection.execute(
            text(
                "INSERT INTO elmer.cluster_members (workspace_id, signal_id, cluster_id, nearest_id, similarity) "
                "SELECT :w, r.signal_id, r.cluster_id, r.nearest_id, r.similarity FROM jsonb_to_recordset("
                "CAST(:rows AS jsonb)) AS r (signal_id text, cluster_id text, nearest_id text, similarity float)"
            ),
            {"w": workspace_id, "rows": json.dumps([one.__dict__ for one in members[start : start + 5_000]])},
        )


def save(connection: Connection, workspace_id: str, rows: Sequence[ClusterRow]) -> None:
    """Save `rows` as the clusters there are now; all others end. Themes stay until they are named again."""
    if rows:
        connection.execute(
            text(
                "INSERT INTO elmer.clusters (workspace_id, id, size, severity, frequency, confidence, "
                "suggested_action) VALUES (:w, :id, :size, :severity, :frequency, :confidence, :suggested_action) "
                "ON CONFLICT (workspace_id, id) DO UPDATE SET size = excluded.size, severity = excluded.severity, "
                "frequency = excluded.frequency, confidence = excluded.confidence, "
                "suggested_action = excluded.suggested_action, updated_at = now(), ended_at = NULL"
            ),
            [{**row.__dict__, "w": workspace_id} for row in rows],
        )
    connection.execute(
        text(
            "UPDATE elmer.clusters SET ended_at = now(), updated_at = now() "
            "WHERE workspace_id = :w AND ended_at IS NULL AND NOT (id = ANY(:ids))"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": [row.id for row in rows]},
    )


def note_events(connection: Connection, workspace_id: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Add to the history: each event has `cluster_id`, `event` and a `detail` of JSON values."""
    if events:
        connection.execute(
            text(
                "INSERT INTO elmer.cluster_events (workspace_id, cluster_id, event, detail) "
                "VALUES (:w, :cluster_id, :event, CAST(:detail AS jsonb))"
            ),
            [
                {"w": workspace_id, "cluster_id": one["cluster_id"], "event": one["event"],
                 "detail": json.dumps(one["detail"])}
                for one in events
            ],
        )  # fmt: skip


def history(connection: Connection, workspace_id: str, cluster_id: str) -> list[dict[str, Any]]:
    """What happened to a cluster: at, event, detail, oldest first."""
    rows = connection.execute(
        text(
            "SELECT at, event, detail FROM elmer.cluster_events WHERE workspace_id = :w AND cluster_id = :c ORDER BY id"
        ),
        {"w": workspace_id, "c": cluster_id},
    )
    return [dict(row) for row in rows.mappings()]


def live(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Clusters that have not ended, largest first; `theme` is the person's where there is one."""
    rows = connection.execute(
        text(
            "SELECT c.id, coalesce(c.human_theme, c.theme) AS theme, c.summary, c.size, c.severity, c.frequency, "
            "c.confidence, c.suggested_action, c.terms, c.central_signal_ids, c.named_by, "
            "c.human_theme IS NOT NULL AS named_by_person, t.verdict AS trend, c.created_at, c.updated_at "
            "FROM elmer.clusters c LEFT JOIN elmer.cluster_trends t "
            "ON t.workspace_id = c.workspace_id AND t.cluster_id = c.id "
            "WHERE c.workspace_id = :w AND c.ended_at IS NULL ORDER BY c.size DESC, c.id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def members_of(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """The live signals of every live cluster, those nearest to its centre first."""
    rows = connection.execute(
        text(
            "SELECT m.cluster_id, m.signal_id FROM elmer.cluster_members m JOIN elmer.signals s "
            "ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "WHERE m.workspace_id = :w AND m.cluster_id IS NOT NULL AND s.retired_at IS NULL "
            "ORDER BY m.cluster_id, m.similarity DESC NULLS LAST, m.signal_id"
        ),
        {"w": workspace_id},
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.cluster_id, []).append(row.signal_id)
    return found


def name(
    connection: Connection,
    workspace_id: str,
    cluster_id: str,
    *,
    theme: str,
    summary: str,
    terms: Sequence[str],
    central_signal_ids: Sequence[str],
    named_by: str,
) -> None:
    """Save the machine's theme of a cluster."""
    connection.execute(
        text(
            "UPDATE elmer.clusters SET theme = :theme, summary = :summary, terms = CAST(:terms AS jsonb), "
            "central_signal_ids = CAST(:central AS jsonb), named_by = :by, updated_at = now() "
            "WHERE workspace_id = :w AND id = :c"
        ),
        {
            "w": workspace_id, "c": cluster_id, "theme": theme, "summary": summary, "by": named_by,
            "terms": json.dumps(list(terms)), "central": json.dumps(list(central_signal_ids)),
        },
    )  # fmt: skip


def name_by_person(connection: Connection, workspace_id: str, cluster_id: str, theme: str | None) -> bool:
    """Give a cluster the name a person chose, or take it back with None; False where there is no such cluster."""
    done = connection.execute(
        text("UPDATE elmer.clusters SET human_theme = :t WHERE workspace_id = :w AND id = :c"),
        {"w": workspace_id, "c": cluster_id, "t": theme},
    )
    return bool(done.rowcount)


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


def unclustered(connection: Connection, workspace_id: str) -> int:
    """How many live signals are in no cluster."""
    return int(
        connection.execute(
            text(
                "SELECT count(*) FROM elmer.cluster_members m JOIN elmer.signals s "
                "ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
                "WHERE m.workspace_id = :w AND m.cluster_id IS NULL AND s.retired_at IS NULL"
            ),
            {"w": workspace_id},
        ).scalar_one()
    )
