"""What must hold of clusters after a step, asked of the database: stability of ids, names told apart.

As `checks.py`, of which these are the part about clusters.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from elmer_pipelines.checks import CheckOutcome
from elmer_pipelines.clusters.material import siblings_of
from elmer_pipelines.store import profiles, themes

if TYPE_CHECKING:
    from sqlalchemy import Connection

STABLE_SHARE = 0.9  # of the signals clustered before and still there: with fewer, history and links mean little
_SHOWN = 10


def clusters_are_stable(connection: Connection, workspace_id: str) -> CheckOutcome:
    """I5: at least 90 % of the signals that were in a cluster before the last clustering stayed in it.

    A first clustering, and one that found nothing of the last one left, has nothing to be compared with and passes.
    """
    figures = profiles.last_clustering(connection, workspace_id) or {}
    kept, moved = figures.get("kept"), figures.get("moved")
    if not isinstance(kept, int) or not isinstance(moved, int) or not kept:
        return CheckOutcome(True, "There is no earlier clustering to compare with.")
    share = (kept - moved) / kept
    return CheckOutcome(
        share >= STABLE_SHARE,
        f"{share:.1%} of {kept:,} signals that were in a cluster before are still in it; {moved:,} are elsewhere.",
        figures={"kept": kept, "moved": moved, "share_stayed": share},
    )


def siblings_have_own_names(connection: Connection, workspace_id: str) -> CheckOutcome:
    """No two siblings are shown under one name: no two areas, no two themes, no two needs of one theme."""
    bearers: dict[tuple[object, ...], list[str]] = defaultdict(list)
    named = 0
    for one in themes.groups(connection, workspace_id):
        if one.name:
            named += 1
            bearers[(*siblings_of(one), one.name.casefold())].append(one.id)
    double = {key: ids for key, ids in sorted(bearers.items(), key=str) if len(ids) > 1}
    return CheckOutcome(
        not double,
        f"All {named} names are told apart from their siblings'."
        if not double
        else f"{len(double)} names are borne by several siblings. `elmer clusters rename` gives one your own name.",
        figures={"named": named, "shared_names": len(double)},
        examples=[{"name": str(key[-1]), "clusters": ", ".join(ids)} for key, ids in double.items()][:_SHOWN],
    )
