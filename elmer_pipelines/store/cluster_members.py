"""The table `cluster_members`: where each signal belongs, since the last clustering or placed after it.

What is true of whole clusters is in `clusters.py`; when a clustering was made is in `clusterings.py`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

PlacedBy = Literal["clustering", "neighbours", "pin"]
_COLUMNS = "signal_id, cluster_id, need_id, nearest_id, similarity, text_hash, placed_by"
_TYPES = (
    "signal_id text, cluster_id text, need_id text, nearest_id text, similarity float, text_hash text, placed_by text"
)


@dataclass(frozen=True)
class Member:
    """Where a signal belongs: a cluster and a need in it, or None with the nearest one.

    `similarity` is the cosine to that cluster's centre; `text_hash` the words it was placed for (None: no vector yet).
    """

    signal_id: str
    cluster_id: str | None
    nearest_id: str | None
    similarity: float | None
    need_id: str | None = None
    text_hash: str | None = None
    placed_by: PlacedBy = "clustering"


class Place(NamedTuple):
    """A signal's stored place; `area_id` is its theme's. `retired` signals keep theirs until a run lets them leave."""

    signal_id: str
    cluster_id: str | None
    need_id: str | None
    area_id: str | None
    placed_by: PlacedBy
    text_hash: str
    retired: bool


class Neighbour(NamedTuple):
    """A clustered text near to a fresh one: both by their hashes, the cluster and need, the cosine similarity."""

    fresh: str
    text_hash: str
    cluster_id: str
    need_id: str | None
    similarity: float


def places(connection: Connection, workspace_id: str, signal_ids: Sequence[str] | None = None) -> list[Place]:
    """The stored place of every signal, or of these."""
    rows = connection.execute(
        text(
            "SELECT m.signal_id, m.cluster_id, m.need_id, c.parent_id, m.placed_by, s.text_hash, "
            "s.retired_at IS NOT NULL FROM elmer.cluster_members m "
            "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "LEFT JOIN elmer.clusters c ON c.workspace_id = m.workspace_id AND c.id = m.cluster_id "
            "WHERE m.workspace_id = :w AND (CAST(:ids AS text[]) IS NULL OR m.signal_id = ANY(CAST(:ids AS text[])))"
        ),
        {"w": workspace_id, "ids": None if signal_ids is None else list(signal_ids)},
    )
    return [Place(*row) for row in rows]


def replace(connection: Connection, workspace_id: str, members: Sequence[Member]) -> None:
    """Make `members` the whole membership of the workspace."""
    connection.execute(text("DELETE FROM elmer.cluster_members WHERE workspace_id = :w"), {"w": workspace_id})
    put(connection, workspace_id, members)


def put(connection: Connection, workspace_id: str, members: Sequence[Member]) -> None:
    """Write these places over those the signals had."""
    for start in range(0, len(members), 5_000):
        connection.execute(
            text(
                f"INSERT INTO elmer.cluster_members (workspace_id, {_COLUMNS}) "  # noqa: S608 - constants
                f"SELECT :w, r.* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ({_TYPES}) "
                "ON CONFLICT (workspace_id, signal_id) DO UPDATE SET cluster_id = excluded.cluster_id, "
                "need_id = excluded.need_id, nearest_id = excluded.nearest_id, similarity = excluded.similarity, "
                "text_hash = excluded.text_hash, placed_by = excluded.placed_by"
            ),
            {"w": workspace_id, "rows": json.dumps([asdict(one) for one in members[start : start + 5_000]])},
        )


def let_leave(connection: Connection, workspace_id: str) -> list[Member]:
    """Take out the members whose signals have retired; returns where they were, for heirs with the same words."""
    rows = connection.execute(
        text(
            "DELETE FROM elmer.cluster_members m USING elmer.signals s "
            "WHERE m.workspace_id = :w AND s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "AND s.retired_at IS NOT NULL "
            "RETURNING m.signal_id, m.cluster_id, m.nearest_id, m.similarity, m.need_id, s.text_hash, m.placed_by"
        ),
        {"w": workspace_id},
    )
    return sorted((Member(*row) for row in rows), key=lambda one: one.signal_id)


def fresh(connection: Connection, workspace_id: str, model: str) -> list[tuple[str, str]]:
    """Live signals with a vector of the model that have no place for their words yet: id and text hash."""
    rows = connection.execute(
        text(
            "SELECT s.id, s.text_hash FROM elmer.signals s JOIN elmer.embeddings e "
            "ON e.workspace_id = s.workspace_id AND e.model = :m AND e.text_hash = s.text_hash "
            "LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id "
            "WHERE s.workspace_id = :w AND s.retired_at IS NULL AND m.text_hash IS DISTINCT FROM s.text_hash "
            "ORDER BY s.id"
        ),
        {"w": workspace_id, "m": model},
    )
    return [(row.id, row.text_hash) for row in rows]


def waiting(connection: Connection, workspace_id: str, model: str) -> list[str]:
    """Live signals without a vector of the model and without a row: they are unclustered until it comes."""
    rows = connection.execute(
        text(
            "SELECT s.id FROM elmer.signals s WHERE s.workspace_id = :w AND s.retired_at IS NULL "
            "AND NOT EXISTS (SELECT FROM elmer.embeddings e WHERE e.workspace_id = s.workspace_id AND e.model = :m "
            "AND e.text_hash = s.text_hash) AND NOT EXISTS (SELECT FROM elmer.cluster_members m "
            "WHERE m.workspace_id = s.workspace_id AND m.signal_id = s.id) ORDER BY 1"
        ),
        {"w": workspace_id, "m": model},
    )
    return list(rows.scalars())


def clustered_texts(connection: Connection, workspace_id: str) -> dict[str, tuple[str, str | None]]:
    """Cluster and need of every text that a live member of a cluster has (of its first signal, if they differ)."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT ON (m.text_hash) m.text_hash, m.cluster_id, m.need_id FROM elmer.cluster_members m "
            "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "WHERE m.workspace_id = :w AND m.cluster_id IS NOT NULL AND m.text_hash IS NOT NULL "
            "AND s.retired_at IS NULL ORDER BY m.text_hash, m.signal_id"
        ),
        {"w": workspace_id},
    )
    return {row.text_hash: (row.cluster_id, row.need_id) for row in rows}


def pulls(connection: Connection, workspace_id: str, cluster_ids: Sequence[str]) -> dict[str, float]:
    """The sum of the members' similarities to the centre, for each of these themes that has members."""
    rows = connection.execute(
        text(
            "SELECT cluster_id, sum(similarity) AS pull FROM elmer.cluster_members "
            "WHERE workspace_id = :w AND cluster_id = ANY(:ids) AND similarity IS NOT NULL GROUP BY cluster_id"
        ),
        {"w": workspace_id, "ids": list(cluster_ids)},
    )
    return {row.cluster_id: float(row.pull) for row in rows}


def unclustered(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Live signals in no cluster, those nearest to one first: signal_id, words, nearest_id, theme, similarity."""
    rows = connection.execute(
        text(
            "SELECT m.signal_id, s.verbatim AS words, m.nearest_id, coalesce(c.human_theme, c.theme) AS theme, "
            "m.similarity FROM elmer.cluster_members m "
            "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "LEFT JOIN elmer.clusters c ON c.workspace_id = m.workspace_id AND c.id = m.nearest_id "
            "WHERE m.workspace_id = :w AND m.cluster_id IS NULL AND s.retired_at IS NULL "
            "ORDER BY m.similarity DESC NULLS LAST, m.signal_id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def count_clustered(connection: Connection, workspace_id: str) -> int:
    """How many members clusters have."""
    return int(
        connection.execute(
            text("SELECT count(*) FROM elmer.cluster_members WHERE workspace_id = :w AND cluster_id IS NOT NULL"),
            {"w": workspace_id},
        ).scalar_one()
    )


def neighbours(
    connection: Connection, workspace_id: str, model: str, dimensions: int, hashes: Sequence[str], k: int
) -> list[Neighbour]:
    """The k clustered texts nearest to each of these texts, in one statement through the model's index.

    Approximate as that index is; fewer than k where most of the nearest 4 k are unclustered or new themselves. A text
    that is clustered already has itself for its nearest.
    """
    # The planner takes sorting all vectors for cheap, once per text asked; nothing in this statement wants a scan.
    for setting in ("hnsw.iterative_scan = strict_order", "hnsw.ef_search = 100", "enable_seqscan = off",
                    "enable_sort = off", "jit = off"):  # fmt: skip
        connection.execute(text(f"SET LOCAL {setting}"))
    size = int(dimensions)  # stands in the statement because the index is on that expression
    rows = connection.execute(
        text(
            f"""
            WITH asked AS MATERIALIZED (
                SELECT e.text_hash, e.embedding::halfvec({size}) AS vector FROM elmer.embeddings e
                WHERE e.workspace_id = :w AND e.model = :model AND e.text_hash = ANY(:hashes)
            ), near AS MATERIALIZED (
                SELECT a.text_hash AS fresh, n.text_hash, n.similarity FROM asked a CROSS JOIN LATERAL (
                    SELECT e.text_hash, 1 - (e.embedding::halfvec({size}) <=> a.vector) AS similarity
                    FROM elmer.embeddings e WHERE e.workspace_id = :w AND e.model = :model
                    ORDER BY e.embedding::halfvec({size}) <=> a.vector LIMIT 4 * :k
                ) n
            )
            SELECT n.fresh, n.text_hash, m.cluster_id, m.need_id, n.similarity, m.signal_id
            FROM near n JOIN elmer.signals s
                ON s.workspace_id = :w AND s.text_hash = n.text_hash AND s.retired_at IS NULL
            JOIN elmer.cluster_members m
                ON m.workspace_id = :w AND m.signal_id = s.id AND m.cluster_id IS NOT NULL
            """  # noqa: S608 - only a number is put in
        ).bindparams(bindparam("hashes", type_=ARRAY(Text))),
        {"w": workspace_id, "model": model, "hashes": list(hashes), "k": k},
    ).all()
    for setting in ("enable_seqscan", "enable_sort", "jit"):
        connection.execute(text(f"SET LOCAL {setting} TO DEFAULT"))
    found: dict[str, dict[str, Neighbour]] = {}
    for row in sorted(rows, key=lambda row: (-row.similarity, row.text_hash, row.signal_id)):
        neighbour = Neighbour(row.fresh, row.text_hash, row.cluster_id, row.need_id, float(row.similarity))
        found.setdefault(row.fresh, {}).setdefault(row.text_hash, neighbour)
    return [one for _, nearest in sorted(found.items()) for one in list(nearest.values())[:k]]


def of_clusters(
    connection: Connection, workspace_id: str, cluster_ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The live members of these clusters of any level: similarity, severity and frequency as people see them."""
    rows = connection.execute(
        text(
            """
            WITH inside AS (
                SELECT cluster_id AS own, signal_id, similarity FROM elmer.cluster_members
                WHERE workspace_id = :w AND cluster_id = ANY(:ids)
                UNION ALL
                SELECT need_id, signal_id, similarity FROM elmer.cluster_members
                WHERE workspace_id = :w AND need_id = ANY(:ids)
                UNION ALL
                SELECT c.parent_id, m.signal_id, m.similarity FROM elmer.clusters c JOIN elmer.cluster_members m
                    ON m.workspace_id = c.workspace_id AND m.cluster_id = c.id
                WHERE c.workspace_id = :w AND c.level = 'theme' AND c.ended_at IS NULL AND c.parent_id = ANY(:ids)
            )
            SELECT i.own, i.signal_id, i.similarity, coalesce(s.edits->>'severity', s.severity) AS severity,
                   coalesce(s.edits->>'frequency', s.frequency) AS frequency
            FROM inside i JOIN elmer.signals s ON s.workspace_id = :w AND s.id = i.signal_id
            WHERE s.retired_at IS NULL ORDER BY i.own, i.signal_id
            """
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(cluster_ids)},
    )
    found: dict[str, list[dict[str, Any]]] = {one: [] for one in cluster_ids}
    for row in rows.mappings():
        found[row["own"]].append(dict(row))
    return found
