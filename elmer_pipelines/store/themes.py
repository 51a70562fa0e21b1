"""The names of clusters: columns `theme`, `summary`, `distinction`, `terms`, `central_signal_ids` and `named_for`.

What people name is in `human_theme`, which nothing here writes (I5); sizes and members are `clusters.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.store.clusters import Level


@dataclass(frozen=True)
class Group:
    """A live cluster as naming sees it; `named_for` and `central` are the signals its present name was made of."""

    id: str
    level: Level
    parent_id: str | None
    theme: str | None
    human_theme: str | None
    summary: str | None
    terms: tuple[str, ...]
    named_for: frozenset[str]
    central: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """What people see: their own name for it, else the machine's; None before there is one."""
        return self.human_theme or self.theme


def groups(connection: Connection, workspace_id: str) -> list[Group]:
    """Every live cluster of every level, by id."""
    rows = connection.execute(
        text(
            "SELECT id, level, parent_id, theme, human_theme, summary, terms, named_for, central_signal_ids "
            "FROM elmer.clusters WHERE workspace_id = :w AND ended_at IS NULL ORDER BY id"
        ),
        {"w": workspace_id},
    )
    return [
        Group(
            row.id, row.level, row.parent_id, row.theme, row.human_theme, row.summary,
            tuple(row.terms), frozenset(row.named_for), tuple(row.central_signal_ids),
        )
        for row in rows
    ]  # fmt: skip


def name(
    connection: Connection,
    workspace_id: str,
    cluster_id: str,
    *,
    theme: str,
    summary: str,
    distinction: str | None,
    terms: Sequence[str],
    central_signal_ids: Sequence[str],
    named_by: str,
    named_for: Sequence[str],
) -> None:
    """Save the machine's theme of a cluster, and the members it was made for."""
    connection.execute(
        text(
            "UPDATE elmer.clusters SET theme = :theme, summary = :summary, distinction = :distinction, "
            "terms = CAST(:terms AS jsonb), central_signal_ids = CAST(:central AS jsonb), named_by = :by, "
            "named_for = CAST(:members AS jsonb), updated_at = now() WHERE workspace_id = :w AND id = :c"
        ),
        {
            "w": workspace_id, "c": cluster_id, "theme": theme, "summary": summary, "distinction": distinction,
            "by": named_by, "terms": json.dumps(list(terms)), "central": json.dumps(list(central_signal_ids)),
            "members": json.dumps(sorted(named_for)),
        },
    )  # fmt: skip


def rename(connection: Connection, workspace_id: str, names: Mapping[str, str]) -> None:
    """Give clusters, by id, other machine's names."""
    if names:
        connection.execute(
            text(
                "UPDATE elmer.clusters SET theme = :theme, updated_at = now() WHERE workspace_id = :w AND id = :c "
                "AND theme IS NOT NULL"
            ),
            [{"w": workspace_id, "c": one, "theme": theme} for one, theme in sorted(names.items())],
        )


def suggest(connection: Connection, workspace_id: str, actions: Mapping[str, tuple[str, str | None]]) -> int:
    """Save what is suggested for clusters, by id: an action, and the project it concerns; returns how many changed."""
    changed = 0
    for cluster_id, (action, project_id) in sorted(actions.items()):
        changed += connection.execute(
            text(
                "UPDATE elmer.clusters SET suggested_action = :action, suggested_project_id = :project, "
                "updated_at = now() WHERE workspace_id = :w AND id = :c "
                "AND (suggested_action, suggested_project_id) IS DISTINCT FROM (:action, CAST(:project AS text))"
            ),
            {"w": workspace_id, "c": cluster_id, "action": action, "project": project_id},
        ).rowcount
    return changed


def centres(connection: Connection, workspace_id: str, model: str) -> dict[str, NDArray[np.float32]]:
    """The mean of the members' vectors, of this model, for every live theme; not of unit length."""
    from pgvector.psycopg import register_vector

    raw = connection.connection.driver_connection
    assert raw is not None
    register_vector(raw)
    with raw.cursor(binary=True) as cursor:
        cursor.execute(
            "SELECT m.cluster_id, avg(e.embedding) FROM elmer.cluster_members m "
            "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id AND s.retired_at IS NULL "
            "JOIN elmer.embeddings e ON e.workspace_id = s.workspace_id AND e.model = %s AND e.text_hash = s.text_hash "
            "WHERE m.workspace_id = %s AND m.cluster_id IS NOT NULL GROUP BY 1 ORDER BY 1",
            (model, workspace_id),
        )
        return {cluster_id: centre.to_numpy().astype(np.float32) for cluster_id, centre in cursor}


@dataclass(frozen=True)
class Placed:
    """A signal of a sample: the theme it is in, or, not `inside` any, the nearest."""

    text_hash: str
    cluster_id: str
    inside: bool


def sample(connection: Connection, workspace_id: str, number: int) -> list[Placed]:
    """At most so many live signals that have a live theme or a nearest one, by id: ids are hashes, so it is fair."""
    rows = connection.execute(
        text(
            "SELECT s.text_hash, c.id, m.cluster_id IS NOT NULL AS inside FROM elmer.cluster_members m "
            "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id AND s.retired_at IS NULL "
            "JOIN elmer.clusters c ON c.workspace_id = m.workspace_id AND c.id = coalesce(m.cluster_id, m.nearest_id) "
            "AND c.ended_at IS NULL WHERE m.workspace_id = :w ORDER BY m.signal_id LIMIT :n"
        ),
        {"w": workspace_id, "n": number},
    )
    return [Placed(*row) for row in rows]
