"""How often and when a call is tried again. What a fault means is in `faults.py`."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from elmer_pipelines.errors import ModelFault

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Retrying:
    """At most `attempts` tries of a call, only after retryable faults.

    Waits are full jitter (a random share of 1, 2, 4 … seconds), at least what the service asked for in `retry_after`;
    no wait is longer than `cap_s`, whatever a header says.
    """

    attempts: int = 4
    first_wait_s: float = 1.0
    cap_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def call(self, attempt: Callable[[], Result]) -> Result:
        """The first result that is not a fault. Raises the last ModelFault."""
        for failures in range(self.attempts):
            try:
                return attempt()
            except ModelFault as fault:
                if not fault.retryable or failures + 1 == self.attempts:
                    raise
                self.sleep(self.wait(failures, fault.retry_after))
        raise ValueError("Retrying needs at least one attempt.")

    def wait(self, failures: int, retry_after: float | None) -> float:
        """Seconds before the next try after `failures` (from 0) failures before this one."""
        jittered = self.chance() * self.first_wait_s * 2.0**failures
        return min(self.cap_s, max(jittered, retry_after or 0.0))
