"""Message batches of one installation: the services there are keys for, and what a step's models get of them.

How requests are kept is in `asking.py`, how batches are sent and collected in the modules named so.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from elmer_pipelines.batching import patience
from elmer_pipelines.batching.asking import Asked, BatchedPacks, BatchedText, StepBatches
from elmer_pipelines.batching.collecting import Collected, collect, ended
from elmer_pipelines.models.choosing import batch_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from elmer_pipelines.ledger import Ledger
    from elmer_pipelines.models.anthropic_batches import AnthropicBatches
    from elmer_pipelines.models.anthropic_text import AnthropicText
    from elmer_pipelines.models.breaker import Breaker
    from elmer_pipelines.models.openai_batches import OpenAIBatches
    from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
    from elmer_pipelines.models.openai_text import OpenAIText
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel
    from elmer_pipelines.settings import Settings
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.batches import Batch
    from elmer_pipelines.store.database import Database

    Service = AnthropicBatches | OpenAIBatches


class Batching:
    """The batches of one installation; shared by threads. Local models have none."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._guard = threading.Lock()
        self._known: dict[str, Service] | None = None
        self._of_steps: WeakKeyDictionary[Ledger, StepBatches] = WeakKeyDictionary()

    def behind_answers(
        self, ledger: Ledger, model: AnthropicText | OpenAIText, breaker: Breaker
    ) -> Callable[[RawTextModel], RawTextModel]:
        """What stands behind the cache of a text model of the ledger's step."""
        service = self._services()[model.provider]
        batches = self._of_step(ledger, service, Asked(model.model, model.model), patience.TEXT_CALLS, breaker)
        return partial(BatchedText, batches=batches, request=model.request)

    def behind_vectors(
        self, ledger: Ledger, model: OpenAIEmbeddings, breaker: Breaker
    ) -> Callable[[PackedEmbeddings], PackedEmbeddings]:
        """What stands in front of the requests of an embedding model of the ledger's step."""
        service = self._services()["openai embeddings"]
        asked = Asked(model.model, model.service_model, model.dimensions)
        batches = self._of_step(ledger, service, asked, patience.EMBEDDED_TEXTS, breaker)
        return partial(BatchedPacks, batches=batches, adapter=model)

    def _of_step(self, ledger: Ledger, service: Service, asked: Asked, most: int, breaker: Breaker) -> StepBatches:
        when = self._settings.batch
        if when == "auto" and not service.offered:
            when = "never"
        policy = patience.Policy(when, most, patience.nobody_waits())
        found = StepBatches(self._database, ledger.context, service, policy, asked, purse=ledger.purse, breaker=breaker)
        with self._guard:
            self._of_steps[ledger] = found
        return found

    def worked(self, ledger: Ledger, work: Callable[[], StepResult]) -> StepResult:
        """What the step came to: what its batches brought is taken in first, what it noted is sent at its end."""
        with self._guard:
            batches = self._of_steps.get(ledger)
        if batches is None:
            return work()
        collected = self.collect(ledger.context.workspace_id, ledger.context.step)
        result = batches.worked(work)
        ledger.collected(collected.cost_usd)
        if collected.answers:
            result.counts["answers_from_batches"] = collected.answers
        if collected.notes:
            result.counts["batches_not_in"] = " ".join(collected.notes)
        return result

    def collect(self, workspace_id: str, step: str | None = None) -> Collected:
        """Take in what open batches of the workspace (of the step) have brought."""
        return collect(self._database, workspace_id, self._service_of, step)

    def ended(self, workspace_id: str) -> list[Batch]:
        """The open batches that a run of the workspace would get on with."""
        return ended(self._database, workspace_id, self._service_of)

    def close(self) -> None:
        """Give back connections."""
        with self._guard:
            for one in (self._known or {}).values():
                one.close()

    def _service_of(self, batch: Batch) -> Service | None:
        name = f"{batch.provider} embeddings" if batch.detail.get("dimensions") else batch.provider
        return self._services().get(name)

    def _services(self) -> dict[str, Service]:
        with self._guard:
            if self._known is None:
                self._known = batch_services(self._settings)
            return self._known
