"""Group `clusters`: signals about the same need, their names and how they move."""

from assets.checks import COVERAGE_OF_SIGNALS, FAILURE_RATE
from assets.tables import table_asset
from elmer_pipelines import plots
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


@table_asset("clusters", deps=["signal_embeddings"], checks=[COVERAGE_OF_SIGNALS], plot=plots.cluster_sizes)
def signal_clusters(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Which cluster each signal belongs to; a signal that fits none is visibly unclustered.

    A cluster keeps its id while its members mostly stay: a new clustering is matched to the last one, and what
    continued, split, merged, appeared, ended or came back is recorded. Between two of them what is new is placed by
    its neighbours; `elmer plan` says which it will be. Pins of people hold in both.
    """
    return elmer.pipeline.signal_clusters(workspace, run_id=run)


@table_asset("clusters", deps=["signal_clusters"], pool="anthropic", checks=[FAILURE_RATE], plot=plots.cluster_sizes)
def cluster_themes(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """A name and a summary for each cluster, from its most central quotes.

    A cluster is named again only when its core changes. A name given by a person is kept apart and wins.
    """
    return elmer.pipeline.cluster_themes(workspace, run_id=run)


@table_asset("clusters", deps=["signal_clusters"])
def cluster_trends(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """How often each cluster was heard, week by week, with a verdict and the arithmetic behind it.

    Weeks are those in which customers spoke, not those in which files arrived.
    """
    return elmer.pipeline.cluster_trends(workspace, run_id=run)
