"""The table `initiatives`: what was decided about each cluster, and the clusters as that decision needs them.

The rule that decides is in `projects/initiatives.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

ACTED = ("created", "linked")


@dataclass(frozen=True)
class ClusterState:
    """A cluster that has not ended: `members` maps its live signals to their similarity to the cluster.

    `voices` counts them with each group of duplicates as one.
    """

    id: str
    theme: str | None
    summary: str | None
    terms: tuple[str, ...]
    severity: str | None
    confidence: float | None
    suggested_action: str | None
    suggested_project_id: str | None
    members: dict[str, float | None]
    voices: int


@dataclass(frozen=True)
class Decision:
    """What was decided about a cluster and when.

    `action`: created (a project was made), linked (the rest was linked to a project there was), link_existing or
    suggested (for a person to do), postponed (the day's limit or the cooldown), or below (the thresholds).
    """

    cluster_id: str
    action: str
    reason: str
    project_id: str | None = None
    decided_at: datetime | None = None


def clusters(connection: Connection, workspace_id: str) -> list[ClusterState]:
    """Every cluster that has not ended and has live signals, the largest first."""
    rows = connection.execute(
        text(
            """
            SELECT c.id, coalesce(c.human_theme, c.theme) AS theme, c.summary, c.terms, c.severity, c.confidence,
                   c.suggested_action, c.suggested_project_id,
                   array_agg(m.signal_id ORDER BY m.signal_id) AS ids,
                   array_agg(m.similarity ORDER BY m.signal_id) AS similarities,
                   count(DISTINCT coalesce(u.group_id, s.id)) AS voices
            FROM elmer.clusters c
            JOIN elmer.cluster_members m ON m.workspace_id = c.workspace_id AND m.cluster_id = c.id
            JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id
            LEFT JOIN elmer.duplicate_signals u ON u.workspace_id = s.workspace_id AND u.signal_id = s.id
            WHERE c.workspace_id = :w AND c.ended_at IS NULL AND s.retired_at IS NULL AND s.merged_into IS NULL
            GROUP BY c.workspace_id, c.id ORDER BY count(*) DESC, c.id
            """
        ),
        {"w": workspace_id},
    )
    return [
        ClusterState(
            row.id, row.theme, row.summary, tuple(str(term) for term in row.terms), row.severity, row.confidence,
            row.suggested_action, row.suggested_project_id, dict(zip(row.ids, row.similarities, strict=True)),
            row.voices,
        )
        for row in rows
    ]  # fmt: skip


def named_links(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """Of every live signal, the live named projects it is linked to."""
    rows = connection.execute(
        text(
            "SELECT l.signal_id, l.project_id FROM elmer.signal_links l "
            "JOIN elmer.projects p ON p.workspace_id = l.workspace_id AND p.id = l.project_id "
            "WHERE l.workspace_id = :w AND p.origin = 'named' AND p.retired_at IS NULL AND l.method <> 'cluster' "
            "ORDER BY 1, 2"
        ),
        {"w": workspace_id},
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.signal_id, []).append(row.project_id)
    return found


def orphaned_links(connection: Connection, workspace_id: str) -> dict[str, list[str]]:
    """Of every signal, the initiatives it is linked to none of whose clusters lives any more."""
    rows = connection.execute(
        text(
            "SELECT l.signal_id, l.project_id FROM elmer.signal_links l JOIN elmer.projects p "
            "ON p.workspace_id = l.workspace_id AND p.id = l.project_id AND p.origin = 'initiative' "
            "WHERE l.workspace_id = :w AND l.method = 'cluster' AND NOT EXISTS (SELECT FROM elmer.initiatives i "
            "JOIN elmer.clusters c ON c.workspace_id = i.workspace_id AND c.id = i.cluster_id AND c.ended_at IS NULL "
            "WHERE i.workspace_id = l.workspace_id AND i.project_id = l.project_id) ORDER BY 1, 2"
        ),
        {"w": workspace_id},
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.signal_id, []).append(row.project_id)
    return found


def retire_unheard(connection: Connection, workspace_id: str) -> int:
    """Retire initiatives that no live signal is linked to any more; returns how many."""
    retired = connection.execute(
        text(
            "UPDATE elmer.projects p SET retired_at = now(), updated_at = now() "
            "WHERE p.workspace_id = :w AND p.origin = 'initiative' AND p.retired_at IS NULL AND NOT EXISTS "
            "(SELECT FROM elmer.signal_links l JOIN elmer.signals s ON s.workspace_id = l.workspace_id "
            "AND s.id = l.signal_id WHERE l.workspace_id = p.workspace_id AND l.project_id = p.id "
            "AND s.retired_at IS NULL)"
        ),
        {"w": workspace_id},
    )
    return retired.rowcount


def decisions(connection: Connection, workspace_id: str) -> dict[str, Decision]:
    """The last decision about each cluster."""
    rows = connection.execute(
        text(
            "SELECT cluster_id, action, reason, project_id, decided_at FROM elmer.initiatives "
            "WHERE workspace_id = :w ORDER BY cluster_id"
        ),
        {"w": workspace_id},
    )
    return {row.cluster_id: Decision(*row) for row in rows}


def record(connection: Connection, workspace_id: str, decision: Decision, at: datetime) -> None:
    """Keep a decision; where nothing but the time differs from the last one, the last one's time stays."""
    connection.execute(
        text(
            "INSERT INTO elmer.initiatives AS i (workspace_id, cluster_id, project_id, action, reason, decided_at) "
            "VALUES (:w, :cluster_id, :project_id, :action, :reason, :at) "
            "ON CONFLICT (workspace_id, cluster_id) DO UPDATE SET project_id = excluded.project_id, "
            "action = excluded.action, reason = excluded.reason, decided_at = excluded.decided_at "
            "WHERE (i.project_id, i.action, i.reason) IS DISTINCT FROM "
            "(excluded.project_id, excluded.action, excluded.reason)"
        ),
        {"w": workspace_id, **decision.__dict__, "at": at},
    )


def overview(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Every decision with the cluster's theme and the project's name, for people."""
    rows = connection.execute(
        text(
            "SELECT i.cluster_id, coalesce(c.human_theme, c.theme) AS theme, c.size, i.action, p.name AS project, "
            "i.project_id, i.reason, i.decided_at FROM elmer.initiatives i "
            "JOIN elmer.clusters c ON c.workspace_id = i.workspace_id AND c.id = i.cluster_id "
            "LEFT JOIN elmer.projects p ON p.workspace_id = i.workspace_id AND p.id = i.project_id "
            "WHERE i.workspace_id = :w ORDER BY c.size DESC, i.cluster_id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]
