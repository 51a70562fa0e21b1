"""What every step wants, seen without working: what determines each record, and what a model would be asked for it.

Only reads, and asks nobody. What of it is to be done, and what that costs, is in `planning.py` and `estimates.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from elmer_pipelines.artifacts.briefs import BRIEF
from elmer_pipelines.artifacts.generated import Draft
from elmer_pipelines.artifacts.prds import PRD
from elmer_pipelines.artifacts.writing import missing, wanted_artifacts, with_least
from elmer_pipelines.artifacts.writing import prompts_of as artifact_prompts
from elmer_pipelines.clusters.clustering import standing, wanted_clusters
from elmer_pipelines.clusters.theme_prompt import ThemeAnswer
from elmer_pipelines.clusters.theming import prompts_of as theme_prompts
from elmer_pipelines.clusters.theming import wanted_themes
from elmer_pipelines.clusters.trending import wanted_trends
from elmer_pipelines.documents.ingest import wanted_documents, wanted_knowledge
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ledger import raw_answer
from elmer_pipelines.models.anew import is_asked_anew
from elmer_pipelines.models.naming import split_model
from elmer_pipelines.models.recorded import prompt_fingerprint
from elmer_pipelines.models.redacted import redacted_material, redaction_of, unredacted
from elmer_pipelines.projects.initiatives import wanted_initiatives
from elmer_pipelines.projects.named import wanted_projects
from elmer_pipelines.signals import classification
from elmer_pipelines.signals.claude_extractor import ClaudeExtractor, FoundSignals
from elmer_pipelines.signals.duplicate_groups import wanted_duplicates
from elmer_pipelines.signals.embedding import resent, sent_otherwise, wanted_embeddings
from elmer_pipelines.signals.extraction import document_of, wanted_signals
from elmer_pipelines.signals.redacted_extractor import RedactedExtractor, redacted_document
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import embeddings as embedding_store
from elmer_pipelines.store import journal
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import signals as signal_store
from elmer_pipelines.work import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel
    from sqlalchemy import Connection

    from elmer_pipelines.artifacts.writing import Kind
    from elmer_pipelines.determinants import Determinants
    from elmer_pipelines.models.choosing import Purpose
    from elmer_pipelines.models.protocols import Prompt, RawAnswer, TextModel
    from elmer_pipelines.models.recorded import RawTextModel
    from elmer_pipelines.pipeline import Pipeline

CHARS_PER_TOKEN = 3  # fewer than English has (about 4), so that an estimate is rather too high
_MOST_INPUTS, _MOST_TOKENS = 2_048, 300_000  # of one request for embeddings (`models/openai_embeddings.py`)


@dataclass(frozen=True)
class Asked:
    """What some records would have a model asked: requests that would be sent, answers that are stored, characters."""

    calls: int = 0
    cached: int = 0
    chars: int = 0


@dataclass(frozen=True)
class Demand:
    """What a step wants: what determines each record; and, where a service's model works it, what that is asked.

    `model` is the name answers and vectors are kept under, None for a step without one; `asked` is None where nothing
    is sent. `provider` is `anthropic`, `openai` or `local`; `missing` are the records whose file somebody deleted;
    `doing` says of a record what working it would come to, where that is more to the point than what changed.
    """

    determinants: Mapping[str, Determinants]
    model: str | None = None
    provider: str = "local"
    asked: Callable[[Connection, Sequence[str]], Asked] | None = None
    missing: frozenset[str] = frozenset()
    doing: Mapping[str, str] = field(default_factory=dict)


def demand(pipeline: Pipeline, connection: Connection, workspace_id: str, step: str) -> Demand:
    """What the step wants of the workspace as it is now. Raises WorkspaceError; KeyError for no step."""
    return _DEMANDS[step](pipeline, connection, workspace_id)


def _documents(pipeline: Pipeline, _: Connection, workspace_id: str) -> Demand:
    return Demand(wanted_documents(pipeline.database, workspace_id, pipeline.root(workspace_id)))


def _knowledge(pipeline: Pipeline, _: Connection, workspace_id: str) -> Demand:
    return Demand(wanted_knowledge(pipeline.root(workspace_id)))


def _signals(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    extractor = pipeline.extractor(workspace_id=workspace_id)
    wanted = wanted_signals(connection, workspace_id, extractor)
    asking = extractor.inner if isinstance(extractor, RedactedExtractor) else extractor
    model = pipeline.asked_model("extract", workspace_id)
    if model is None or not isinstance(asking, ClaudeExtractor):
        return Demand(wanted, extractor.name)
    redaction = redaction_of(model)

    def asked(connection: Connection, ids: Sequence[str]) -> Asked:
        documents = [document_of(row) for row in document_store.load(connection, workspace_id, ids)]
        if redaction is not None:
            documents = [redacted_document(one, redaction)[0] for one in documents]
        prompts = [prompt for one in documents for prompt in asking.prompts(one)]
        return _asked(connection, workspace_id, prompts, FoundSignals, model)

    return Demand(wanted, extractor.name, _provider(pipeline, "extract"), asked)


def _signal_embeddings(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    def texts(connection: Connection, ids: Sequence[str]) -> Mapping[str, str]:
        return signal_store.verbatims(connection, workspace_id, ids)

    hashes = signal_store.live_texts(connection, workspace_id)
    return _embeddings(pipeline, connection, workspace_id, "signal_embeddings", hashes, texts)


def _project_embeddings(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    projects = {one.id: one for one in project_store.live(connection, workspace_id)}

    def texts(_: Connection, ids: Sequence[str]) -> Mapping[str, str]:
        return {one: projects[one].text for one in ids}

    hashes = {one.id: one.text_hash for one in projects.values()}
    return _embeddings(pipeline, connection, workspace_id, "project_embeddings", hashes, texts)


def _embeddings(
    pipeline: Pipeline,
    connection: Connection,
    workspace_id: str,
    step: str,
    hashes: Mapping[str, str],
    texts_of: Callable[[Connection, Sequence[str]], Mapping[str, str]],
) -> Demand:
    model = pipeline.embedder.model
    if model.startswith("local/"):
        return Demand(wanted_embeddings(hashes, model), model)
    redaction = pipeline.redaction(workspace_id)
    sent = {} if redaction is None else sent_otherwise(connection, list(hashes), texts_of, redaction)
    wanted = wanted_embeddings(hashes, model, sent)
    again = {hashes[one] for one in resent(connection, workspace_id, step, wanted)}

    def asked(connection: Connection, ids: Sequence[str]) -> Asked:
        own = {hashes[one]: one for one in ids}
        missing = again & own.keys() | set(embedding_store.missing(connection, workspace_id, model, list(own)))
        texts = texts_of(connection, [own[one] for one in missing])
        chars = sum(len(text) for text in texts.values())
        requests = max(-(-len(missing) // _MOST_INPUTS), -(-chars // (CHARS_PER_TOKEN * _MOST_TOKENS)))
        return Asked(requests, len(ids) - len(missing), chars)

    return Demand(wanted, model, "openai", asked)


def _duplicates(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    return Demand(wanted_duplicates(connection, workspace_id, pipeline.embedder))


def _clusters(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    wanted = wanted_clusters(connection, workspace_id, pipeline.embedder)
    decision = standing(connection, workspace_id, pipeline.embedder).decision
    return Demand(wanted, doing={WHOLE: decision.said})


def _themes(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    model = pipeline.asked_model("generate", workspace_id)
    wanted = wanted_themes(connection, workspace_id, pipeline.embedder, model, pipeline.redaction(workspace_id))
    if model is None:
        return Demand(wanted.determinants)
    name = model.model

    def asked(connection: Connection, ids: Sequence[str]) -> Asked:
        prompts = theme_prompts(connection, workspace_id, wanted)
        return _asked(connection, workspace_id, [prompts[one] for one in ids], ThemeAnswer, model)

    return Demand(wanted.determinants, name, _provider(pipeline, "generate"), asked)


def _trends(_: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    return Demand(wanted_trends(connection, workspace_id))


def _projects(pipeline: Pipeline, _: Connection, workspace_id: str) -> Demand:
    return Demand(wanted_projects(workspace_id, pipeline.root(workspace_id)))


def _classifications(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    model = pipeline.asked_model("classify", workspace_id)
    wanted = classification.wanted_classifications(connection, workspace_id, pipeline.embedder, model)
    if model is None:
        return Demand(wanted.determinants)
    name, judge = model.model, wanted.judge

    def asked(connection: Connection, ids: Sequence[str]) -> Asked:
        near = project_store.nearest(
            connection, workspace_id, judge.embedder, ids, judge.projects, classification.CANDIDATES
        )
        prompts = classification.prompts_of(judge, near)
        return _asked(connection, workspace_id, prompts, classification.Verification, model)

    return Demand(wanted.determinants, name, _provider(pipeline, "classify"), asked)


def _initiatives(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    automation = pipeline.workspace_file(workspace_id).automation
    return Demand(wanted_initiatives(connection, workspace_id, automation, pipeline.embedder.scale))


def _briefs(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    return _artifacts(pipeline, connection, workspace_id, BRIEF)


def _prds(pipeline: Pipeline, connection: Connection, workspace_id: str) -> Demand:
    least = pipeline.workspace_file(workspace_id).automation.prd_signals
    return _artifacts(pipeline, connection, workspace_id, with_least(PRD, least))


def _artifacts(pipeline: Pipeline, connection: Connection, workspace_id: str, kind: Kind) -> Demand:
    model = pipeline.asked_model("generate", workspace_id)
    wanted = wanted_artifacts(connection, workspace_id, model, pipeline.artifact_folder, kind, pipeline.embedder.model)
    gone = frozenset(missing(connection, workspace_id, kind))
    if model is None:
        return Demand(wanted.determinants, missing=gone)
    name = model.model

    def asked(connection: Connection, ids: Sequence[str]) -> Asked:
        return _asked(connection, workspace_id, artifact_prompts(wanted, ids, model), Draft, model)

    return Demand(wanted.determinants, name, _provider(pipeline, "generate"), asked, gone)


def _provider(pipeline: Pipeline, purpose: Purpose) -> str:
    return split_model(getattr(pipeline.settings, f"model_{purpose}"))[0]


def _asked(
    connection: Connection, workspace_id: str, prompts: Sequence[Prompt], schema: type[BaseModel], model: TextModel
) -> Asked:
    """The same question twice is one call; a stored answer is none, but for a fault that is asked anew."""
    redaction = redaction_of(model)
    if redaction is not None:
        prompts = [replace(one, material=redacted_material(one.material, redaction)) for one in prompts]
    marks = {prompt_fingerprint(prompt, schema, model.model): prompt for prompt in prompts}
    stored = journal.answered(connection, workspace_id, list(marks))
    if is_asked_anew():
        answers = journal.answers(connection, workspace_id, sorted(stored))
        stored = {mark for mark, answer in answers.items() if _serves(raw_answer(answer), schema, model)}
    form = len(str(schema.model_json_schema()))
    sent = [prompt for mark, prompt in marks.items() if mark not in stored]
    chars = sum(len(prompt.instructions) + len(prompt.material) + form for prompt in sent)
    return Asked(len(sent), len(stored), chars)


def _serves(answer: RawAnswer, schema: type[BaseModel], model: TextModel) -> bool:
    """Whether a stored answer is one, and no refusal and not cut off, which a person wants asked for once more."""
    adapter = cast("RawTextModel", unredacted(model))
    try:
        adapter.parse(answer, schema)
    except ModelFault:
        return False
    return True


_DEMANDS: dict[str, Callable[[Pipeline, Connection, str], Demand]] = {
    "documents": _documents,
    "knowledge": _knowledge,
    "signals": _signals,
    "signal_embeddings": _signal_embeddings,
    "duplicate_signals": _duplicates,
    "signal_clusters": _clusters,
    "cluster_themes": _themes,
    "cluster_trends": _trends,
    "projects": _projects,
    "project_embeddings": _project_embeddings,
    "signal_classifications": _classifications,
    "initiatives": _initiatives,
    "research_briefs": _briefs,
    "prds": _prds,
}
