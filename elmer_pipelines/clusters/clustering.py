"""The step `signal_clusters`: vectors in, groups out, under ids that last.

Whether everything is clustered again or only what is new is placed is decided here, by `drift.py`; the work itself is
`reclustering.py` and `newcomers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters import newcomers, reclustering
from elmer_pipelines.clusters.drift import Decision, Since, decide, due_tonight
from elmer_pipelines.clusters.identity import HAPPENINGS
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import clusterings, clusters, pins
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.clusters.reclustering import Reclustering
    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.clusterings import Clustering
    from elmer_pipelines.store.database import Database

_GROUPING_VERSION = 5  # raise when the same vectors would be grouped, matched or summed up otherwise
_SHOWN_CHANGES = 20


@dataclass(frozen=True)
class Standing:
    """What the step would do now, after which clustering, and the newest request it answers."""

    decision: Decision
    last: Clustering | None
    asked: int


def wanted_clusters(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> dict[str, Determinants]:
    """What determines where the workspace's signals belong."""
    state = clusterings.state(connection, workspace_id, embedder.model)
    fixed = [[one["id"], one["cluster_id"]] for one in pins.every(connection, workspace_id)]
    return {
        WHOLE: Determinants.of(
            signals=state.signals,
            weights=state.weights,
            model=labelled(embedder.model),
            vectors=state.vectors,
            rules=labelled(_GROUPING_VERSION),
            pins=labelled(fixed, f"{len(fixed)}"),
            asked=labelled(clusterings.last_request(connection, workspace_id)[0]),
        )
    }


def standing(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> Standing:
    """Whether a run would cluster everything again, and why; only reads."""
    since, last, asked = _since(connection, workspace_id, embedder)
    return Standing(decide(since), last, asked)


def _since(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> tuple[Since, Clustering | None, int]:
    last = clusterings.last(connection, workspace_id)
    asked, reason = clusterings.last_request(connection, workspace_id)
    counted = clusterings.counted(connection, workspace_id, embedder.model)
    answered = last is not None and asked <= int(last.figures.get("asked", 0))
    return (
        Since(
            signals=counted.signals,
            fresh=counted.fresh,
            placed=counted.placed,
            unplaced=counted.unplaced,
            gone=counted.gone,
            clustered=last.signals if last else None,
            same_model=last is None or last.model == embedder.model,
            same_rules=last is None or last.figures.get("rules") == _GROUPING_VERSION,
            asked=None if answered or reason is None else "hand" if reason == "hand" else "schedule",
        ),
        last,
        asked,
    )


def ask_again(database: Database, workspace_id: str) -> None:
    """Have the next run cluster everything again, whatever has changed."""
    with database.begin() as connection:
        clusterings.ask(connection, workspace_id, "hand")


def ask_nightly(database: Database, workspace_id: str, embedder: EmbeddingModel) -> bool:
    """Have the next run cluster everything again where enough has come or gone since the last time; True if so."""
    with database.begin() as connection:
        since, _, _ = _since(connection, workspace_id, embedder)
        due = since.asked is None and due_tonight(since)
        if due:
            clusterings.ask(connection, workspace_id, "schedule")
    return due


def cluster_signals(
    database: Database, workspace_id: str, embedder: EmbeddingModel, *, run_id: str | None = None
) -> StepResult:
    """Put every live signal that has a vector where it belongs; clusters that mostly kept their members keep their ids.

    What is new is placed by its neighbours, at a cost that goes with the new signals only; everything is clustered
    again where `drift.decide` says so. One transaction either way: a run that is killed leaves what was there.
    """
    with database.begin() as connection:
        determined_by = wanted_clusters(connection, workspace_id, embedder)[WHOLE]

    def do(connection: Connection) -> StepResult:
        # Looked at under the lock: what another run did meanwhile is not done again.
        now = standing(connection, workspace_id, embedder)
        if now.decision.reason is None and now.last is not None:
            return _placed(connection, workspace_id, embedder, now.last)
        return _clustered(connection, workspace_id, embedder, now, run_id)

    result = work_whole(database, workspace_id, "signal_clusters", determined_by, do, run_id=run_id)
    with database.begin() as connection:
        live = clusters.live(connection, workspace_id)
        for level in ("area", "need"):
            result.counts[f"{level}s"] = len(clusters.live(connection, workspace_id, level))
        result.counts["clusters"] = len(live)
        result.counts["unclustered"] = clusters.unclustered(connection, workspace_id)
    result.counts["clustered"] = sum(one["size"] for one in live)
    return result


def _placed(connection: Connection, workspace_id: str, embedder: EmbeddingModel, last: Clustering) -> StepResult:
    found = newcomers.place_new(connection, workspace_id, embedder, last)
    result = StepResult("signal_clusters")
    result.counts.update(
        {"placed": found.placed, "placed_nowhere": found.unplaced, "moved_by_pins": found.moved_by_pins,
         "left": found.left}
    )  # fmt: skip
    return result


def _clustered(
    connection: Connection, workspace_id: str, embedder: EmbeddingModel, now: Standing, run_id: str | None
) -> StepResult:
    found = reclustering.work_out(connection, workspace_id, embedder)
    reclustering.write(
        connection,
        workspace_id,
        found,
        reason=now.decision.reason or "hand",
        model=embedder.model,
        rules=_GROUPING_VERSION,
        asked=now.asked,
        run_id=run_id,
    )
    result = StepResult("signal_clusters")
    happened = [one.event for one in found.events["theme"]]
    result.counts.update({event: happened.count(event) for event in HAPPENINGS})
    result.counts["moved"] = found.moved
    result.counts["clustered_again"] = now.decision.said
    result.tables["Changes since last time"] = _changes(found)
    return result


def _changes(found: Reclustering) -> list[dict[str, Any]]:
    """The themes that changed most, a row each."""
    told = [
        one for one in found.events["theme"] if one.event != "continued" or one.detail["joined"] + one.detail["left"]
    ]
    told.sort(key=lambda one: -max([value for value in one.detail.values() if isinstance(value, int)], default=0))
    return [
        {"cluster": one.cluster_id, "event": one.event,
         **{name: one.detail.get(name) for name in ("before", "size", "joined", "left")}}
        for one in told[:_SHOWN_CHANGES]
    ]  # fmt: skip
