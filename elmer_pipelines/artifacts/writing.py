"""How a kind of artifact is made for every project that has evidence: what is pending, versions, citations, files.

What differs between kinds is in `briefs.py` and `prds.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from elmer_pipelines.artifacts import citations, composed, files, generated, page
from elmer_pipelines.artifacts.evidence import gather
from elmer_pipelines.artifacts.grouping import group, vectors_of
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.ids import stable_id
from elmer_pipelines.models.prompts import load_prompt
from elmer_pipelines.models.provenance import drawn_from
from elmer_pipelines.store import artifacts as store
from elmer_pipelines.store import outcomes
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store.artifacts import Artifact
from elmer_pipelines.work import SERVICE_WORKERS, one_by_one, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.artifacts.composed import Material
    from elmer_pipelines.artifacts.evidence import Case
    from elmer_pipelines.determinants import Part
    from elmer_pipelines.models.prompts import PromptFile
    from elmer_pipelines.models.protocols import Prompt, TextModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

_PROMPTS = Path(__file__).parent / "prompts"
_WORKERS = 4


@dataclass(frozen=True)
class Kind:
    """A kind of artifact: `step` makes it, as `name` it is stored, in `file_name` it lies on disk."""

    step: str
    name: str
    title: str
    file_name: str
    prompt: str
    compose: Callable[[Material], str]
    least_signals: int = 1


@dataclass(frozen=True)
class Wanted:
    """By project: what there is to write from, what determines the text, and, with the file's place, the record."""

    prompt: PromptFile
    cases: dict[str, Case]
    texts: dict[str, Determinants]
    paths: dict[str, str]
    determinants: dict[str, Determinants]


def wanted_artifacts(
    connection: Connection,
    workspace_id: str,
    text_model: TextModel | None,
    folder: str,
    kind: Kind,
    embedding_model: str | None = None,
) -> Wanted:
    """What determines the artifact of every project that gets one; another place alone makes no new version.

    `embedding_model` is the one in use, by whose vectors evidence is grouped where no model writes.
    """
    prompt = load_prompt(_PROMPTS / kind.prompt)
    cases = {one.project.id: one for one in _cases(connection, workspace_id, kind)}
    folders = files.folder_names(project_store.names_ever(connection, workspace_id))
    by = _written_by(kind, prompt, text_model, embedding_model)
    texts = {one: _determined_by(case, by, text_model) for one, case in cases.items()}
    paths = {one: files.path_of(folder, workspace_id, folders[one], kind.file_name) for one in texts}
    wanted = {one: Determinants.of(**text.parts, file=labelled(paths[one])) for one, text in texts.items()}
    return Wanted(prompt, cases, texts, paths, wanted)


def prompts_of(wanted: Wanted, project_ids: Iterable[str], model: TextModel) -> list[Prompt]:
    """What the model is asked for these projects; a project without evidence needs none."""
    cases = (wanted.cases[one] for one in project_ids)
    return [generated.request(case, wanted.prompt, model) for case in cases if case.evidence]


def write_all(
    database: Database,
    workspace_id: str,
    text_model: TextModel | None,
    folder: str,
    kind: Kind,
    *,
    embedding_model: str | None = None,
    run_id: str | None,
) -> StepResult:
    """A new version of the artifact for every project whose evidence, prompt or model changed.

    A project that has one keeps it up to date even when it has fewer signals than the least now. Counts: projects,
    finals and drafts, and files by path in the table `artifacts`.
    """
    with database.begin() as connection:
        wanted = wanted_artifacts(connection, workspace_id, text_model, folder, kind, embedding_model)

    def do(one: str) -> Callable[[Connection], None]:
        return _write(
            database, workspace_id, wanted.cases[one], kind, wanted.prompt, text_model, wanted.paths[one],
            wanted.texts[one].fingerprint, embedding_model,
        )  # fmt: skip

    _forget_missing(database, workspace_id, kind)
    workers = _WORKERS if text_model is None else SERVICE_WORKERS
    result = work_through(
        database, workspace_id, kind.step, wanted.determinants, one_by_one(do), workers=workers, run_id=run_id
    )
    with database.begin() as connection:
        _remove_left_behind(connection, workspace_id, kind)
        _report(connection, workspace_id, kind, result)
    return result


def _forget_missing(database: Database, workspace_id: str, kind: Kind) -> None:
    """A file that somebody deleted is written again, without a new version."""
    with database.begin() as connection:
        outcomes.forget(connection, workspace_id, kind.step, missing(connection, workspace_id, kind))


def missing(connection: Connection, workspace_id: str, kind: Kind) -> list[str]:
    """The projects whose artifact is not in the file where it was written."""
    known = store.listing(connection, workspace_id, kind.name)
    return [one["project_id"] for one in known if one["file"] and not files.exists(one["file"])]


def _remove_left_behind(connection: Connection, workspace_id: str, kind: Kind) -> None:
    """A file of a project that is gone would cite signals nobody can look up; its text stays in the database."""
    for artifact in store.left_behind(connection, workspace_id, kind.name):
        if artifact.file is not None:
            files.remove(artifact.file)
            store.set_file(connection, workspace_id, artifact.id, None)


def _cases(connection: Connection, workspace_id: str, kind: Kind) -> list[Case]:
    numbers = store.linked_counts(connection, workspace_id)
    existing = {one["project_id"] for one in store.listing(connection, workspace_id, kind.name)}
    return [
        gather(connection, workspace_id, project)
        for project in project_store.live(connection, workspace_id)
        if numbers.get(project.id, 0) >= _least(kind, project.origin) or project.id in existing
    ]


def _least(kind: Kind, origin: str) -> int:
    """A project that somebody named gets its artifacts from the first signal on; an initiative has a threshold."""
    return 1 if origin == "named" else kind.least_signals


def logic(kind: Kind, text_model: TextModel | None, embedding_model: str) -> dict[str, Part]:
    """What determines an artifact of this kind whatever the project."""
    return _written_by(kind, load_prompt(_PROMPTS / kind.prompt), text_model, embedding_model)


def _written_by(
    kind: Kind, prompt: PromptFile, model: TextModel | None, embedding_model: str | None = None
) -> dict[str, Part]:
    if model is None:
        grouped = {"grouped_by": labelled(embedding_model)} if embedding_model else {}
        return {"kind": labelled(kind.name), "model": labelled(composed.WRITTEN_BY), **grouped}
    return {
        "kind": labelled(kind.name),
        "prompt": prompt.determinant,
        "model": labelled(model.model),
        "layout": labelled(generated.LAYOUT),
    }


def _determined_by(case: Case, by: dict[str, Part], model: TextModel | None) -> Determinants:
    if model is not None:
        seen = generated.as_sent(case, model)
        if seen != case:
            by = {**by, "redacted": labelled(seen.determinants().fingerprint, "what the model sees")}
    return Determinants.of(**case.determinants().parts, **by)


def _write(
    database: Database,
    workspace_id: str,
    case: Case,
    kind: Kind,
    prompt: PromptFile,
    model: TextModel | None,
    path: str,
    determined_by: str,
    embedding_model: str | None,
) -> Callable[[Connection], None]:
    """Make the text, put the file in place, and return how to commit the row that names it."""
    with database.begin() as connection:
        before = store.newest(connection, workspace_id, case.project.id, kind.name)
        known = store.linked_ids(connection, workspace_id, case.project.id)
        vectors = vectors_of(connection, workspace_id, case.evidence, embedding_model)
    if before is not None and before.fingerprint == determined_by:
        files.write_text(path, before.text)
        return lambda connection: store.set_file(connection, workspace_id, before.id, path)
    with drawn_from(known):
        text = _text(case, kind, prompt, model, vectors)
    found = citations.parse(text, known)
    version = before.version + 1 if before else 1
    artifact = Artifact(
        id=stable_id("A", workspace_id, case.project.id, kind.name, str(version)),
        project_id=case.project.id,
        kind=kind.name,
        version=version,
        status="draft" if citations.unresolved(found) else "final",
        title=f"{case.project.name}: {kind.title}",
        text=text,
        written_by=composed.WRITTEN_BY if model is None or not case.evidence else model.model,
        fingerprint=determined_by,
        file=path,
    )
    files.write_text(path, text)
    return lambda connection: store.insert(connection, workspace_id, artifact, found)


def _text(
    case: Case, kind: Kind, prompt: PromptFile, model: TextModel | None, vectors: dict[str, NDArray[np.float32]]
) -> str:
    if model is None or not case.evidence:
        body = kind.compose(composed.Material(case, group(case, vectors)))
    else:
        body = generated.body(case, prompt, model, kind.title)
    cited = {one.signal_id for one in citations.parse(body)}
    return f"{body}\n\n{page.evidence_section(case, cited)}\n" if cited else f"{body}\n"


def _report(connection: Connection, workspace_id: str, kind: Kind, result: StepResult) -> None:
    rows = store.listing(connection, workspace_id, kind.name)
    result.counts["projects"] = len(rows)
    result.counts["final"] = sum(row["status"] == "final" for row in rows)
    result.counts["draft"] = sum(row["status"] == "draft" for row in rows)
    result.counts["citations"] = sum(row["citations"] for row in rows)
    result.counts["unresolved_citations"] = sum(row["unresolved"] for row in rows)
    keys = ("project", "version", "status", "citations", "unresolved", "file")
    result.tables[kind.step] = [{key: row[key] for key in keys} for row in rows[:20]]


def with_least(kind: Kind, least_signals: int) -> Kind:
    """The kind, made only for projects with at least so many signals."""
    return replace(kind, least_signals=least_signals)
