"""Clusters as people look at them: the tree of areas, themes and needs, and one cluster with all that belongs to it.

Only reads; how it looks in a terminal is `console/clusters.py`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters.history import cluster_of, history, names_of
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import pins

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SHOWN = ("id", "level", "theme", "size", "severity", "frequency", "confidence", "suggested_action", "trend")


def tree(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Every live cluster under the one above it, the largest first, with `depth` and `parent_id`."""
    below: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    levels = [store.live(connection, workspace_id, level) for level in ("area", "theme", "need")]
    alive = {one["id"] for rows in levels for one in rows}
    for one in (one for rows in levels for one in rows):
        below[one["parent_id"] if one["parent_id"] in alive else None].append(one)

    def walk(parent: str | None, depth: int) -> list[dict[str, Any]]:
        found = []
        for one in sorted(below[parent], key=lambda row: (-row["size"], row["id"])):
            shown = {key: one[key] for key in _SHOWN}
            found.append({**shown, "named_by_person": one["named_by_person"], "parent_id": parent, "depth": depth})
            found += walk(one["id"], depth + 1)
        return found

    return walk(None, 0)


def shown(connection: Connection, workspace_id: str, cluster_id: str) -> dict[str, Any]:
    """A cluster of any level, ended or not; `signal_ids` are its members, the most central first.

    Raises NotFoundError.
    """
    row = cluster_of(connection, workspace_id, cluster_id)
    beside = tree(connection, workspace_id)
    own = next((one for one in beside if one["id"] == row["id"]), None)
    members = store.members_of(connection, workspace_id, row["level"]).get(row["id"], [])
    parent = row["parent_id"]
    return {
        **row,
        "trend": own["trend"] if own else None,
        "parent": {"id": parent, "theme": names_of(connection, workspace_id, [parent])[parent]} if parent else None,
        "parts": [{key: one[key] for key in _SHOWN} for one in beside if one["parent_id"] == row["id"]],
        "pins": [one for one in pins.every(connection, workspace_id) if _concerns(one, row["id"], set(members))],
        "history": [one.__dict__ for one in history(connection, workspace_id, row["id"])],
        "signal_ids": members,
    }


def _concerns(pin: dict[str, Any], cluster_id: str, members: set[str]) -> bool:
    return pin["cluster_id"] == cluster_id or bool({pin["signal_id"], pin["other_signal_id"]} & members)
