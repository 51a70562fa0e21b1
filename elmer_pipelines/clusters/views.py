"""Clusters as people look at them: the tree of areas, themes and needs, and one cluster with all that belongs to it.

Only reads; how it looks in a terminal is `console/clusters.py`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters.history import cluster_of, history, names_of
from elmer_pipelines.clusters.trending import changing, sparkline
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import pins, profiles, projects
from elmer_pipelines.store import trends as trend_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.store.clusters import Level

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
    """A cluster of any level, ended or not; `signal_ids` are its members, those chosen to speak for it first, then the
    most central.

    Raises NotFoundError.
    """
    row = cluster_of(connection, workspace_id, cluster_id)
    level = row["level"]
    beside = tree(connection, workspace_id)
    own = next((one for one in beside if one["id"] == row["id"]), None)
    members = store.members_of(connection, workspace_id, level).get(row["id"], [])
    spoken = [one for one in row.pop("central_signal_ids") if one in set(members)]
    parent = row["parent_id"]
    return {
        **row,
        **profiles.of_level(connection, workspace_id, level).get(row["id"], profiles.NOTHING),
        **_trend(connection, workspace_id, row),
        "suggested_project": _project(connection, workspace_id, row["suggested_project_id"]) if own else None,
        "parent": {"id": parent, "theme": names_of(connection, workspace_id, [parent])[parent]} if parent else None,
        "parts": [{key: one[key] for key in _SHOWN} for one in beside if one["parent_id"] == row["id"]],
        "pins": [one for one in pins.every(connection, workspace_id) if _concerns(one, row["id"], set(members))],
        "history": [one.__dict__ for one in history(connection, workspace_id, row["id"])],
        "signal_ids": list(dict.fromkeys([*spoken, *members])),
    }


def trends(connection: Connection, workspace_id: str, level: Level = "theme") -> list[dict[str, Any]]:
    """Of the live clusters of a level how they grow or fade, with the arithmetic: those that change first.

    Each has id, theme, size, verdict, `line` (a bar for each of the last weeks), `arithmetic` in words and `weeks`.
    """
    rows = sorted(trend_store.trends(connection, workspace_id, level), key=changing)
    return [
        {
            "id": one["cluster_id"],
            **{key: one[key] for key in ("theme", "size", "verdict")},
            "line": sparkline(one["weeks"]),
            "arithmetic": one["arithmetic"].get("told", ""),
            "weeks": one["weeks"],
        }
        for one in rows
    ]


def _trend(connection: Connection, workspace_id: str, row: dict[str, Any]) -> dict[str, Any]:
    rows = trends(connection, workspace_id, row["level"]) if row["ended_at"] is None else []
    found = next((one for one in rows if one["id"] == row["id"]), None)
    return {
        "trend": found["verdict"] if found else None,
        "line": found["line"] if found else "",
        "arithmetic": found["arithmetic"] if found else None,
    }


def _project(connection: Connection, workspace_id: str, project_id: str | None) -> dict[str, Any] | None:
    wanted = (one for one in projects.live(connection, workspace_id) if one.id == project_id)
    return next(({"id": one.id, "name": one.name} for one in wanted), None)


def _concerns(pin: dict[str, Any], cluster_id: str, members: set[str]) -> bool:
    return pin["cluster_id"] == cluster_id or bool({pin["signal_id"], pin["other_signal_id"]} & members)
