"""What a service allows an account per minute, as its headers say it, and how shares of it are leased.

Here are the Protocol and an allowance of one process; the one that processes share lies in PostgreSQL. Who waits for a
share, and how many calls run at once, is in `limited.py`.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ANTHROPIC = {"requests": "requests", "input-tokens": "input_tokens", "output-tokens": "output_tokens"}
_OPENAI = {"requests": "requests", "tokens": "tokens"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
OTHERS_S = 0.25  # seconds' worth of an allowance that other processes may hold in their shares
_TELLING = 10  # calls used up from which on the time to the reset says how fast the allowance comes back


@dataclass(frozen=True)
class Level:
    """One kind of allowance: what comes back per minute (at the most this much is kept), and what is left now."""

    per_minute: float
    left: float


@dataclass(frozen=True)
class Leased:
    """An answer to `lease`: shares by kind, what is still there beside them, and seconds nobody may send."""

    granted: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, Level] = field(default_factory=dict)
    blocked_s: float = 0.0


class Allowance(Protocol):
    """The allowance of one account for one model, shared by all who use it."""

    def lease(self, wanted: Mapping[str, float], seen: Mapping[str, Level]) -> Leased:
        """Take up to `wanted` of each kind. `seen` is what the service should have left beside this process's share.

        What is known is cut to that, or lifted half the way, short of what other processes may hold in their shares.
        """
        ...

    def block(self, seconds: float) -> None:
        """Nobody sends before so many seconds have passed, and then at the pace at which the allowance comes back."""
        ...


class MemoryAllowance:
    """An allowance that one process uses alone; not safe between threads: the limiter holds its lock around it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: dict[str, Level] = {}
        self._counted_at = clock()
        self._blocked_until = 0.0

    def lease(self, wanted: Mapping[str, float], seen: Mapping[str, Level]) -> Leased:
        """Take up to `wanted` of each kind."""
        now = self._clock()
        passed, self._counted_at = max(0.0, now - self._counted_at), now
        for kind, level in self._levels.items():
            left = min(level.per_minute, level.left + level.per_minute / 60 * passed)
            self._levels[kind] = Level(level.per_minute, left)
        for kind, level in seen.items():
            known = self._levels.get(kind, level)
            lifted = (known.left + level.left - level.per_minute / 60 * OTHERS_S) / 2
            self._levels[kind] = Level(level.per_minute, min(level.left, max(known.left, lifted)))
        blocked = max(0.0, self._blocked_until - now)
        granted: dict[str, float] = {}
        for kind in wanted.keys() & self._levels.keys() if not blocked else ():
            level = self._levels[kind]
            granted[kind] = max(0.0, min(wanted[kind], level.left))
            self._levels[kind] = Level(level.per_minute, level.left - granted[kind])
        return Leased(granted, dict(self._levels), blocked)

    def block(self, seconds: float) -> None:
        """Nobody sends before so many seconds have passed, and then at the pace at which the allowance comes back."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)
        for kind, level in self._levels.items():
            self._levels[kind] = Level(level.per_minute, min(level.left, -level.per_minute / 60 * seconds))


def account_of(provider: str, base_url: str | None, key: str) -> str:
    """The name an account's allowance is kept under: a hash, from which the key can't be found."""
    return hashlib.sha256(f"{provider}\n{base_url or ''}\n{key}".encode()).hexdigest()[:24]


def limits_in(headers: Mapping[str, str], now: datetime | None = None) -> dict[str, Level]:
    """The allowance by kind, from the rate-limit headers of an answer; kinds that are not told, or not clearly, lack.

    Anthropic's `anthropic-ratelimit-{requests,input-tokens,output-tokens}-{limit,remaining,reset}` (reset: a moment),
    OpenAI's `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (reset: a duration such as `6ms` or `1m2s`).
    """
    now = now or datetime.now(UTC)
    found: dict[str, Level] = {}
    for name, kind in _ANTHROPIC.items():
        prefix = f"anthropic-ratelimit-{name}"
        told = [headers.get(f"{prefix}-{part}") for part in ("limit", "remaining", "reset")]
        _add(found, kind, told[0], told[1], _moment(told[2], now))
    for name, kind in _OPENAI.items():
        told = [headers.get(f"x-ratelimit-{part}-{name}") for part in ("limit", "remaining", "reset")]
        _add(found, kind, told[0], told[1], _duration(told[2]))
    return found


def _add(found: dict[str, Level], kind: str, limit: str | None, remaining: str | None, reset_s: float | None) -> None:
    try:
        most, left = float(limit or ""), float(remaining or "")
    except ValueError:
        return
    if not (0 < most < float("inf") and 0 <= left <= most):
        return
    per_minute = most
    if reset_s is not None and most - left >= _TELLING:
        back = (most - left) / max(reset_s, 1.0) * 60
        if back < most / 4:  # a limit per hour or day, not per minute
            per_minute = back
    found[kind] = Level(per_minute, left)


def _moment(value: str | None, now: datetime) -> float | None:
    try:
        return max(0.0, (datetime.fromisoformat(value or "") - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _duration(value: str | None) -> float | None:
    parts = _DURATION.findall(value or "")
    return sum(float(number) * _UNIT[unit] for number, unit in parts) if parts else None
