"""The wrappers behind the cache that keep requests for a message batch, and what they share in one step.

Redaction is further out, so what is noted is what may be sent; tries, ledger, budget and limiter are further in and
see only what is asked at once.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.batching.sending import Noted, Sent, send
from elmer_pipelines.errors import OF_THE_ACCOUNT, ModelFault, Waiting
from elmer_pipelines.ids import fingerprint, text_hash
from elmer_pipelines.ledger import raw_answer
from elmer_pipelines.models import faults
from elmer_pipelines.models.anew import is_asked_anew
from elmer_pipelines.models.breaker import Breaker, unasked
from elmer_pipelines.models.budgeted import tokens_at_most, worst_case_usd, worst_usage
from elmer_pipelines.models.layers import PackLayer, TextLayer
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.models.provenance import kept_as, records_drawn_from
from elmer_pipelines.models.recorded import prompt_fingerprint
from elmer_pipelines.steps import calls_expected, report_stop, unreported
from elmer_pipelines.store import batches as store
from elmer_pipelines.store import journal, outcomes
from elmer_pipelines.store.batches import Ended, Item
from elmer_pipelines.store.outcomes import MENDABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel
    from sqlalchemy import Connection

    from elmer_pipelines.accounts import BudgetPurse
    from elmer_pipelines.batching.patience import Policy
    from elmer_pipelines.models.batches import BatchService
    from elmer_pipelines.models.metered import Price
    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, OpenAIEmbeddings, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import CallContext, PackedEmbeddings, RawTextModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

_SOON = "Waits for a message batch: half the price, within a day."
TRIES = 3  # times that a request is sent in a batch before its record fails
_FULL_BYTES = 64 << 20  # noted requests are sent when they have come to so much: they lie in memory until then


@dataclass(frozen=True)
class Asked:
    """Whose model the requests are for: the name answers are kept under, and the one the price list knows."""

    model: str
    service_model: str
    dimensions: int | None = None


class StepBatches:
    """What one step keeps for message batches, and what it waits for; safe to be used by many threads."""

    def __init__(
        self,
        database: Database,
        context: CallContext,
        service: BatchService,
        policy: Policy,
        asked: Asked,
        *,
        purse: BudgetPurse | None = None,
        breaker: Breaker | None = None,
        price: Price = cost_usd,
    ) -> None:
        self._database, self._context, self._service, self._policy = database, context, service, policy
        self._asked, self._purse, self._price = asked, purse, price
        self._breaker, self._run = breaker or Breaker(), context.run_id or object()
        self._refusal: ModelFault | None = None
        self._guard = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._ended: dict[str, list[Ended]] = {}
        self._noted: dict[str, Noted] = {}
        self._bytes = 0
        self._at_once = False
        self._sent_before = False
        self._sent = Sent()

    def worked(self, work: Callable[[], StepResult]) -> StepResult:
        """What the step came to, its noted requests sent.

        Where it turns out that there were too few for a batch, or the service refuses them, the step looks at its
        records again: to ask at once, or to say why of each; of all together where it refuses the key.
        """
        with unreported():
            result = self._worked(work)
        if "stopped_by" in result.counts:
            report_stop(result)
        return result

    def _worked(self, work: Callable[[], StepResult]) -> StepResult:
        self._look()
        result = work()
        if self._noted and not self._enough():
            self._put_aside()
            self._at_once = True
            result = result.then(work())
        self._send()
        if self._sent.refused:
            self._look()
            result = result.then(work())
            self._send()
        self._mark(result.awaiting)
        if self._sent.submitted:
            result.counts["batches_submitted"] = len(self._sent.submitted)
        if self._sent.fault is not None and self._refusal is None:
            result.counts["batches_not_taken"] = str(self._sent.fault)
        return result

    def _mark(self, records: list[str]) -> None:
        """From now on the records need not be looked at before something comes."""
        if records:
            waiting = Waiting(_SOON)
            with self._database.begin() as connection:
                outcomes.await_answers(
                    connection, self._context.workspace_id, self._context.step, records, str(waiting),
                    waiting.next_step,
                )  # fmt: skip

    def _look(self) -> None:
        with self._database.begin() as connection:
            self._waiting = store.waiting(connection, self._context.workspace_id, self._context.step)
            self._ended = store.ended(connection, self._context.workspace_id, self._context.step)
            self._sent_before = store.any_of_step(connection, self._context.workspace_id, self._context.step)
            if not self._waiting:
                outcomes.wake(connection, self._context.workspace_id, self._context.step)

    def _enough(self) -> bool:
        """Whether what is noted goes by batch; the rest does where a part has gone already."""
        settled, gone = self._policy.settled, self._sent.submitted or self._sent.unclear
        return bool(gone) or len(self._noted) > self._policy.most if settled is None else settled

    @property
    def noting(self) -> bool:
        """Whether what is asked now is kept for a batch."""
        if self._at_once or self._policy.settled is False:
            return False
        return self._policy.settled is True or calls_expected() > self._policy.most

    def look_up(self, mark: str) -> None:
        """Nothing where the request may be made. Raises Waiting where it is under way in a batch; ModelFault where it
        ended there in a way that no other try mends, or has been tried so often that its record fails."""
        batch_id = self._waiting.get(mark)
        if batch_id:
            raise Waiting(f"Waits for batch {batch_id}.")
        if batch_id is not None or mark in self._noted:
            raise Waiting(_SOON)
        before = self._before(mark)
        if not before:
            return
        last = before[-1]
        final = last.kind is not None and not last.retryable
        mendable = not final or last.kind in MENDABLE
        if mendable and (not self.noting or (not final and len(before) < TRIES)):
            return
        if mendable:  # what is final for good is told again each time, and costs nothing
            with self._database.begin() as connection:
                store.tell(connection, self._context.workspace_id, mark)
            self._ended.pop(mark, None)
        raise _fault_of(last, len(before))

    def _before(self, mark: str) -> list[Ended]:
        """How the request ended in batches until now; answers first, which are no good where it is asked again."""
        failed = self._ended.get(mark, [])
        if not self._sent_before or self._asked.dimensions is not None:  # a vector may have been forgotten since
            return failed
        workspace_id = self._context.workspace_id
        answers = self._database.look_up(lambda connection: store.answered(connection, workspace_id, mark))
        return [Ended(None, None, True)] * answers + failed

    def came_anew(self, mark: str) -> RawAnswer | None:
        """The stored answer, where it came with a batch since a person last wanted requests of the step asked anew."""
        if not self._sent_before:
            return None
        workspace_id = self._context.workspace_id

        def stored(connection: Connection) -> dict[str, Any] | None:
            came = store.answered(connection, workspace_id, mark)
            return journal.answers(connection, workspace_id, [mark]).get(mark) if came else None

        found = self._database.look_up(stored)
        return None if found is None else raw_answer(found)

    def note(
        self,
        mark: str,
        params: dict[str, Any],
        usage: Usage,
        *,
        prompt: str | None = None,
        kept: str | None = None,
    ) -> Waiting:
        """Keep a request for the step's batch; returns what to raise. Raises ModelFault `budget`, `unknown_price`, and
        as unsent what the service told where it refuses the key."""
        refusal = self._refusal or self._breaker.refusal(self._run)
        if refusal is not None:
            raise refusal
        with self._guard:
            if mark not in self._noted:
                self._keep(mark, params, usage, prompt, kept)
            full = self._bytes >= min(_FULL_BYTES, self._service.limits.bytes)
            full = (full or len(self._noted) >= self._service.limits.requests) and self._enough()
        if full:
            self._send()
        return Waiting(_SOON)

    def _keep(self, mark: str, params: dict[str, Any], usage: Usage, prompt: str | None, kept: str | None) -> None:
        service_model, provider = self._asked.service_model, self._service.provider
        reservation = None
        if self._purse is not None:
            worst = worst_case_usd(self._price, service_model, provider, usage, batch=True)
            reservation = self._purse.promise(worst)
        else:
            worst = (self._price(service_model, provider, usage) or 0.0) / 2
        size = len(json.dumps(params, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        item = Item(mark, params, prompt, kept, worst)
        self._noted[mark] = Noted(item, records_drawn_from(), size, reservation)
        self._bytes += size

    def _take(self) -> list[Noted]:
        with self._guard:
            noted, self._noted, self._bytes = list(self._noted.values()), {}, 0
            return noted

    def _put_aside(self) -> None:
        """Forget what was noted, and what was set aside for it."""
        promised = [one.reservation for one in self._take() if one.reservation is not None]
        if self._purse is not None:
            with self._database.begin() as connection:
                self._purse.take_back(connection, promised)
            self._purse.settled(promised)

    def _send(self) -> None:
        noted = self._take()
        if not noted:
            return
        detail: dict[str, Any] = {"service_model": self._asked.service_model, "patient": self._policy.patient}
        if self._asked.dimensions is not None:
            detail["dimensions"] = self._asked.dimensions
        sent = send(
            self._database, self._context, self._service, noted, model=self._asked.model, purse=self._purse,
            detail=detail, guard=lambda submit: self._breaker.call(self._run, submit),
        )  # fmt: skip
        with self._guard:
            self._sent.submitted += sent.submitted
            self._sent.refused += sent.refused
            self._sent.unclear += sent.unclear
            self._sent.fault = sent.fault or self._sent.fault
            if sent.fault is not None and sent.fault.kind in OF_THE_ACCOUNT:
                self._refusal = unasked(sent.fault)
            self._waiting.update((one.item.fingerprint, "") for one in noted)


def _fault_of(last: Ended, tries: int) -> ModelFault:
    """The fault of a request as its batch told it; where an answer came that was no good, that it is so."""
    if last.kind is None:
        said = f"{tries} answers in message batches did not fit what was asked for."
        return faults.fault("schema", said, retryable=True)
    often = "" if tries == 1 else f" It was tried in {tries} batches."
    return faults.fault(last.kind, f"{last.message}{often}", retryable=last.retryable)


class BatchedText(TextLayer):
    """A RawTextModel whose requests are kept for a batch where the step's policy says so."""

    def __init__(
        self,
        inner: RawTextModel,
        batches: StepBatches,
        request: Callable[[Prompt, type[BaseModel]], dict[str, Any]],
    ) -> None:
        super().__init__(inner)
        self._batches, self._request = batches, request

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What came. Raises Waiting where the answer comes with a batch, and ModelFault."""
        mark = prompt_fingerprint(prompt, schema, self.model)
        if is_asked_anew():
            self._tell_anew(mark, schema)
        self._batches.look_up(mark)
        if not self._batches.noting:
            return self._inner.raw(prompt, schema)
        raise self._batches.note(
            mark, self._request(prompt, schema), worst_usage(prompt, schema), prompt=f"{prompt.name} v{prompt.version}"
        )

    def _tell_anew(self, mark: str, schema: type[BaseModel]) -> None:
        """Raises the fault of a stored answer that is the new one already: it was asked anew in a batch."""
        raw = self._batches.came_anew(mark)
        if raw is None:
            return
        try:
            self._inner.parse(raw, schema)
        except ModelFault as fault:
            if not fault.retryable:
                raise


class BatchedPacks(PackLayer):
    """A PackedEmbeddings whose texts are kept for a batch where the step's policy says so, each a request of its own.

    A vector comes back under the hash that whoever asks has named for its text (`provenance.keeping_as`): the table
    of vectors is the cache, so that the next run finds it there.
    """

    def __init__(self, inner: PackedEmbeddings, batches: StepBatches, adapter: OpenAIEmbeddings) -> None:
        super().__init__(inner)
        self._batches, self._adapter = batches, adapter

    def requests(self, texts: list[str]) -> list[PackRequest]:
        """The texts as requests to be made at once. Raises Waiting where any of them waits, and ModelFault."""
        requests = self._inner.requests(texts)
        names = kept_as()
        if len(names) != len(texts):  # somebody waits for these vectors themselves, not for a step
            return requests
        sent = _texts_of(requests)
        waiting: Waiting | None = None
        for name, text in zip(names, sent, strict=True):
            try:
                self._one(name, text)
            except Waiting as one:
                waiting = one
        if waiting is not None:
            raise waiting
        return requests

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request, made at once. Raises ModelFault."""
        return self._inner.send(request)

    def _one(self, name: str, text: str) -> None:
        mark = fingerprint(model=self.model, text=text_hash(text), kept_as=name)
        self._batches.look_up(mark)
        if self._batches.noting:
            usage = Usage(input_tokens=tokens_at_most(text))
            raise self._batches.note(mark, self._adapter.request([text]), usage, kept=name)


def _texts_of(requests: Sequence[PackRequest]) -> list[str]:
    """What is sent, in order."""
    return [text for request in requests for text in request.texts]
