"""What no call can mend (a dead key, a spent limit, a wrong model) is asked once a run, not once a record.

Which faults are meant is in `errors.OF_THE_ACCOUNT`; what becomes of the records that were not asked, in `work.py`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from elmer_pipelines.errors import OF_THE_ACCOUNT, ModelFault
from elmer_pipelines.models.layers import PackLayer, TextLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel

_CONFIRMED = 5  # such faults without an answer between them, where the run had answers before: no single odd reply
_Came = TypeVar("_Came")


class Breaker:
    """One account's calls to one model from this process; safe between threads.

    Closed, every call is sent. The first fault of the account in a run that had no answer yet opens it, later on
    the fifth without an answer between: from then on the run's calls raise the same fault unsent. A later run
    sends one call to see, while its others wait. An answer closes it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fault: ModelFault | None = None
        self._refused: set[object] = set()  # the runs that know of the fault
        self._answered: object = None  # the run that had an answer last
        self._in_a_row = 0
        self._trying: object = None

    def call(self, run: object, send: Callable[[], _Came]) -> _Came:
        """What came. Raises what `send` raises, and where nothing is sent any more, the fault that is the reason."""
        trying = self._enter(run)
        try:
            came = send()
        except BaseException as error:
            with self._changed:
                if isinstance(error, ModelFault) and error.kind in OF_THE_ACCOUNT:
                    self._failed(run, error, trying)
                self._leave(trying)
            raise
        with self._changed:
            self._fault, self._in_a_row, self._answered = None, 0, run
            self._refused.clear()
            self._leave(trying)
        return came

    def refusal(self, run: object) -> ModelFault | None:
        """Why the run's calls are not sent any more; None where they are, or where the run has yet to see."""
        with self._changed:
            return None if self._fault is None or run not in self._refused else unasked(self._fault)

    def _enter(self, run: object) -> bool:
        """Whether this call is the one that tries for its run. Raises ModelFault where nothing is to be sent."""
        with self._changed:
            while self._fault is not None:
                if run in self._refused:
                    raise unasked(self._fault)
                if self._trying is None:
                    self._trying = run
                    return True
                self._changed.wait()
            return False

    def _failed(self, run: object, fault: ModelFault, trying: bool) -> None:
        self._in_a_row += 1
        if trying or self._answered != run or self._in_a_row >= _CONFIRMED:
            self._fault = fault
            self._refused.add(run)

    def _leave(self, trying: bool) -> None:
        if trying:
            self._trying = None
        self._changed.notify_all()


def unasked(fault: ModelFault) -> ModelFault:
    """The same fault for calls that are not made because of it."""
    if not fault.asked:
        return fault
    return ModelFault(
        fault.kind,
        str(fault),
        next_step=f"{fault.next_step} The next run goes on by itself, after one call to see.",
        retryable=fault.retryable,
        asked=False,
    )


class Guarded(TextLayer):
    """A RawTextModel that is not asked again for what no call can mend; `run` is whose calls these are."""

    def __init__(self, inner: RawTextModel, breaker: Breaker, run: object) -> None:
        super().__init__(inner)
        self._breaker, self._run = breaker, run

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What came. Raises ModelFault, with `asked` False where nothing was sent."""
        return self._breaker.call(self._run, lambda: self._inner.raw(prompt, schema))


class GuardedPacks(PackLayer):
    """A PackedEmbeddings of the same kind."""

    def __init__(self, inner: PackedEmbeddings, breaker: Breaker, run: object) -> None:
        super().__init__(inner)
        self._breaker, self._run = breaker, run

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request. Raises ModelFault, with `asked` False where nothing was sent."""
        return self._breaker.call(self._run, lambda: self._inner.send(request))
