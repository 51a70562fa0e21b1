"""A line in the ledger for every attempt: who asked, tokens, cost, how long it took, what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ids import fingerprint, text_hash
from elmer_pipelines.models.budgeted import worst_usage
from elmer_pipelines.models.layers import PackLayer, TextLayer
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.models.recorded import CallRecord, prompt_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import CallContext, Journal, PackedEmbeddings, RawTextModel

    Price = Callable[[str, str, Usage], float | None]


@dataclass(frozen=True)
class _What:
    """One attempt, as far as it is known before it is made."""

    provider: str
    model: str
    service_model: str
    fingerprint: str
    prompt: str | None = None
    prompt_version: int | None = None
    inputs: int = 1


class _Meter:
    """Writes the line of one attempt."""

    def __init__(self, journal: Journal, context: CallContext, price: Price, clock: Callable[[], float]) -> None:
        self._journal, self._context, self._price, self.clock = journal, context, price, clock

    def answered(self, what: _What, outcome: str, usage: Usage, took: float, request_id: str | None) -> None:
        cost = self._price(what.service_model, what.provider, usage)
        self._note(what, outcome, usage, cost, took, request_id)

    def failed(self, what: _What, fault: ModelFault, most: Usage, took: float) -> None:
        """A refusal costs nothing; an answer that was lost counts as the most it may have come to (I7)."""
        if fault.unsent:
            return
        cost = self._price(what.service_model, what.provider, most) if fault.lost else 0.0
        self._note(what, fault.kind, most if fault.lost else Usage(), cost, took, None, estimated=fault.lost)

    def _note(
        self,
        what: _What,
        outcome: str,
        usage: Usage,
        cost: float | None,
        took: float,
        request_id: str | None,
        *,
        estimated: bool = False,
    ) -> None:
        self._journal.ledger(
            CallRecord(
                provider=what.provider,
                model=what.model,
                step=self._context.step,
                workspace_id=self._context.workspace_id,
                run_id=self._context.run_id,
                prompt=what.prompt,
                prompt_version=what.prompt_version,
                fingerprint=what.fingerprint,
                usage=usage,
                cost_usd=cost,
                latency_s=took,
                outcome=outcome,
                request_id=request_id,
                inputs=what.inputs,
                estimated=estimated,
            )
        )


class Metered(TextLayer):
    """A RawTextModel whose every attempt is in the ledger before its answer is handed on."""

    def __init__(
        self,
        inner: RawTextModel,
        journal: Journal,
        context: CallContext,
        *,
        price: Price = cost_usd,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._meter = _Meter(journal, context, price, clock)

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What came. Raises ModelFault."""
        mark = prompt_fingerprint(prompt, schema, self.model)
        what = _What(self.provider, self.model, self.model, mark, prompt.name, prompt.version)
        began = self._meter.clock()
        try:
            raw = self._inner.raw(prompt, schema)
        except ModelFault as fault:
            self._meter.failed(what, fault, worst_usage(prompt, schema), self._meter.clock() - began)
            raise
        took = float(raw.extra.get("latency_s", self._meter.clock() - began))
        self._meter.answered(what, self._outcome(raw, schema), raw.usage, took, raw.request_id)
        return raw

    def _outcome(self, raw: RawAnswer, schema: type[BaseModel]) -> str:
        """`ok`, or what is wrong with an answer that came and is paid for."""
        try:
            self._inner.parse(raw, schema)
        except ModelFault as fault:
            return fault.kind
        return "ok"


class MeteredPacks(PackLayer):
    """A PackedEmbeddings whose every request is in the ledger before its vectors are handed on."""

    def __init__(
        self,
        inner: PackedEmbeddings,
        journal: Journal,
        context: CallContext,
        *,
        price: Price = cost_usd,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._meter = _Meter(journal, context, price, clock)

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request. Raises ModelFault."""
        mark = fingerprint(model=self.model, texts=[text_hash(one) for one in request.texts])
        what = _What(self.provider, self.model, self.service_model, mark, inputs=len(request.texts))
        began = self._meter.clock()
        try:
            pack = self._inner.send(request)
        except ModelFault as fault:
            self._meter.failed(what, fault, Usage(input_tokens=request.tokens), self._meter.clock() - began)
            raise
        self._meter.answered(what, "ok", pack.usage, self._meter.clock() - began, pack.request_id)
        return pack
