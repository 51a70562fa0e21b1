"""The step `research_briefs`: for every project somebody spoke about, what was said. How is in `writing.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.artifacts import composed
from elmer_pipelines.artifacts.writing import Kind, write_all

if TYPE_CHECKING:
    from elmer_pipelines.models.protocols import TextModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

BRIEF = Kind(
    "research_briefs", "research_brief", "research brief", "research-brief.md", "research_brief.md",
    composed.research_brief,
)  # fmt: skip


def write_research_briefs(
    database: Database,
    workspace_id: str,
    text_model: TextModel | None,
    folder: str,
    *,
    embedding_model: str | None = None,
    run_id: str | None = None,
) -> StepResult:
    """A research brief, as rows and as `folder/<workspace>/<project>/research-brief.md`, per project with a signal.

    Without a model it is composed from the evidence and says so. A failure to write the file is the project's outcome.
    """
    return write_all(database, workspace_id, text_model, folder, BRIEF, embedding_model=embedding_model, run_id=run_id)
