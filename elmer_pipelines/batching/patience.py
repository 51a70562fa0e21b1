"""Whether anybody waits for the work done here. Who knows it says so; what follows from it is in `policy` below.

What is sent in a batch costs half, and may take a day.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

When = Literal["auto", "always", "never"]
TEXT_CALLS, EMBEDDED_TEXTS = 500, 50_000  # of a step: up to so many are asked at once where somebody waits
PATIENT_TAG = "elmer/patient"
_SCHEDULE_TAG = "dagster/schedule_name"
_nobody_waits: ContextVar[bool] = ContextVar("elmer_nobody_waits", default=False)


def is_patient(tags: Mapping[str, str]) -> bool:
    """Whether nobody waits for a run with these tags: a schedule started it, or who started it says so."""
    return _SCHEDULE_TAG in tags or tags.get(PATIENT_TAG, "").lower() in {"true", "yes", "1"}


def nobody_waits() -> bool:
    """Whether nobody waits for what is done in this context."""
    return _nobody_waits.get()


@contextmanager
def patiently(patient: bool = True) -> Iterator[None]:
    """Say whether nobody waits for what is done inside the block."""
    token = _nobody_waits.set(patient)
    try:
        yield
    finally:
        _nobody_waits.reset(token)


@dataclass(frozen=True)
class Policy:
    """When requests are kept for a batch: `always`, `never`, or where nobody waits or there are more than `most`."""

    when: When
    most: int
    patient: bool = False

    @property
    def settled(self) -> bool | None:
        """Whether all are, or none; None where it depends on how many there are."""
        if self.when == "auto":
            return True if self.patient else None
        return self.when == "always"
