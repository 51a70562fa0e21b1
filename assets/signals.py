"""Group `signals`: what customers said that matters, and what it means in numbers."""

from assets.checks import COVERAGE_OF_DOCUMENTS, DUPLICATES, FAILURE_RATE, QUOTES_ARE_VERBATIM, SPENDING, VECTORS
from assets.tables import table_asset
from elmer_pipelines import plots
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.steps import StepResult


@table_asset(
    "signals",
    deps=["documents"],
    pool="anthropic",
    checks=[QUOTES_ARE_VERBATIM, COVERAGE_OF_DOCUMENTS, FAILURE_RATE, SPENDING],
    plot=plots.severities,
)
def signals(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Verbatim quotes that state a need, problem, request or praise, each at its place in a document.

    Every signal has severity, frequency, user segment and an interpretation; a quote that can't be found word for word
    in its document is rejected with the reason. A document is read again when its text, the prompt or the model
    changes; signals that are still there keep their id, status and people's edits.
    """
    return elmer.pipeline.signals(workspace, run_id=run)


@table_asset("signals", deps=["signals"], pool="openai", checks=[VECTORS, FAILURE_RATE])
def signal_embeddings(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """A vector for the words of every signal, in pgvector, kept by model and text.

    The same words are never embedded twice. Changing the model adds vectors beside the old ones and drops none.
    """
    return elmer.pipeline.signal_embeddings(workspace, run_id=run)


@table_asset("signals", deps=["signal_embeddings"], checks=[DUPLICATES])
def duplicate_signals(elmer: ElmerResource, workspace: str, run: str) -> StepResult:
    """Groups of signals that say the same thing, by equal words or the similarity of their vectors.

    Nothing is deleted: a group counts as one voice where evidence is weighed, and people may merge it, with undo
    (`elmer duplicates`). A group keeps its id. Looked at again when signals change.
    """
    return elmer.pipeline.duplicate_signals(workspace, run_id=run)
