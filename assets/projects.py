"""Group `projects`: what the team works on, and which signals speak for it."""

from assets.checks import FAILURE_RATE
from assets.tables import table_asset
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


@table_asset("projects", deps=["knowledge"])
def projects(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """The initiatives the team named in `workspace.toml`; those that clusters gave rise to are in the same table.

    Read again when the file changes; a project that is no longer named is retired, not deleted.
    """
    return elmer.pipeline.projects(workspace, run_id=run)


@table_asset("projects", deps=["projects"], pool="openai", checks=[FAILURE_RATE])
def project_embeddings(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """A vector for every project's name and description, by the model that embeds the signals.

    Made again when the text or the model changes.
    """
    return elmer.pipeline.project_embeddings(workspace, run_id=run)


@table_asset("projects", deps=["signal_embeddings", "project_embeddings"], pool="anthropic", checks=[FAILURE_RATE])
def signal_classifications(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Whether a signal belongs to a project: close enough is linked, far off is something new, between a model decides.

    Each verdict has its similarity and its reason; a signal under ten characters is not classified. Decided again when
    the signal's words or the projects change.
    """
    return elmer.pipeline.signal_classifications(workspace, run_id=run)


# in the pool, because it embeds the projects it makes
@table_asset("projects", deps=["cluster_themes", "signal_classifications", "duplicate_signals"], pool="openai")
def initiatives(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Clusters strong enough to become a project, or to be linked to one, with the decision and its reason.

    How far this goes by itself is the workspace's automation depth; a cluster gives rise to at most one project.
    """
    return elmer.pipeline.initiatives(workspace, run_id=run)
