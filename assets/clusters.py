"""Group `clusters`: signals about the same need, their names and how they move."""

from typing import Any

from sqlalchemy import Connection

from assets.checks import COVERAGE_OF_SIGNALS, FAILURE_RATE, SIBLING_NAMES, STABILITY
from assets.tables import table_asset
from elmer_pipelines import cluster_map, plots
from elmer_pipelines.clusters import overview
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


def _map(connection: Connection, workspace: str, elmer: ElmerResource) -> str | None:
    return cluster_map.cluster_map(connection, workspace, elmer.pipeline.embedder.model)


def _coverage(connection: Connection, workspace: str, _: ElmerResource) -> float | None:
    return overview.coverage(connection, workspace)


def _recall(connection: Connection, workspace: str, _: ElmerResource) -> float | None:
    return overview.neighbour_recall(connection, workspace)


def _levels(connection: Connection, workspace: str, _: ElmerResource) -> list[dict[str, Any]]:
    return overview.levels(connection, workspace)


def _changes(connection: Connection, workspace: str, _: ElmerResource) -> list[dict[str, Any]]:
    return overview.changes(connection, workspace)


@table_asset(
    "clusters",
    deps=["signal_embeddings"],
    checks=[COVERAGE_OF_SIGNALS, STABILITY],
    plot=plots.cluster_sizes,
    shows={
        "Coverage": _coverage,
        "Recall of neighbours": _recall,
        "Levels": _levels,
        "Changes since last time": _changes,
        "Map": _map,
    },
)
def signal_clusters(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Which cluster each signal belongs to; a signal that fits none is visibly unclustered.

    A cluster keeps its id while its members mostly stay: a new clustering is matched to the last one, and what
    continued, split, merged, appeared, ended or came back is recorded. Between two of them what is new is placed by
    its neighbours; `elmer plan` says which it will be. Pins of people hold in both. Up to 30,000 signals are all
    compared with all; of more, nearly all true neighbours are found: the recall says how many.
    """
    return elmer.pipeline.signal_clusters(workspace, run_id=run)


@table_asset(
    "clusters",
    deps=["signal_clusters"],
    pool="anthropic",
    checks=[FAILURE_RATE, SIBLING_NAMES],
    plot=plots.cluster_sizes,
    shows={"Changes since last time": _changes, "Map": _map},  # here with the names of what is new
)
def cluster_themes(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """A name, a summary, what sets it apart and three quotes for each area, theme and need, seen beside its siblings.

    A cluster is named again only when three in ten of its members are others, or a quote its name stands on is gone. A
    name given by a person is kept apart and wins.
    """
    return elmer.pipeline.cluster_themes(workspace, run_id=run)


@table_asset("clusters", deps=["signal_clusters"])
def cluster_trends(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """How often each cluster was heard, week by week, with a verdict and the arithmetic behind it.

    Weeks are those in which customers spoke, not those in which files arrived; documents are counted, so that one long
    interview proves nothing. A theme that is new or grows is told once, in `notifications.jsonl`.
    """
    return elmer.pipeline.cluster_trends(workspace, run_id=run)
