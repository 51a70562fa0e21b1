"""The step `signal_classifications`: which named project a signal belongs to, in two tiers.

Similarity decides what is clear; between the thresholds a small model does, or, without one, shared words (see
`_by_words`). Only named projects are candidates: an initiative's signals come from its cluster, and classifying to what
the last run made would give every run new work. A person's links are never touched (`store/projects.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.prompts import envelope, load_prompt
from elmer_pipelines.models.protocols import Prompt, reject
from elmer_pipelines.models.provenance import drawn_from
from elmer_pipelines.models.redacted import redaction_of
from elmer_pipelines.signals import shared_words
from elmer_pipelines.store import projects as store
from elmer_pipelines.store.projects import Candidate, Classification, Project
from elmer_pipelines.work import SERVICE_WORKERS, Finished, as_record_error, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.determinants import Part
    from elmer_pipelines.models.prompts import PromptFile
    from elmer_pipelines.models.protocols import EmbeddingModel, SimilarityScale, TextModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

STEP = "signal_classifications"
MIN_CHARS = 10  # shorter words say too little to classify (the rule is Elmer's; `store/projects.py` applies it)
_LOGIC = 1
CANDIDATES = 5  # the projects a verification is shown; below the fifth nearest none was ever near
_CHUNK_LOCAL, _CHUNK_MODEL = 1_000, 4  # many at once where nothing waits; few where each may wait for a model
_PROMPT = Path(__file__).parent / "prompts" / "classify_signal.md"
_LOCAL = "local/shared-words-1"
# Static vectors put a short remark low against a project's long description, so without a model, words are looked at
# from below `unrelated` on. The shares of it, and how rare a word must be, were set by reading the sample workspace.
_ONE_WORD_FROM, _TWO_WORDS_FROM = 0.8, 0.35
_COMMON_SHARE, _COMMON_AT_LEAST = 0.025, 3


class Verification(BaseModel):
    """A model's answer about one signal."""

    project_id: str | None = Field(description="id of the project it belongs to, or null")
    reason: str = Field(description="one sentence")


@dataclass(frozen=True)
class Judge:
    """All that decides: the projects, the similarity scale, and who verifies what lies between."""

    projects: tuple[Project, ...]
    scale: SimilarityScale
    embedder: str
    text_model: TextModel | None
    common: frozenset[str] = frozenset()

    @cached_property
    def prompt(self) -> PromptFile:
        """The verification's instructions."""
        return load_prompt(_PROMPT)

    @cached_property
    def by_id(self) -> dict[str, Project]:
        """The projects by id."""
        return {one.id: one for one in self.projects}

    @cached_property
    def words(self) -> dict[str, frozenset[str]]:
        """By project, the words that set it apart from the others and are not said all the time."""
        telling = shared_words.distinctive({one.id: one.text for one in self.projects})
        return {project: words - self.common for project, words in telling.items()}

    @cached_property
    def determinants(self) -> Determinants:
        """All but the signal that determines a decision."""
        model = self.text_model
        if model is None:
            words = {project: sorted(words) for project, words in self.words.items()}
            by: dict[str, Part | object] = {"model": labelled(_LOCAL), "telling_words": words}
        else:
            by = {"prompt": self.prompt.determinant, "model": labelled(model.model)}
        redaction = redaction_of(model)
        if redaction is not None:
            by["redaction"] = redaction.logic
        return Determinants.of(
            projects=[[one.id, one.text_hash] for one in sorted(self.projects, key=lambda one: one.id)],
            **by,
            embedder=labelled(self.embedder),
            thresholds=labelled([self.scale.link, self.scale.unrelated]),
            rules=labelled(_LOGIC),
        )


@dataclass(frozen=True)
class Wanted:
    """What a run would decide: by which judge, about which signals; and what still waits for a vector."""

    judge: Judge
    determinants: dict[str, Determinants]
    signals_without_embedding: int
    projects_without_embedding: int


def wanted_classifications(
    connection: Connection, workspace_id: str, embedder: EmbeddingModel, text_model: TextModel | None
) -> Wanted:
    """What determines the decision about every live signal that has a vector, or needs none."""
    named = store.live(connection, workspace_id, "named")
    ready = store.with_vectors(connection, workspace_id, embedder.model, named)
    inputs = store.unclassified_inputs(connection, workspace_id, embedder.model)
    common = _common_words(connection, workspace_id, ready, len(inputs)) if text_model is None else frozenset[str]()
    judge = Judge(tuple(ready), embedder.scale, embedder.model, text_model, common)
    how = judge.determinants.parts
    found = {
        signal_id: Determinants.of(words=words, interpretation=interpretation, **how)
        for signal_id, words, interpretation, has_vector, too_short in inputs
        if has_vector or too_short
    }
    return Wanted(judge, found, len(inputs) - len(found), len(named) - len(ready))


def classify_signals(
    database: Database,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    *,
    run_id: str | None = None,
) -> StepResult:
    """Decide about every live signal that has a vector and whose words, projects or rules changed.

    Counts: the verdicts of all live signals; signals and projects still without a vector, which wait for theirs.
    """
    with database.begin() as connection:
        wanted = wanted_classifications(connection, workspace_id, embedder, text_model)
    local = text_model is None
    result = work_through(
        database,
        workspace_id,
        STEP,
        wanted.determinants,
        partial(_classify, database, workspace_id, wanted.judge),
        chunk=_CHUNK_LOCAL if local else _CHUNK_MODEL,
        workers=2 if local else SERVICE_WORKERS,
        run_id=run_id,
    )
    with database.begin() as connection:
        result.counts.update(store.verdicts(connection, workspace_id))
    result.counts["signals_without_embedding"] = wanted.signals_without_embedding
    result.counts["projects_without_embedding"] = wanted.projects_without_embedding
    return result


def _common_words(
    connection: Connection, workspace_id: str, projects: Sequence[Project], signals: int
) -> frozenset[str]:
    """The projects' words that so many signals have that sharing one says little."""
    words = sorted({word for one in projects for word in shared_words.stems(one.text)})
    most = max(_COMMON_AT_LEAST, signals * _COMMON_SHARE)
    return frozenset(word for word, number in store.heard(connection, workspace_id, words).items() if number > most)


def _classify(database: Database, workspace_id: str, judge: Judge, signal_ids: Sequence[str]) -> list[Finished]:
    with database.begin() as connection:
        found = store.nearest(connection, workspace_id, judge.embedder, signal_ids, judge.projects, CANDIDATES)
    finished = [_finish(workspace_id, judge, one) for one in found]
    gone = set(signal_ids) - {one.signal_id for one in found}  # deleted meanwhile: there is nothing to save
    return finished + [Finished(signal_id) for signal_id in sorted(gone)]


def _finish(workspace_id: str, judge: Judge, candidate: Candidate) -> Finished:
    try:
        decided = decide(judge, candidate)
    except Exception as error:  # noqa: BLE001 - I8: a verification that fails is that record's outcome, not a guess
        return Finished(candidate.signal_id, error=as_record_error(error))
    return Finished(candidate.signal_id, lambda c: store.save_classification(c, workspace_id, decided))


def decide(judge: Judge, candidate: Candidate) -> Classification:
    """The verdict on one signal: too_short, linked, new_initiative or unsure. Raises ModelFault."""
    signal_id, scale = candidate.signal_id, judge.scale
    if len(candidate.verbatim.strip(" \t\r\n")) < MIN_CHARS:
        reason = f"Fewer than {MIN_CHARS} characters say too little."
        return Classification(signal_id, "too_short", reason, "rule")
    if not candidate.projects:
        return Classification(signal_id, "new_initiative", "The workspace names no project.", "rule")
    nearest, similarity = candidate.projects[0]
    if similarity >= scale.link:
        reason = f"Similarity {similarity:.2f} reaches {scale.link:.2f}, from which {judge.embedder} means the same."
        return Classification(signal_id, "linked", reason, judge.embedder, nearest, similarity)
    if judge.text_model is None and (by_words := _by_words(judge, candidate)):
        return by_words
    if similarity < scale.unrelated:
        reason = f"The nearest project's similarity, {similarity:.2f}, is under {scale.unrelated:.2f}: unrelated."
        return Classification(signal_id, "new_initiative", reason, judge.embedder, None, similarity)
    if judge.text_model is None:
        reason = (
            f"Similarity {similarity:.2f} leaves it open, and it shares no telling word with a project. "
            "Compared by words, without a language model."
        )
        return Classification(signal_id, "unsure", reason, _LOCAL, None, similarity)
    return _verified(judge, judge.text_model, candidate)


def prompts_of(judge: Judge, candidates: Sequence[Candidate]) -> list[Prompt]:
    """What the model has to be asked about these signals: nothing about those that similarity decides."""
    scale = judge.scale
    open_ones = (
        one
        for one in candidates
        if one.projects
        and len(one.verbatim.strip(" \t\r\n")) >= MIN_CHARS
        and scale.unrelated <= one.projects[0][1] < scale.link
    )
    return [_question(judge, one) for one in open_ones]


def _between(judge: Judge, candidate: Candidate) -> list[tuple[str, float]]:
    return [(project, how) for project, how in candidate.projects if how >= judge.scale.unrelated]


def _question(judge: Judge, candidate: Candidate) -> Prompt:
    return Prompt(
        judge.prompt.name, judge.prompt.version, judge.prompt.instructions,
        _material(judge, candidate, _between(judge, candidate)), max_tokens=4_000,
    )  # fmt: skip


def _verified(judge: Judge, model: TextModel, candidate: Candidate) -> Classification:
    with drawn_from([candidate.signal_id]):
        question = _question(judge, candidate)
        answer = model.answer(question, Verification)
    between = _between(judge, candidate)
    similarity = dict(between)
    if answer.project_id is None:
        return Classification(
            candidate.signal_id, "new_initiative", answer.reason, model.model, None, between[0][1], "verified"
        )
    if answer.project_id not in similarity:
        reject(model, question, Verification)
        raise ModelFault(
            "schema",
            f"{model.model} put signal {candidate.signal_id} into a project that was not among those it was shown.",
            next_step="The next run asks again; if it stays so, choose another model with ELMER_MODEL_CLASSIFY.",
            retryable=True,
        )
    return Classification(
        candidate.signal_id, "linked", answer.reason, model.model, answer.project_id,
        similarity[answer.project_id], "verified",
    )  # fmt: skip


def _material(judge: Judge, candidate: Candidate, between: list[tuple[str, float]]) -> str:
    parts = [envelope("signal", candidate.verbatim)]
    if candidate.interpretation:
        parts.append(envelope("interpretation", candidate.interpretation))
    parts += [envelope("project", judge.by_id[project].text, id=project) for project, _ in between]
    return "\n".join(parts)


def _by_words(judge: Judge, candidate: Candidate) -> Classification | None:
    """Linked where it shares one telling word with a near project, or two with one less near; else None."""
    said = shared_words.stems(candidate.verbatim)
    best: tuple[int, float, str, list[str]] | None = None
    for project, similarity in candidate.projects:
        shared = sorted(said & judge.words[project])
        least = _ONE_WORD_FROM if len(shared) == 1 else _TWO_WORDS_FROM
        if shared and similarity >= least * judge.scale.unrelated:
            best = max(best or (0, 0.0, "", []), (len(shared), similarity, project, shared))
    if best is None:
        return None
    _, similarity, project, shared = best
    reason = (
        f"Similarity {similarity:.2f} leaves it open; it shares {', '.join(shared[:5])} with the project. "
        "Compared by words, without a language model."
    )
    return Classification(candidate.signal_id, "linked", reason, _LOCAL, project, similarity, "verified")
