"""How the clusters of a workspace stand, as people look at them: coverage, levels, changes, and what each amounts to.

Reads only; rows are plain values, for metadata, DataFrames and the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters.history import names_of, others, sentence
from elmer_pipelines.clusters.material import LEVELS
from elmer_pipelines.store import clusterings, profiles
from elmer_pipelines.store import clusters as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.store.clusters import Level

_SHOWN = 20
_EVENTS = ("appeared", "returned", "split", "merged", "ended", "continued")


def coverage(connection: Connection, workspace_id: str) -> float | None:
    """The share of live signals that are in a cluster; None without signals."""
    clustered, signals = profiles.clustered(connection, workspace_id)
    return clustered / signals if signals else None


def neighbour_recall(connection: Connection, workspace_id: str) -> float | None:
    """The share of the signals' true neighbours that the last clustering saw: 1 where it compared all with all.

    None before the first clustering, and for one made before this was measured.
    """
    last = clusterings.last(connection, workspace_id)
    measured = None if last is None else last.figures.get("neighbour_recall")
    return None if measured is None else float(measured)


def levels(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Of each level there is, how many clusters, and their sizes: level, clusters, smallest, median, largest."""
    found = []
    for level in LEVELS:
        sizes = sorted(one["size"] for one in store.live(connection, workspace_id, level))
        if sizes:
            middle = sizes[len(sizes) // 2]
            found.append(
                {"level": level, "clusters": len(sizes), "smallest": sizes[0], "median": middle, "largest": sizes[-1]}
            )
    return found


def changes(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """What the last clustering changed, in words, new clusters first: event, level, cluster, theme, what."""
    rows = profiles.last_events(connection, workspace_id)
    order = {event: place for place, event in enumerate(_EVENTS)}
    rows.sort(
        key=lambda row: (
            order.get(row["event"], len(order)), row["level"] != "theme", -_size(row["detail"]), row["cluster_id"]
        )
    )  # fmt: skip
    shown = rows[:_SHOWN]
    names = names_of(connection, workspace_id, (one for row in shown for one in others(row["detail"])))
    return [
        {
            "event": row["event"],
            "level": row["level"] or "",
            "cluster": row["cluster_id"],
            "theme": row["theme"] or "",
            "what": sentence(row["event"], row["detail"], row["cluster_id"], names, row["level"] or "theme"),
        }
        for row in shown
    ]


def clusters(connection: Connection, workspace_id: str, level: Level = "theme") -> list[dict[str, Any]]:
    """The live clusters of a level, the largest first, each with what it amounts to.

    Beside the columns of `store.live`: `documents`, `kinds` and `segments` (each with its number of signals), when it
    was `first_heard` and `last_heard`, and `weeks`, its signals by the Monday of their week.
    """
    found = profiles.of_level(connection, workspace_id, level)
    return [{**one, **found.get(one["id"], profiles.NOTHING)} for one in store.live(connection, workspace_id, level)]


def _size(detail: dict[str, Any]) -> int:
    return int(detail.get("size") or detail.get("before") or 0)
