"""The step `prds`: for every project with enough signals, its requirements. How is in `writing.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.artifacts import composed
from elmer_pipelines.artifacts.writing import Kind, with_least, write_all

if TYPE_CHECKING:
    from elmer_pipelines.models.protocols import TextModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

PRD = Kind("prds", "prd", "product requirements", "prd.md", "prd.md", composed.product_requirements)
DEFAULT_SIGNALS = 5  # the threshold of Elmer's automation settings (DESIGN section 5)


def write_prds(
    database: Database,
    workspace_id: str,
    text_model: TextModel | None,
    folder: str,
    *,
    minimum_signals: int = DEFAULT_SIGNALS,
    embedding_model: str | None = None,
    run_id: str | None = None,
) -> StepResult:
    """A PRD, as rows and as `folder/<workspace>/<project>/prd.md`, per project with at least `minimum_signals` signals.

    Without a model it is composed from the evidence and says so. A failure to write the file is the project's outcome.
    """
    kind = with_least(PRD, minimum_signals)
    return write_all(database, workspace_id, text_model, folder, kind, embedding_model=embedding_model, run_id=run_id)
