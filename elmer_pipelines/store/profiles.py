"""What clusters amount to, summed up from their signals: documents, kinds, segments, dates; and what changed last.

Only reads; names are in `themes.py`, trends in `trends.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.store.clusters import Level

NOTHING: dict[str, Any] = {
    "documents": 0, "kinds": {}, "segments": {}, "first_heard": None, "last_heard": None, "weeks": {},
}  # fmt: skip
_OF = {"area": "t.parent_id", "theme": "m.cluster_id", "need": "m.need_id"}


def of_level(connection: Connection, workspace_id: str, level: Level = "theme") -> dict[str, dict[str, Any]]:
    """Of every cluster of a level, by id, what NOTHING names: `weeks` maps Mondays in ISO form to signals."""
    rows = connection.execute(
        text(
            f"""
            WITH voices AS (
                SELECT {_OF[level]} AS cluster_id, s.document_id, v.kind,
                       coalesce(s.edits->>'segment', s.segment) AS segment,
                       coalesce(s.occurred_at, v.occurred_at) AS at
                FROM elmer.cluster_members m
                JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id
                JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id
                     AND v.content_hash = s.content_hash
                LEFT JOIN elmer.clusters t ON t.workspace_id = m.workspace_id AND t.id = m.cluster_id
                WHERE m.workspace_id = :w AND s.retired_at IS NULL AND {_OF[level]} IS NOT NULL
            ), sums AS (
                SELECT cluster_id, count(DISTINCT document_id) AS documents, min(at) AS first_heard,
                       max(at) AS last_heard FROM voices GROUP BY 1
            ), counted AS (
                SELECT cluster_id, 'kinds' AS what, kind AS name, count(*) AS number FROM voices
                WHERE kind IS NOT NULL GROUP BY 1, 3
                UNION ALL
                SELECT cluster_id, 'segments', segment, count(*) FROM voices WHERE segment IS NOT NULL GROUP BY 1, 3
                UNION ALL
                SELECT cluster_id, 'weeks', to_char(date_trunc('week', at AT TIME ZONE 'UTC'), 'YYYY-MM-DD'), count(*)
                FROM voices WHERE at IS NOT NULL GROUP BY 1, 3
            )
            SELECT s.*, c.what, c.name, c.number FROM sums s LEFT JOIN counted c USING (cluster_id)
            ORDER BY s.cluster_id, c.what, CASE c.what WHEN 'weeks' THEN 0 ELSE -c.number END, c.name
            """  # noqa: S608 - only names of this module are put in
        ),
        {"w": workspace_id},
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(
            row.cluster_id,
            {
                "documents": row.documents, "kinds": {}, "segments": {}, "first_heard": row.first_heard,
                "last_heard": row.last_heard, "weeks": {},
            },
        )  # fmt: skip
        if row.what is not None:
            one[row.what][row.name] = row.number
    return found


def clustered(connection: Connection, workspace_id: str) -> tuple[int, int]:
    """How many live signals are in a cluster, and how many there are."""
    row = connection.execute(
        text(
            "SELECT count(m.cluster_id), count(*) FROM elmer.signals s LEFT JOIN elmer.cluster_members m "
            "ON m.workspace_id = s.workspace_id AND m.signal_id = s.id "
            "WHERE s.workspace_id = :w AND s.retired_at IS NULL"
        ),
        {"w": workspace_id},
    ).one()
    return int(row[0]), int(row[1])


def last_events(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """What the last full clustering did, rows of one transaction: at, cluster_id, event, detail, level, theme,
    named_by_person."""
    rows = connection.execute(
        text(
            "WITH last AS (SELECT coalesce((SELECT max(at) FROM elmer.clusterings WHERE workspace_id = :w), "
            "(SELECT max(at) FROM elmer.cluster_events WHERE workspace_id = :w)) AS at) "
            "SELECT e.at, e.cluster_id, e.event, e.detail, c.level, coalesce(c.human_theme, c.theme) AS theme, "
            "c.human_theme IS NOT NULL AS named_by_person "
            "FROM elmer.cluster_events e JOIN last USING (at) LEFT JOIN elmer.clusters c "
            "ON c.workspace_id = e.workspace_id AND c.id = e.cluster_id WHERE e.workspace_id = :w ORDER BY e.id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def last_clustering(connection: Connection, workspace_id: str) -> dict[str, Any] | None:
    """The figures of the last full clustering; None where there was none."""
    row = connection.execute(
        text("SELECT figures FROM elmer.clusterings WHERE workspace_id = :w ORDER BY id DESC LIMIT 1"),
        {"w": workspace_id},
    ).one_or_none()
    return None if row is None else dict(row.figures)
