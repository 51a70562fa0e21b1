"""Answers kept before they are used, and a line in the ledger for every call (I2), around any model.

Where the journal lies is `store`'s matter; here are its Protocol and one in memory.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ids import fingerprint, text_hash
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Answer, Prompt, RawAnswer, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack
    from elmer_pipelines.models.protocols import SimilarityScale

_Parsed = TypeVar("_Parsed", bound="BaseModel")
ASKS = 2  # an answer that came but does not fit its schema is asked for once more


@dataclass(frozen=True)
class CallContext:
    """For whom a call is made."""

    workspace_id: str
    step: str
    run_id: str | None = None


@dataclass(frozen=True)
class CallRecord:
    """One line of the ledger.

    `outcome` is `ok`, `cached` (nothing was sent, nothing is owed) or the kind of the fault. `cost_usd` is None where
    the price is not known. `latency_s` includes waits between tries. `inputs` is the number of texts sent.
    """

    provider: str
    model: str
    step: str
    workspace_id: str
    run_id: str | None
    prompt: str | None
    prompt_version: int | None
    fingerprint: str
    usage: Usage
    cost_usd: float | None
    latency_s: float
    outcome: str
    request_id: str | None = None
    inputs: int = 1


class Journal(Protocol):
    """Keeps answers by fingerprint, and the ledger; safe to be used by many threads."""

    def lookup(self, fingerprint: str) -> RawAnswer | None: ...

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        """Keep the answer, replacing an older one; it is committed when this returns."""
        ...

    def ledger(self, record: CallRecord) -> None: ...


class RawTextModel(Protocol):
    """A TextModel in two halves, so that what was sent can be stored before it is trusted."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer: ...

    def parse(self, raw: RawAnswer, schema: type[_Parsed]) -> _Parsed: ...


class PackedEmbeddings(Protocol):
    """An EmbeddingModel that answers request by request."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def service_model(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def scale(self) -> SimilarityScale: ...

    def packs(self, texts: list[str]) -> Iterator[EmbeddedPack]: ...


def prompt_fingerprint(prompt: Prompt, schema: type[BaseModel], model: str) -> str:
    """The fingerprint of all that determines the answer; the prompt's name and version are not part of it."""
    return fingerprint(
        instructions=prompt.instructions,
        material=prompt.material,
        schema=schema.model_json_schema(),
        model=model,
        parameters={"max_tokens": prompt.max_tokens, "effort": prompt.effort},
    )


class Recorded:
    """A TextModel that never pays twice for the same question.

    A stored answer that is cut off for good, or a refusal, is given again as the fault it is, free of charge; one
    that does not fit its schema is asked for anew. Threads that ask the same at once send it once.
    """

    def __init__(
        self,
        adapter: RawTextModel,
        journal: Journal,
        context: CallContext,
        *,
        price: Callable[[str, str, Usage], float | None] = cost_usd,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adapter, self._journal, self._context = adapter, journal, context
        self._price, self._clock = price, clock
        self._guard = threading.Lock()
        self._asking: WeakValueDictionary[str, _Asking] = WeakValueDictionary()

    @property
    def model(self) -> str:
        return self._adapter.model

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        """One validated answer, from the journal where it is there. Raises ModelFault."""
        mark = prompt_fingerprint(prompt, schema, self._adapter.model)
        with self._guard:
            asking = self._asking.setdefault(mark, _Asking())
        with asking.lock:
            stored = self._journal.lookup(mark)
            if stored is not None:
                try:
                    return self._from_journal(stored, prompt, schema, mark)
                except ModelFault as fault:
                    if not fault.retryable:
                        raise
            return self._ask(prompt, schema, mark)

    def _from_journal(self, stored: RawAnswer, prompt: Prompt, schema: type[Answer], mark: str) -> Answer:
        try:
            return self._adapter.parse(stored, schema)
        finally:
            self._note(prompt, mark, "cached", Usage(), 0.0, 0.0, stored.request_id)

    def _ask(self, prompt: Prompt, schema: type[Answer], mark: str) -> Answer:
        for last in (False,) * (ASKS - 1) + (True,):
            began = self._clock()
            try:
                raw = self._adapter.raw(prompt, schema)
            except ModelFault as fault:  # the adapter has tried again where that could help
                self._note(prompt, mark, fault.kind, Usage(), 0.0, self._clock() - began, None)
                raise
            self._journal.store(mark, raw)
            took, outcome = self._clock() - began, "ok"
            cost = self._price(raw.model, self._adapter.provider, raw.usage)
            try:
                return self._adapter.parse(raw, schema)
            except ModelFault as fault:
                outcome = fault.kind
                if last or not fault.retryable:
                    raise
            finally:
                self._note(prompt, mark, outcome, raw.usage, cost, took, raw.request_id)
        raise AssertionError("the last ask returns or raises")

    def _note(
        self,
        prompt: Prompt,
        mark: str,
        outcome: str,
        usage: Usage,
        cost: float | None,
        took: float,
        request: str | None,
    ) -> None:
        self._journal.ledger(
            CallRecord(
                provider=self._adapter.provider,
                model=self._adapter.model,
                step=self._context.step,
                workspace_id=self._context.workspace_id,
                run_id=self._context.run_id,
                prompt=prompt.name,
                prompt_version=prompt.version,
                fingerprint=mark,
                usage=usage,
                cost_usd=cost,
                latency_s=took,
                outcome=outcome,
                request_id=request,
            )
        )


class RecordedEmbeddings:
    """An EmbeddingModel whose requests are in the ledger; the vectors, once stored, are their own cache."""

    def __init__(
        self,
        adapter: PackedEmbeddings,
        journal: Journal,
        context: CallContext,
        *,
        price: Callable[[str, str, Usage], float | None] = cost_usd,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adapter, self._journal, self._context = adapter, journal, context
        self._price, self._clock = price, clock

    @property
    def model(self) -> str:
        return self._adapter.model

    @property
    def dimensions(self) -> int:
        return self._adapter.dimensions

    @property
    def scale(self) -> SimilarityScale:
        return self._adapter.scale

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1. Raises ModelFault."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for done in self.packs(texts):
            vectors[done.span.start : done.span.stop] = done.vectors
        return vectors

    def packs(self, texts: list[str]) -> Iterator[EmbeddedPack]:
        """The vectors request by request, each in the ledger before it is handed over. Raises ModelFault."""
        packs, done = self._adapter.packs(texts), 0
        while True:
            began = self._clock()
            try:
                pack = next(packs, None)
            except ModelFault as fault:
                self._note(texts[done:], fault.kind, Usage(), 0.0, self._clock() - began, None)
                raise
            if pack is None:
                return
            done = pack.span.stop
            cost = self._price(self._adapter.service_model, self._adapter.provider, pack.usage)
            sent = texts[pack.span.start : pack.span.stop]
            self._note(sent, "ok", pack.usage, cost, self._clock() - began, pack.request_id)
            yield pack

    def _note(
        self, sent: list[str], outcome: str, usage: Usage, cost: float | None, took: float, request: str | None
    ) -> None:
        self._journal.ledger(
            CallRecord(
                provider=self._adapter.provider,
                model=self._adapter.model,
                step=self._context.step,
                workspace_id=self._context.workspace_id,
                run_id=self._context.run_id,
                prompt=None,
                prompt_version=None,
                fingerprint=fingerprint(model=self._adapter.model, texts=[text_hash(text) for text in sent]),
                usage=usage,
                cost_usd=cost,
                latency_s=took,
                outcome=outcome,
                request_id=request,
                inputs=len(sent),
            )
        )


@dataclass
class MemoryJournal:
    """A journal that ends with the process: for tests, and for trying a prompt."""

    answers: dict[str, RawAnswer] = field(default_factory=dict)
    calls: list[CallRecord] = field(default_factory=list)

    def lookup(self, fingerprint: str) -> RawAnswer | None:
        return self.answers.get(fingerprint)

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        self.answers[fingerprint] = answer

    def ledger(self, record: CallRecord) -> None:
        self.calls.append(record)


class _Asking:
    """One question being asked; a class of its own because locks can't be held weakly by value."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
