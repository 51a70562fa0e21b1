"""Answers kept before they are used (I2): the outermost wrapper of a text model. No attempt is counted or paid here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anew import is_asked_anew
from elmer_pipelines.models.protocols import Answer, Prompt, RawAnswer, Usage
from elmer_pipelines.models.recorded import CallContext, CallRecord, Journal, RawTextModel, prompt_fingerprint
from elmer_pipelines.models.text_client import ASKS

if TYPE_CHECKING:
    from pydantic import BaseModel


class Cached:
    """A TextModel that never pays twice for the same question.

    A stored answer that is cut off for good, or a refusal, is given again as the fault it is, free of charge; one
    that does not fit its schema is asked for anew, and so is either where a person wants it (`anew.py`): what comes
    takes its place. Threads that ask the same at once send it once.
    """

    def __init__(self, inner: RawTextModel, journal: Journal, context: CallContext) -> None:
        self._inner, self._journal, self._context = inner, journal, context
        self._guard = threading.Lock()
        self._asking: WeakValueDictionary[str, _Asking] = WeakValueDictionary()

    @property
    def model(self) -> str:
        return self._inner.model

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        """One validated answer, from the journal where it is there. Raises ModelFault."""
        mark = prompt_fingerprint(prompt, schema, self._inner.model)
        with self._guard:
            asking = self._asking.setdefault(mark, _Asking())
        with asking.lock:
            stored = self._journal.lookup(mark)
            if stored is not None:
                try:
                    return self._from_journal(stored, prompt, schema, mark)
                except ModelFault as fault:
                    if not (fault.retryable or is_asked_anew()):
                        raise
            return self._ask(prompt, schema, mark)

    def reject(self, prompt: Prompt, schema: type[BaseModel]) -> None:
        """The answer was of no use: it is not given again."""
        self._journal.forget(prompt_fingerprint(prompt, schema, self._inner.model))

    def _ask(self, prompt: Prompt, schema: type[Answer], mark: str) -> Answer:
        for last in (False,) * (ASKS - 1) + (True,):
            raw = self._inner.raw(prompt, schema)  # a fault of the call itself was retried further in
            self._journal.store(mark, raw)
            try:
                return self._inner.parse(raw, schema)
            except ModelFault as fault:
                if last or not fault.retryable:
                    raise
        raise AssertionError("the last ask returns or raises")

    def _from_journal(self, stored: RawAnswer, prompt: Prompt, schema: type[Answer], mark: str) -> Answer:
        try:
            return self._inner.parse(stored, schema)
        finally:
            self._journal.ledger(
                CallRecord(
                    provider=self._inner.provider,
                    model=self._inner.model,
                    step=self._context.step,
                    workspace_id=self._context.workspace_id,
                    run_id=self._context.run_id,
                    prompt=prompt.name,
                    prompt_version=prompt.version,
                    fingerprint=mark,
                    usage=Usage(),
                    cost_usd=0.0,
                    latency_s=0.0,
                    outcome="cached",
                    request_id=stored.request_id,
                )
            )


class _Asking:
    """One question being asked; a class of its own because locks can't be held weakly by value."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
