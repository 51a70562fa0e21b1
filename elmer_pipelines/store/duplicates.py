"""The tables `duplicate_signals` and `duplicate_merges`: groups of signals that say the same, and what people merged.

A merged signal stays a row, verbatim; `signals.merged_into` names the one that speaks for it, and every list that
counts voices leaves it out. How groups are found is in `signals/duplicates.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

_BATCH = 5_000


class Merge(NamedTuple):
    """A merge that was made: its id, the signal kept, and those that it speaks for since."""

    id: str
    kept_id: str
    merged_ids: list[str]


def replace_groups(connection: Connection, workspace_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make these the groups: each row has `signal_id`, `group_id` and `similarity`."""
    connection.execute(text("DELETE FROM elmer.duplicate_signals WHERE workspace_id = :w"), {"w": workspace_id})
    for start in range(0, len(rows), _BATCH):
        connection.execute(
            text(
                "INSERT INTO elmer.duplicate_signals (workspace_id, signal_id, group_id, similarity) "
                "SELECT :w, r.signal_id, r.group_id, r.similarity FROM jsonb_to_recordset(CAST(:rows AS jsonb)) "
                "AS r (signal_id text, group_id text, similarity float)"
            ),
            {"w": workspace_id, "rows": json.dumps([dict(one) for one in rows[start : start + _BATCH]])},
        )


def group_of(connection: Connection, workspace_id: str) -> dict[str, str]:
    """The group of every signal that is in one."""
    rows = connection.execute(
        text("SELECT signal_id, group_id FROM elmer.duplicate_signals WHERE workspace_id = :w ORDER BY signal_id"),
        {"w": workspace_id},
    )
    return {row.signal_id: row.group_id for row in rows}


def count(connection: Connection, workspace_id: str) -> dict[str, int]:
    """How many groups there are, how many live signals are in them, and how many of these a person merged."""
    row = connection.execute(
        text(
            "SELECT count(DISTINCT d.group_id), count(*), count(s.merged_into) FROM elmer.duplicate_signals d "
            "JOIN elmer.signals s ON s.workspace_id = d.workspace_id AND s.id = d.signal_id "
            "WHERE d.workspace_id = :w AND s.retired_at IS NULL"
        ),
        {"w": workspace_id},
    ).one()
    return {"groups": row[0], "signals_in_groups": row[1], "merged": row[2]}


def groups(
    connection: Connection, workspace_id: str, limit: int | None = None, group_id: str | None = None
) -> list[dict[str, Any]]:
    """Groups with two live signals or more, the largest first.

    Keys: group, signals (ids, the oldest first), said (how many), voices (how many speak for themselves), merged,
    similarity (the lowest of the group), quote (of the oldest that speaks for itself), sources (documents).
    """
    rows = connection.execute(
        text(
            """
            WITH members AS (
                SELECT d.group_id, d.similarity, s.id, s.verbatim, s.merged_into, s.document_id,
                       row_number() OVER (PARTITION BY d.group_id ORDER BY s.merged_into IS NOT NULL,
                           coalesce(s.occurred_at, v.occurred_at), s.created_at, s.id) AS place
                FROM elmer.duplicate_signals d
                JOIN elmer.signals s ON s.workspace_id = d.workspace_id AND s.id = d.signal_id
                JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id
                     AND v.content_hash = s.content_hash
                WHERE d.workspace_id = :w AND s.retired_at IS NULL
                  AND (CAST(:group AS text) IS NULL OR d.group_id = :group)
            )
            SELECT group_id AS "group", array_agg(id ORDER BY place) AS signals, count(*) AS said,
                   count(*) - count(merged_into) AS voices, count(merged_into) AS merged,
                   min(similarity) AS similarity, min(verbatim) FILTER (WHERE place = 1) AS quote,
                   count(DISTINCT document_id) AS sources
            FROM members GROUP BY group_id HAVING count(*) > 1
            ORDER BY count(*) DESC, group_id LIMIT :limit
            """
        ),
        {"w": workspace_id, "group": group_id, "limit": limit},
    )
    return [dict(row) for row in rows.mappings()]


def merge(connection: Connection, workspace_id: str, group_id: str, kept_id: str, merged: Sequence[str]) -> Merge:
    """Let `kept_id` speak for these signals, and for those that they spoke for; what changes is kept for `undo`.

    They leave their clusters, whose sizes follow; links of theirs that a person made become links of the kept one.
    """
    ids = sorted(set(merged) - {kept_id})
    values = {"w": workspace_id, "kept": kept_id, "ids": ids}
    changed = [dict(row) for row in connection.execute(_TO_MERGE, values).mappings()]
    carried = list(
        connection.execute(_CARRY_LINKS, {**values, "reason": f"Carried over by merging into {kept_id}."}).scalars()
    )
    everyone = [one["id"] for one in changed]
    connection.execute(_POINT, {**values, "ids": everyone})
    _leave_clusters(connection, workspace_id, everyone)
    merge_id = stable_id("M", workspace_id, kept_id, *everyone)
    connection.execute(
        text(
            "INSERT INTO elmer.duplicate_merges (workspace_id, id, group_id, kept_id, signals) "
            "VALUES (:w, :id, :group, :kept, CAST(:signals AS jsonb)) ON CONFLICT (workspace_id, id) DO UPDATE SET "
            "number = DEFAULT, group_id = excluded.group_id, signals = excluded.signals, merged_at = now(), "
            "undone_at = NULL"
        ),
        {"w": workspace_id, "id": merge_id, "group": group_id, "kept": kept_id,
         "signals": json.dumps({"changed": changed, "carried": carried})},
    )  # fmt: skip
    return Merge(merge_id, kept_id, everyone)


_IDS = bindparam("ids", type_=ARRAY(Text))
_TO_MERGE = text(
    """
    SELECT s.id, s.merged_into AS before,
           CASE WHEN m.signal_id IS NOT NULL THEN to_jsonb(m) - 'workspace_id' END AS member
    FROM elmer.signals s LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id
    WHERE s.workspace_id = :w AND (s.id = ANY(:ids) OR s.merged_into = ANY(:ids)) AND s.id <> :kept ORDER BY s.id
    """
).bindparams(_IDS)
_CARRY_LINKS = text(
    """
    INSERT INTO elmer.signal_links (workspace_id, signal_id, project_id, method, reason)
    SELECT DISTINCT :w, :kept, project_id, 'human', :reason FROM elmer.signal_links
    WHERE workspace_id = :w AND signal_id = ANY(:ids) AND method = 'human'
    ON CONFLICT DO NOTHING RETURNING project_id
    """
).bindparams(_IDS)
_POINT = text(
    "UPDATE elmer.signals SET merged_into = :kept, updated_at = now() WHERE workspace_id = :w AND id = ANY(:ids)"
).bindparams(_IDS)


def _leave_clusters(connection: Connection, workspace_id: str, ids: Sequence[str]) -> None:
    left = connection.execute(
        text(
            "DELETE FROM elmer.cluster_members WHERE workspace_id = :w AND signal_id = ANY(:ids) RETURNING cluster_id"
        ).bindparams(_IDS),
        {"w": workspace_id, "ids": list(ids)},
    )
    _count_again(connection, workspace_id, set(left.scalars()))


def _count_again(connection: Connection, workspace_id: str, clusters: set[str | None]) -> None:
    connection.execute(
        text(
            "UPDATE elmer.clusters c SET size = (SELECT count(*) FROM elmer.cluster_members m "
            "WHERE m.workspace_id = c.workspace_id AND m.cluster_id = c.id) WHERE c.workspace_id = :w "
            "AND c.id = ANY(:ids) AND c.ended_at IS NULL"
        ).bindparams(_IDS),
        {"w": workspace_id, "ids": sorted(one for one in clusters if one is not None)},
    )


def merges(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Merges that were not undone, the newest first: merge, group, kept, merged (ids), merged_at."""
    rows = connection.execute(
        text(
            'SELECT id AS merge, group_id AS "group", kept_id AS kept, merged_at, '
            "ARRAY(SELECT jsonb_array_elements(signals->'changed')->>'id') AS merged FROM elmer.duplicate_merges "
            "WHERE workspace_id = :w AND undone_at IS NULL ORDER BY number DESC"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def undo(connection: Connection, workspace_id: str, merge_id: str) -> Merge | None:
    """Put everything back as it was before a merge; None where there is no such merge that stands.

    A later merge of the same signals has to be undone first: see `later_merges`.
    """
    row = connection.execute(
        text(
            "UPDATE elmer.duplicate_merges SET undone_at = now() WHERE workspace_id = :w AND id = :id "
            "AND undone_at IS NULL RETURNING kept_id, signals"
        ),
        {"w": workspace_id, "id": merge_id},
    ).first()
    if row is None:
        return None
    changed = row.signals["changed"]
    values = {"w": workspace_id, "rows": json.dumps(changed), "kept": row.kept_id, "ids": row.signals["carried"]}
    connection.execute(_POINT_BACK, values)
    connection.execute(_DROP_CARRIED, values)
    connection.execute(_BACK_INTO_CLUSTERS, values)
    _count_again(connection, workspace_id, {(one["member"] or {}).get("cluster_id") for one in changed})
    hand_over(connection, workspace_id)
    return Merge(merge_id, row.kept_id, [one["id"] for one in changed])


# The kept one speaks for itself again too: where its source went away meanwhile, another of them spoke for all.
_POINT_BACK = text(
    "UPDATE elmer.signals s SET merged_into = r.before, updated_at = now() FROM ("
    "SELECT id, before FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id text, before text) "
    "UNION ALL SELECT :kept, NULL) r WHERE s.workspace_id = :w AND s.id = r.id"
)
_DROP_CARRIED = text(
    "DELETE FROM elmer.signal_links WHERE workspace_id = :w AND signal_id = :kept AND project_id = ANY(:ids) "
    "AND reason = 'Carried over by merging into ' || :kept || '.'"
).bindparams(_IDS)
_BACK_INTO_CLUSTERS = text(
    """
    INSERT INTO elmer.cluster_members (workspace_id, signal_id, cluster_id, nearest_id, similarity)
    SELECT :w, s.id, c.id, r.member->>'nearest_id', CAST(r.member->>'similarity' AS float)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id text, member jsonb)
    JOIN elmer.signals s ON s.workspace_id = :w AND s.id = r.id
    LEFT JOIN elmer.clusters c ON c.workspace_id = :w AND c.id = r.member->>'cluster_id' AND c.ended_at IS NULL
    WHERE r.member IS NOT NULL AND jsonb_typeof(r.member) = 'object' ON CONFLICT DO NOTHING
    """
)


def later_merges(connection: Connection, workspace_id: str, merge_id: str) -> list[str]:
    """Merges that stand on this one: newer ones, not undone, of signals that it changed or kept."""
    rows = connection.execute(
        text(
            "WITH own AS (SELECT number, kept_id, jsonb_path_query_array(signals, '$.changed[*].id') AS ids "
            "FROM elmer.duplicate_merges WHERE workspace_id = :w AND id = :id) "
            "SELECT l.id FROM elmer.duplicate_merges l, own o WHERE l.workspace_id = :w AND l.undone_at IS NULL "
            "AND l.number > o.number AND EXISTS (SELECT FROM jsonb_array_elements(l.signals->'changed') c "
            "WHERE o.ids ? (c->>'id') OR c->>'id' = o.kept_id) ORDER BY l.number DESC"
        ),
        {"w": workspace_id, "id": merge_id},
    )
    return list(rows.scalars())


def hand_over(connection: Connection, workspace_id: str) -> int:
    """Let the oldest of those merged speak where the kept signal's source is gone; returns how many rows changed."""
    return connection.execute(
        text(
            """
            WITH gone AS (
                SELECT DISTINCT s.merged_into AS id FROM elmer.signals s
                LEFT JOIN elmer.signals k ON k.workspace_id = s.workspace_id AND k.id = s.merged_into
                WHERE s.workspace_id = :w AND s.merged_into IS NOT NULL AND s.retired_at IS NULL
                  AND (k.id IS NULL OR k.retired_at IS NOT NULL)
            ), heirs AS (
                SELECT g.id, (SELECT s.id FROM elmer.signals s WHERE s.workspace_id = :w AND s.merged_into = g.id
                              AND s.retired_at IS NULL ORDER BY s.created_at, s.id LIMIT 1) AS heir FROM gone g
            )
            UPDATE elmer.signals s SET merged_into = nullif(h.heir, s.id), updated_at = now()
            FROM heirs h WHERE s.workspace_id = :w AND (s.merged_into = h.id OR s.id = h.id)
            """
        ),
        {"w": workspace_id},
    ).rowcount


def astray(connection: Connection, workspace_id: str, limit: int = 10) -> list[dict[str, Any]]:
    """What must not be: groups of one, and merged signals whose kept one is gone, merged itself or not there."""
    rows = connection.execute(
        text(
            """
            SELECT d.group_id AS "group", min(d.signal_id) AS signal, 'a group of one' AS why
            FROM elmer.duplicate_signals d WHERE d.workspace_id = :w GROUP BY 1 HAVING count(*) < 2
            UNION ALL
            SELECT s.merged_into, s.id, CASE WHEN k.id IS NULL THEN 'merged into nothing of this workspace'
                   WHEN k.retired_at IS NOT NULL THEN 'merged into a retired signal'
                   ELSE 'merged into a merged signal' END
            FROM elmer.signals s LEFT JOIN elmer.signals k ON k.workspace_id = s.workspace_id AND k.id = s.merged_into
            WHERE s.workspace_id = :w AND s.merged_into IS NOT NULL AND s.retired_at IS NULL
              AND (k.id IS NULL OR k.retired_at IS NOT NULL OR k.merged_into IS NOT NULL)
            ORDER BY 3, 1, 2 LIMIT :limit
            """
        ),
        {"w": workspace_id, "limit": limit},
    )
    return [dict(row) for row in rows.mappings()]
