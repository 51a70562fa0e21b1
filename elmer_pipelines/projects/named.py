"""The step `projects`: what workspace.toml names becomes rows; what it no longer names is retired.

Projects that clusters gave rise to are not touched here; they are in `initiatives.py`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.documents.workspace_file import read_workspace_file
from elmer_pipelines.errors import WorkspaceError
from elmer_pipelines.ids import stable_id
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import projects as store
from elmer_pipelines.store.projects import Project, project_text
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.documents.workspace_file import WorkspaceFile
    from elmer_pipelines.store.database import Database

__all__ = ["name_slug", "named_projects", "project_text", "run_projects", "wanted_projects"]

STEP = "projects"
_LOGIC = 1
_NOT_A_WORD = re.compile(r"[\W_]+")


def wanted_projects(workspace_id: str, root: str) -> dict[str, Determinants]:
    """What determines the named projects: workspace.toml. Raises WorkspaceError as `run_projects` does."""
    return {WHOLE: _determined_by(named_projects(workspace_id, read_workspace_file(root)))}


def _determined_by(projects: list[Project]) -> Determinants:
    return Determinants.of(projects=[one.__dict__ for one in projects], rules=labelled(_LOGIC))


def run_projects(database: Database, workspace_id: str, root: str, *, run_id: str | None = None) -> StepResult:
    """Bring the workspace's named projects to what the workspace.toml in `root` says.

    Raises WorkspaceError when the file can't be read or names two projects alike.
    """
    wanted = named_projects(workspace_id, read_workspace_file(root))

    def do(connection: Connection) -> StepResult:
        changed = store.save(connection, workspace_id, wanted)
        retired = store.retire_named_except(connection, workspace_id, [one.id for one in wanted])
        return StepResult(STEP, counts={"changed": changed, "retired": retired})

    result = work_whole(database, workspace_id, STEP, _determined_by(wanted), do, run_id=run_id)
    result.counts["projects"] = len(wanted)
    return result


def named_projects(workspace_id: str, file: WorkspaceFile) -> list[Project]:
    """The file's projects with their ids. Raises WorkspaceError when two names differ in signs and case only."""
    by_slug: dict[str, Project] = {}
    for one in file.projects:
        slug = name_slug(one.name)
        if slug in by_slug:
            raise WorkspaceError(
                f"workspace.toml of {workspace_id} names two projects alike: {by_slug[slug].name!r} and {one.name!r}. "
                "Give one of them another name."
            )
        project_id = stable_id("P", workspace_id, slug)
        stage = one.stage or "inbox"
        by_slug[slug] = Project(project_id, one.name, one.description or "", stage, "named")
    return list(by_slug.values())


def name_slug(name: str) -> str:
    """Letters and digits of a name, any script, in lower case, joined by `-`; a name without any stays as it is."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return _NOT_A_WORD.sub("-", plain).strip("-") or plain.strip()
