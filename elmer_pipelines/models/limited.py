"""When a call may be sent: inside the account's rate limits, and no more at once than the service bears.

What is allowed, and how processes share it, is in `allowances.py`; what is done after a refusal, in `retried.py`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.allowances import Allowance, Level, MemoryAllowance, limits_in
from elmer_pipelines.models.budgeted import worst_usage
from elmer_pipelines.models.concurrency import Concurrency
from elmer_pipelines.models.layers import PackLayer, TextLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel

_LEASE_S = 1.0  # seconds' worth of the allowance taken at once
_LEAST_LEASE_S = 0.25  # and, where that is not there, the least worth coming back for
_LONGEST_BLOCK_S = 60.0  # whatever a header says
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0  # after refusals that do not say for how long
_NEWS = 0.05  # a limit that changed by more than this share is told to the other processes at once
_OUT_OF_ORDER_S = 0.1  # calls sent closer together may reach the service in any order
_REFUSALS = {"rate_limit", "overloaded"}
_Came = TypeVar("_Came")


@dataclass
class _Sent:
    """A call under way: when it began, what was taken for it, and the sums of what must have been counted with it."""

    at: float
    need: Mapping[str, float]
    spent: Mapping[str, float]


@dataclass
class _Kind:
    """One kind of allowance as this process sees it: its share, all it ever took, and what an answer told last."""

    per_minute: float = 0.0
    share: float = 0.0
    spent: float = 0.0
    told: tuple[float, float, float] | None = None  # what was left, at what moment, after how much was spent
    told_by: float = float("-inf")
    news: bool = False


class Limiter:
    """One account's calls to one model from this process, first come first served; safe between threads.

    Until an answer has told of a limit there is none. At most `most` calls run at once.
    """

    def __init__(
        self,
        allowance: Allowance | None = None,
        *,
        most: int = 128,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._allowance = allowance or MemoryAllowance(clock)
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._queue: deque[threading.Condition] = deque()
        self._running = 0
        self._pace = Concurrency(most)
        self._kinds: dict[str, _Kind] = {}
        self._totals: dict[str, float] = {}
        self._levels: Mapping[str, Level] = {}
        self._recent: deque[tuple[float, dict[str, float]]] = deque()
        self._fastest = float("inf")
        self._asked = False
        self._refusals = 0  # without an answer between them
        self._next_lease = self._blocked_until = 0.0

    @property
    def at_once(self) -> int:
        """How many calls may run at once now."""
        return self._pace.limit

    def per_minute(self, kind: str = "requests") -> float | None:
        """The allowance as far as it is known."""
        with self._lock:
            return self._kinds[kind].per_minute if kind in self._kinds else None

    def call(
        self,
        need: Mapping[str, float],
        send: Callable[[], _Came],
        read: Callable[[_Came], tuple[Mapping[str, Level], Mapping[str, float]]],
    ) -> tuple[_Came, float]:
        """Send when it is allowed; what came, and how long the service took. Raises what `send` raises.

        `need` is by kind what the service will count before it answers; `read` tells, from what came, what is left at
        the service and what was used: the rest is given back.
        """
        sent = self._admit(need)
        try:
            came = send()
            took = self._clock() - sent.at
            levels, used = read(came)
            with self._lock:
                self._pace.answered(took, more=bool(self._queue))
                self._refusals = 0
                self._give_back(sent, used)
                self._fastest = min(self._fastest, took)
                self._learn(sent, levels)
            return came, took
        except ModelFault as fault:
            with self._lock:
                self._refused(sent, fault)
            raise
        finally:
            with self._lock:
                self._leave()

    def _admit(self, need: Mapping[str, float]) -> _Sent:
        with self._lock:
            mine = threading.Condition(self._lock)
            self._queue.append(mine)
            try:
                while self._queue[0] is not mine:
                    mine.wait()
                while (seconds := self._hindrance(need)) > 0:
                    mine.wait(None if seconds == float("inf") else seconds)
                self._running += 1
                return self._take(need)
            finally:
                self._queue.remove(mine)
                if self._queue:
                    self._queue[0].notify()

    def _take(self, need: Mapping[str, float]) -> _Sent:
        now = self._clock()
        self._recent.append((now, dict(self._totals)))
        while self._recent[0][0] < now - _OUT_OF_ORDER_S:
            self._recent.popleft()
        spent = {kind: self._recent[0][1].get(kind, 0.0) + amount for kind, amount in need.items()}
        for kind, amount in need.items():
            self._totals[kind] = self._totals.get(kind, 0.0) + amount
            if kind in self._kinds:
                self._kinds[kind].share -= min(amount, self._kinds[kind].per_minute)
        return _Sent(now, need, spent)

    def _leave(self) -> None:
        self._running -= 1
        if self._queue:
            self._queue[0].notify()

    def _hindrance(self, need: Mapping[str, float]) -> float:
        """Seconds until it is worth looking again: 0 to go, infinite to wait for a call that ends."""
        if self._running >= self._pace.limit:
            return float("inf")
        now = self._clock()
        if now < self._blocked_until:
            return self._blocked_until - now
        if not self._asked:
            self._lease({})  # what other processes know already
        lacking = self._lacking(need)
        if now < self._next_lease:
            return self._next_lease - now if lacking else 0.0
        if lacking or any(kind.news for kind in self._kinds.values()):
            self._lease(lacking)
            self._next_lease = now + self._wait(self._lacking(need))
        return max(0.0, max(self._next_lease, self._blocked_until) - now)

    def _lacking(self, need: Mapping[str, float]) -> dict[str, float]:
        """What the share is short of; a call larger than a whole minute's allowance needs just that."""
        short = {
            kind: min(need.get(kind, 0.0), one.per_minute) - one.share
            for kind, one in self._kinds.items()
            if kind in need
        }
        return {kind: amount for kind, amount in short.items() if amount > 1e-9}

    def _wait(self, lacking: Mapping[str, float]) -> float:
        """Seconds in which what lacks comes back, and a little more, so that not every call asks for itself."""
        seconds = 0.0
        for kind, amount in lacking.items():
            left = min(0.0, self._levels[kind].left) if kind in self._levels else 0.0
            seconds = max(seconds, (amount - left) * 60 / self._kinds[kind].per_minute, _LEAST_LEASE_S)
        return seconds

    def _lease(self, lacking: Mapping[str, float]) -> None:
        wanted = {kind: max(amount, self._kinds[kind].per_minute / 60 * _LEASE_S) for kind, amount in lacking.items()}
        leased = self._allowance.lease(wanted, self._seen())
        self._asked = True
        self._levels = leased.levels
        for kind, level in leased.levels.items():
            one = self._kinds.setdefault(kind, _Kind())
            one.per_minute, one.news, one.told = level.per_minute, False, None
            one.share += leased.granted.get(kind, 0.0)
        self._blocked_until = max(self._blocked_until, self._clock() + leased.blocked_s if leased.blocked_s else 0.0)

    def _seen(self) -> dict[str, Level]:
        """What the service should have left beside our share, reckoned from what it told since we asked."""
        found, now = {}, self._clock()
        for name, kind in self._kinds.items():
            if kind.told is None:
                continue
            left, at, spent = kind.told
            since = kind.per_minute / 60 * (now - at) - (self._totals.get(name, 0.0) - spent)
            most = min(kind.per_minute, left + since) - kind.share
            found[name] = Level(kind.per_minute, max(-kind.per_minute, most - (name == "requests")))
        return found

    def _give_back(self, sent: _Sent, used: Mapping[str, float]) -> None:
        for kind, amount in used.items():
            back = sent.need.get(kind, 0.0) - amount
            self._totals[kind] = self._totals.get(kind, 0.0) - back
            if kind in self._kinds:
                self._kinds[kind].share += back

    def _learn(self, sent: _Sent, levels: Mapping[str, Level]) -> None:
        for kind, level in levels.items():
            one = self._kinds.setdefault(kind, _Kind(news=True))
            one.news = one.news or abs(one.per_minute - level.per_minute) > _NEWS * level.per_minute
            one.per_minute = level.per_minute
            if one.told_by <= sent.at:  # the service counted no earlier than the fastest answer lets it have done
                one.told_by = sent.at
                one.told = (level.left, self._clock() - self._fastest, sent.spent.get(kind, 0.0))

    def _refused(self, sent: _Sent, fault: ModelFault) -> None:
        # nothing was said, so nothing was counted
        self._give_back(sent, {"output_tokens": 0.0, "tokens": sent.need.get("input_tokens", 0.0)})
        if fault.kind not in _REFUSALS:
            return
        now = self._clock()
        news = self._pace.refused(sent.at, now)
        if fault.retry_after:
            seconds = min(fault.retry_after, _LONGEST_BLOCK_S)
            self._blocked_until = max(self._blocked_until, now + seconds)
            for kind in self._kinds.values():
                kind.share = min(0.0, kind.share)
                kind.told = None  # what was left is no more
            self._allowance.block(seconds)
        elif news:
            self._blocked_until = max(self._blocked_until, now + self._pause())
            self._refusals += 1

    def _pause(self) -> float:
        """Seconds nobody sends after a refusal that does not say: longer each time, and not the same for everybody."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**self._refusals)
        return longest * (0.5 + self._chance() / 2)


class Limited(TextLayer):
    """A RawTextModel that waits for its turn."""

    def __init__(self, inner: RawTextModel, limiter: Limiter) -> None:
        super().__init__(inner)
        self._limiter = limiter

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What came, with the service's own `latency_s` in `extra`. Raises ModelFault."""
        usage = worst_usage(prompt, schema)
        need = {
            "requests": 1.0,
            "input_tokens": float(usage.input_tokens + usage.cache_write_tokens),
            "output_tokens": float(usage.output_tokens),
            "tokens": float(usage.input_tokens + usage.cache_write_tokens + usage.output_tokens),
        }
        raw, took = self._limiter.call(need, lambda: self._inner.raw(prompt, schema), _read_text)
        return replace(raw, extra={**raw.extra, "latency_s": took})


class LimitedPacks(PackLayer):
    """A PackedEmbeddings that waits for its turn."""

    def __init__(self, inner: PackedEmbeddings, limiter: Limiter) -> None:
        super().__init__(inner)
        self._limiter = limiter

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request. Raises ModelFault."""
        need = {"requests": 1.0, "tokens": float(request.tokens)}
        return self._limiter.call(need, lambda: self._inner.send(request), _read_pack)[0]


def _read_text(raw: RawAnswer) -> tuple[Mapping[str, Level], Mapping[str, float]]:
    used = {
        "input_tokens": float(raw.usage.input_tokens + raw.usage.cache_write_tokens),
        "output_tokens": float(raw.usage.output_tokens),
        "tokens": float(raw.usage.input_tokens + raw.usage.cache_write_tokens + raw.usage.output_tokens),
    }
    return limits_in(raw.extra.get("limits", {})), used


def _read_pack(pack: EmbeddedPack) -> tuple[Mapping[str, Level], Mapping[str, float]]:
    return limits_in(pack.limits), {"tokens": float(pack.usage.input_tokens)}
