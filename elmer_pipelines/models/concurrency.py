"""How many calls at once: more while the service keeps up, fewer when it does not. Rates are in `limited.py`."""

from __future__ import annotations

START = 8
_SLOWER = 2.0  # times the best round: from here on more calls at once only wait at the service
_LESS_FOR_SLOWNESS = 0.9
_LESS_FOR_REFUSAL = 0.5
_FORGETTING = 1.02  # the best round counts for a little less with every round, as services change


class Concurrency:
    """Additive increase, multiplicative decrease, as in TCP; doubling until something first speaks against it.

    A round is as many answers as may run at once. Slowness, which may be the questions' own, takes it no lower than
    where it starts. Not safe between threads: the limiter holds its lock around it.
    """

    def __init__(self, most: int = 128) -> None:
        if most < 1:
            raise ValueError("at least one call must be allowed at once")
        self._most = most
        self._limit = float(min(START, most))
        self._starting = True
        self._round: list[float] = []
        self._best = float("inf")
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """Calls that may run at once."""
        return int(self._limit)

    def answered(self, took_s: float, *, more: bool) -> None:
        """A call came back after `took_s`; `more`: others wait to be sent."""
        if more and self._starting:
            self._limit = min(float(self._most), self._limit + 1)
        self._round.append(took_s)
        if len(self._round) < self.limit:
            return
        mean = sum(self._round) / len(self._round)
        self._round.clear()
        if mean > _SLOWER * self._best:
            self._starting = False
            self._limit = max(min(self._limit, START), self._limit * _LESS_FOR_SLOWNESS)
        elif more:
            self._limit = min(float(self._most), self._limit + 1)
        self._best = min(mean, self._best * _FORGETTING)

    def refused(self, sent_at: float, now: float) -> bool:
        """A call was turned away; False where it was sent before the last cut, and says nothing new."""
        if sent_at < self._cut_at:
            return False
        self._starting = False
        self._cut_at = now
        self._limit = max(1.0, self._limit * _LESS_FOR_REFUSAL)
        self._round.clear()
        return True
