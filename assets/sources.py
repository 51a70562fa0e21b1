"""Group `sources`: what comes in from outside."""

from assets.checks import FAILURE_RATE
from assets.tables import table_asset
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


@table_asset("sources", checks=[FAILURE_RATE])
def documents(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Every interview, call, ticket, chat, review and note of the workspace's folder, as text with its segments.

    Only files that are new or changed are read again; a deleted file retires its documents, a moved one keeps them.
    A file that can't be read is listed with the reason and stops nobody.
    """
    return elmer.pipeline.documents(workspace, run_id=run)


@table_asset("sources")
def knowledge(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """The workspace's own background: company context, guardrails, personas, roadmap, from its `knowledge/` folder.

    It is read as a whole whenever one of its files changes.
    """
    return elmer.pipeline.knowledge(workspace, run_id=run)
