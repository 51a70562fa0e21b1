"""Group `artifacts`: documents written from evidence, every sentence traceable to a customer's words."""

from assets.checks import FAILURE_RATE, citations_of
from assets.tables import table_asset
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


@table_asset(
    "artifacts",
    deps=["initiatives", "projects", "duplicate_signals"],
    pool="anthropic",
    checks=[citations_of("research_brief"), FAILURE_RATE],
)
def research_briefs(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """For each project with evidence: what customers say about it, sorted, quoted and cited.

    A new version is written when the project's evidence changes. A citation that is not a signal of the project fails
    the check, and the brief stays a draft.
    """
    return elmer.pipeline.research_briefs(workspace, run_id=run)


@table_asset("artifacts", deps=["research_briefs"], pool="anthropic", checks=[citations_of("prd"), FAILURE_RATE])
def prds(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """For each project with enough evidence: a product requirements document whose claims cite `[S-…]` signals.

    An evidence section holds the quotes and their places. Without a key it is composed by template, and says so. A new
    version is written when the brief changes; with an unknown citation it stays a draft.
    """
    return elmer.pipeline.prds(workspace, run_id=run)
