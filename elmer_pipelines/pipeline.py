"""The steps in their order, each one call: what assets, the command and tests use to bring a workspace up to date.

No step's work is here, only which models and settings it is given.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from elmer_pipelines.accounts import BudgetPurse, SharedAllowance
from elmer_pipelines.batching.running import Batching
from elmer_pipelines.documents.ingest import SourceChanges, ingest_documents, ingest_knowledge, source_changes
from elmer_pipelines.documents.workspace_file import WorkspaceFile, read_workspace_file
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.breaker import Breaker
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.choosing import Purpose, account, embedding_model, is_local, text_model
from elmer_pipelines.models.limited import Limiter
from elmer_pipelines.models.recorded import CallContext
from elmer_pipelines.models.redacted import RedactedEmbeddings, RedactedText, redaction_of
from elmer_pipelines.models.redaction import Redaction
from elmer_pipelines.steps import expecting
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import signals as signal_store
from elmer_pipelines.store import workspaces
from elmer_pipelines.work import SERVICE_WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.models.anthropic_text import AnthropicText
    from elmer_pipelines.models.openai_text import OpenAIText
    from elmer_pipelines.models.protocols import EmbeddingModel, TextModel
    from elmer_pipelines.settings import Settings
    from elmer_pipelines.signals.model import Extractor
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

_LOCAL_CHUNK = 200  # documents handed to the local extractor at once

STEPS = (
    "documents",
    "knowledge",
    "signals",
    "signal_embeddings",
    "duplicate_signals",
    "signal_clusters",
    "cluster_themes",
    "cluster_trends",
    "projects",
    "project_embeddings",
    "signal_classifications",
    "initiatives",
    "research_briefs",
    "prds",
)


class Pipeline:
    """One installation's steps; each takes a workspace's id and returns what it did.

    Models are made once and shared by threads. Every step raises WorkspaceError for an unknown workspace; what concerns
    single records becomes their outcome and is counted in the result.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self._guard = threading.Lock()
        self._embedder: EmbeddingModel | None = None
        self._text_models: dict[Purpose, AnthropicText | OpenAIText | None] = {}
        self._local_extractor: Extractor | None = None
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self.batching = Batching(settings, database)

    def root(self, workspace_id: str) -> str:
        """The workspace's folder. Raises WorkspaceError."""
        with self.database.begin() as connection:
            return workspaces.get(connection, workspace_id).root

    def workspace_file(self, workspace_id: str) -> WorkspaceFile:
        """The workspace's own settings. Raises WorkspaceError."""
        return read_workspace_file(self.root(workspace_id))

    def redaction(self, workspace_id: str) -> Redaction | None:
        """What the workspace keeps back from services; None where it does not. Raises WorkspaceError."""
        privacy = self.workspace_file(workspace_id).privacy
        return Redaction(privacy.terms) if privacy.redact else None

    def changes(self, workspace_id: str) -> SourceChanges:
        """How the workspace's folder differs from what is stored. Raises WorkspaceError."""
        return source_changes(self.database, workspace_id, self.root(workspace_id))

    def run(self, step: str, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """One of STEPS by its name."""
        if step not in STEPS:
            raise ValueError(f"no step {step!r}; there are {', '.join(STEPS)}")
        work: Callable[..., StepResult] = getattr(self, step)
        return work(workspace_id, run_id=run_id)

    def documents(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Files into documents."""
        return ingest_documents(self.database, workspace_id, self.root(workspace_id), run_id=run_id)

    def knowledge(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """The workspace's background texts."""
        return ingest_knowledge(self.database, workspace_id, self.root(workspace_id), run_id=run_id)

    def signals(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Documents into placed signals."""
        from elmer_pipelines.signals.extraction import extract_signals

        ledger = self.ledger(workspace_id, "signals", run_id)
        extractor = self.extractor(ledger)
        local = is_local(extractor.name)
        began = time.monotonic()
        work = partial(
            extract_signals,
            self.database,
            workspace_id,
            extractor,
            chunk=_LOCAL_CHUNK if local else 1,
            workers=2 if local else SERVICE_WORKERS,
            run_id=run_id,
        )
        with expecting(0 if local else self._windows(workspace_id)):
            result = self.batching.worked(ledger, work)
        if local and result.done:
            ledger.note_local(extractor.name, result.done, time.monotonic() - began)
        result.counts["extractor"] = extractor.name
        return _accounted(result, ledger)

    def _windows(self, workspace_id: str) -> int:
        """In how many parts a model is asked about all documents together."""
        from elmer_pipelines.signals.claude_extractor import WINDOW_CHARS

        with self.database.begin() as connection:
            listed = document_store.listing(connection, workspace_id)
        return sum(-(-one["characters"] // WINDOW_CHARS) for one in listed)

    def signal_embeddings(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """A vector for every live signal."""
        with self.database.begin() as connection:
            hashes = signal_store.live_texts(connection, workspace_id)

        def texts(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
            return signal_store.verbatims(connection, workspace_id, ids)

        return self._embed("signal_embeddings", workspace_id, hashes, texts, run_id)

    def project_embeddings(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """A vector for every project."""
        with self.database.begin() as connection:
            projects = {one.id: one for one in project_store.live(connection, workspace_id)}
        hashes = {one.id: one.text_hash for one in projects.values()}

        def chosen(_: Connection, ids: Sequence[str]) -> dict[str, str]:
            return {one: projects[one].text for one in ids}

        return self._embed("project_embeddings", workspace_id, hashes, chosen, run_id)

    def _embed(
        self,
        step: str,
        workspace_id: str,
        hashes: dict[str, str],
        texts: Callable[[Connection, Sequence[str]], dict[str, str]],
        run_id: str | None,
    ) -> StepResult:
        from elmer_pipelines.signals.embedding import embed_records

        ledger = self.ledger(workspace_id, step, run_id)
        embedder = self.recorded_embedder(ledger)
        began = time.monotonic()
        work = partial(embed_records, self.database, workspace_id, step, hashes, texts, embedder, run_id=run_id)
        result = self.batching.worked(ledger, work)
        if is_local(embedder.model) and result.done:
            ledger.note_local(embedder.model, result.done, time.monotonic() - began)
        return _accounted(result, ledger)

    def duplicate_signals(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Groups of signals that say the same."""
        from elmer_pipelines.signals.duplicate_groups import group_duplicates

        return group_duplicates(self.database, workspace_id, self.embedder, run_id=run_id)

    def signal_clusters(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Signals grouped by need, under ids that last."""
        from elmer_pipelines.clusters.clustering import cluster_signals

        return cluster_signals(self.database, workspace_id, self.embedder, run_id=run_id)

    def ask_for_nightly_clustering(self, workspace_id: str) -> bool:
        """Have the next run cluster everything again where enough has changed since the last time; True if so."""
        from elmer_pipelines.clusters.clustering import ask_nightly

        return ask_nightly(self.database, workspace_id, self.embedder)

    def cluster_themes(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """A name and a summary for every cluster."""
        from elmer_pipelines.clusters.theming import name_clusters

        ledger = self.ledger(workspace_id, "cluster_themes", run_id)
        model = self.text_model("generate", ledger)
        redaction = self.redaction(workspace_id)
        work = partial(
            name_clusters, self.database, workspace_id, self.embedder, model, redaction=redaction, run_id=run_id
        )
        return _accounted(self.batching.worked(ledger, work), ledger)

    def cluster_trends(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """How often each cluster was heard, by week."""
        from elmer_pipelines.clusters.trending import follow_trends

        return follow_trends(self.database, workspace_id, self.settings, run_id=run_id)

    def projects(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """The projects that workspace.toml names."""
        from elmer_pipelines.projects.named import run_projects

        return run_projects(self.database, workspace_id, self.root(workspace_id), run_id=run_id)

    def signal_classifications(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Signals linked to projects."""
        from elmer_pipelines.signals.classification import classify_signals

        ledger = self.ledger(workspace_id, "signal_classifications", run_id)
        model = self.text_model("classify", ledger)
        work = partial(classify_signals, self.database, workspace_id, self.embedder, model, run_id=run_id)
        return _accounted(self.batching.worked(ledger, work), ledger)

    def initiatives(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """Clusters that become projects, which get their vectors at once: the next run finds nothing left to do."""
        from elmer_pipelines.clusters.actions import suggest_actions
        from elmer_pipelines.projects.initiatives import decide_initiatives

        automation = self.workspace_file(workspace_id).automation
        with self.database.begin() as connection:
            suggest_actions(connection, workspace_id, self.embedder)
        result = decide_initiatives(self.database, workspace_id, automation, self.embedder.scale, run_id=run_id)
        embedded = self.project_embeddings(workspace_id, run_id=run_id)
        result.model_calls, result.cost_usd = embedded.model_calls, embedded.cost_usd
        return result

    def research_briefs(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """A research brief for every project with evidence."""
        from elmer_pipelines.artifacts.briefs import write_research_briefs

        ledger = self.ledger(workspace_id, "research_briefs", run_id)
        model = self.text_model("generate", ledger)
        work = partial(
            write_research_briefs, self.database, workspace_id, model, self.artifact_folder,
            embedding_model=self.embedder.model, run_id=run_id,
        )  # fmt: skip
        return _accounted(self.batching.worked(ledger, work), ledger)

    def prds(self, workspace_id: str, *, run_id: str | None = None) -> StepResult:
        """A PRD for every project with enough evidence."""
        from elmer_pipelines.artifacts.prds import write_prds

        ledger = self.ledger(workspace_id, "prds", run_id)
        model = self.text_model("generate", ledger)
        enough = self.workspace_file(workspace_id).automation.prd_signals
        work = partial(
            write_prds, self.database, workspace_id, model, self.artifact_folder, minimum_signals=enough,
            embedding_model=self.embedder.model, run_id=run_id,
        )  # fmt: skip
        return _accounted(self.batching.worked(ledger, work), ledger)

    @property
    def artifact_folder(self) -> str:
        """Where artifacts are written: an absolute path or an fsspec URL."""
        return self.settings.place(self.settings.context_path)

    def extractor(self, ledger: Ledger | None = None, workspace_id: str | None = None) -> Extractor:
        """Claude where there is a key, else the local heuristic; without a ledger only to see what it would be asked,
        by this workspace where one is given."""
        asking = ledger is None and workspace_id is not None
        model = self.asked_model("extract", workspace_id or "") if asking else self.text_model("extract", ledger)
        if model is not None:
            from elmer_pipelines.signals.claude_extractor import ClaudeExtractor
            from elmer_pipelines.signals.redacted_extractor import RedactedExtractor

            redaction = redaction_of(model)
            claude = ClaudeExtractor(model)
            return claude if redaction is None else RedactedExtractor(claude, redaction)
        if self._local_extractor is None:
            from elmer_pipelines.signals.local_extractor import LocalExtractor

            self._local_extractor = LocalExtractor()
        return self._local_extractor

    @property
    def embedder(self) -> EmbeddingModel:
        """The model whose vectors are used; for reading vectors and scales, not for sending texts."""
        return self.recorded_embedder(None)

    def recorded_embedder(self, ledger: Ledger | None) -> EmbeddingModel:
        """The embedding model in use, its calls in the ledger where it is a service."""
        from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings

        with self._guard:
            if self._embedder is None:
                self._embedder = embedding_model(self.settings)
        if ledger is not None and isinstance(self._embedder, OpenAIEmbeddings):
            limiter = self.limiter("openai", self._embedder.service_model)
            breaker = self.breaker("openai", self._embedder.service_model)
            behind = self.batching.behind_vectors(ledger, self._embedder, breaker)
            chain = embedding_chain(
                self._embedder, ledger, ledger.context, purse=ledger.purse, limiter=limiter, breaker=breaker,
                behind_cache=behind,
            )  # fmt: skip
            redaction = self.redaction(ledger.context.workspace_id)
            return chain if redaction is None else RedactedEmbeddings(chain, redaction)
        return self._embedder

    def text_model(self, purpose: Purpose, ledger: Ledger | None = None) -> TextModel | None:
        """The Claude model set for this purpose, its calls in the ledger; None without a key."""
        with self._guard:
            if purpose not in self._text_models:
                self._text_models[purpose] = text_model(self.settings, purpose)
        model = self._text_models[purpose]
        if model is None or ledger is None:
            return model
        limiter = self.limiter(model.provider, model.model)
        breaker = self.breaker(model.provider, model.model)
        behind = self.batching.behind_answers(ledger, model, breaker)
        chain = text_chain(
            model, ledger, ledger.context, purse=ledger.purse, limiter=limiter, breaker=breaker, behind_cache=behind
        )
        return self._redacted(chain, ledger.context.workspace_id)

    def asked_model(self, purpose: Purpose, workspace_id: str) -> TextModel | None:
        """The model as a step of this workspace has it, but for the ledger: to see what it would be asked."""
        model = self.text_model(purpose)
        return None if model is None else self._redacted(model, workspace_id)

    def _redacted(self, model: TextModel, workspace_id: str) -> TextModel:
        redaction = self.redaction(workspace_id)
        return model if redaction is None else RedactedText(model, redaction)

    def limiter(self, provider: str, model: str) -> Limiter:
        """The one that all calls of this process to a model wait for."""
        name = account(self.settings, provider)
        with self._guard:
            if (name, model) not in self._limiters:
                self._limiters[name, model] = Limiter(SharedAllowance(self.database, name, model))
            return self._limiters[name, model]

    def breaker(self, provider: str, model: str) -> Breaker:
        """The one that knows whether the service refuses this process's key or its model."""
        with self._guard:
            return self._breakers.setdefault((account(self.settings, provider), model), Breaker())

    def ledger(self, workspace_id: str, step: str, run_id: str | None = None) -> Ledger:
        """The journal of one step, with a purse where a budget is set. Raises WorkspaceError."""
        context = CallContext(workspace_id, step, run_id)
        cap, own = self.settings.budget_usd, self.workspace_file(workspace_id).models.budget_usd
        if cap is None and own is None:
            return Ledger(self.database, context)
        return Ledger(self.database, context, BudgetPurse(self.database, context, cap, own))

    def close(self) -> None:
        """Give back the models' connections and the database's."""
        for client in (*self._text_models.values(), self._embedder):
            close = getattr(client, "close", None)
            if close is not None:
                close()
        self.batching.close()
        self.database.close()


def _accounted(result: StepResult, ledger: Ledger) -> StepResult:
    ledger.flush()
    result.model_calls = ledger.calls
    result.cost_usd = ledger.cost_usd
    if ledger.unpriced:
        result.counts["calls_without_a_known_price"] = ledger.unpriced
    left = result.counts.get("left")
    if isinstance(left, int) and ledger.purse is not None:
        each = ledger.cost_usd / result.done if result.done and ledger.cost_usd else ledger.purse.largest_usd
        result.counts["left_would_cost_usd"] = round(left * each, 4)
    return result
