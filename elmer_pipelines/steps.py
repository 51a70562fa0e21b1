"""What a step of the pipeline returns, and how it says how far it has come.

A step is one asset's work on one workspace. How records are claimed and retried is in `work.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class StepResult:
    """Counts a person cares about, after one step on one workspace.

    `pending` is what was to do at the start; `done`, `failed` and `waiting` (for a message batch) are of this run;
    `counts` are named totals for metadata; `tables` are small lists of rows (at most a screenful) keyed by a title.
    `awaiting` are those of the waiting records that this run found to wait.
    """

    step: str
    pending: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    model_calls: int = 0
    cost_usd: float = 0.0
    counts: dict[str, int | float | str] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    awaiting: list[str] = field(default_factory=list, repr=False)

    def then(self, again: StepResult) -> StepResult:
        """This and another pass over what it left, as the one result of the step."""
        again.pending = max(self.pending, again.pending)
        again.done += self.done
        again.failed += self.failed
        return again


class Progress(Protocol):
    """Somebody who wants to know how far a step is."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def _silent(step: str, done: int, total: int) -> None:
    return None


_expected: ContextVar[int] = ContextVar("elmer_expected_calls", default=0)
_listener: ContextVar[Progress] = ContextVar("elmer_progress", default=_silent)
_stops: ContextVar[list[StepResult] | None] = ContextVar("elmer_stops", default=None)


def report_stop(result: StepResult) -> None:
    """Tell whoever listens in this context that the step stopped with records left: `counts` has the reason."""
    stops = _stops.get()
    if stops is not None:
        stops.append(result)


def report_progress(step: str, done: int, total: int) -> None:
    """Tell whoever listens in this context that `done` of `total` records of the step are finished."""
    _listener.get()(step, done, total)


@contextmanager
def listening(progress: Progress, stops: list[StepResult] | None = None) -> Iterator[None]:
    """Send the progress of every step inside the block to `progress`, and add to `stops` each that stopped early."""
    token, others = _listener.set(progress), _stops.set([] if stops is None else stops)
    try:
        yield
    finally:
        _listener.reset(token)
        _stops.reset(others)


@contextmanager
def unreported() -> Iterator[None]:
    """Say of no step that stops inside the block that it stopped: who opened it may go on with it, and tells then."""
    token = _stops.set(None)
    try:
        yield
    finally:
        _stops.reset(token)


def calls_expected() -> int:
    """About how many calls of a model the step that runs in this context may have to make; 0 where nobody said."""
    return _expected.get()


@contextmanager
def expecting(calls: int) -> Iterator[None]:
    """Say about how many calls the step inside the block may have to make: one a record, until somebody knows more."""
    token = _expected.set(calls)
    try:
        yield
    finally:
        _expected.reset(token)
