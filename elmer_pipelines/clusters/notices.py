"""What people are told of clusters, each thing once: that one suddenly grows, that one they named is no longer whole.

What is to be told is noted with the work that finds it; told it is afterwards, in the installation's notifications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines import notifications
from elmer_pipelines.clusters.history import names_of, others, sentence
from elmer_pipelines.store import profiles
from elmer_pipelines.store import trends as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

SPIKE, NAMED = "cluster_spike", "named_cluster_changed"
_CHANGED = ("split", "merged", "ended")


def note_named(connection: Connection, workspace_id: str) -> None:
    """Keep for telling how the last clustering divided, joined or ended clusters that bear a person's name.

    The name stays with the larger part; where it belongs only the person knows.
    """
    happened = [
        one for one in profiles.last_events(connection, workspace_id)
        if one["named_by_person"] and one["event"] in _CHANGED
    ]  # fmt: skip
    names = names_of(connection, workspace_id, (id_ for one in happened for id_ in others(one["detail"])))
    for one in happened:
        own = one["cluster_id"]
        said = sentence(one["event"], one["detail"], own, names, one["level"])
        message = (
            f"{one['theme']}, which you named so ({own}): {said}. If the name fits no longer: elmer clusters rename"
        )
        day = one["at"].date()
        store.note(connection, workspace_id, [store.Notice(own, day, message, {}, NAMED)], quiet_since=day)


def tell(database: Database, workspace_id: str, settings: Settings) -> dict[str, int]:
    """Tell people what they have not been told yet; returns how much that was, by kind.

    A notice is marked as told with the line that tells it: one that a killed process has written is not written again.
    """
    told = dict.fromkeys((SPIKE, NAMED), 0)
    with database.begin() as connection:
        untold = store.untold(connection, workspace_id)
        if not untold:
            return told
        written = {
            (line["kind"], line.get("cluster"), line.get("week"))
            for line in notifications.notifications(settings)
            if line["workspace"] == workspace_id
        }
        for one in untold:
            week = one.week.isoformat()
            if (one.kind, one.cluster_id, week) not in written:
                notifications.notify(settings, one.kind, workspace_id, one.message, cluster=one.cluster_id, week=week)
            store.told(connection, workspace_id, one)
            told[one.kind] += 1
    return told
