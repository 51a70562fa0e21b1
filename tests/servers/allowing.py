"""An allowance of requests as the services keep it: it comes back evenly, and headers tell what is left of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Allowing:
    """A bucket of `burst` requests that fills at `per_minute`; not safe between threads: the server holds its lock."""

    def __init__(self, per_minute: float, burst: float | None = None) -> None:
        self.per_minute, self.burst = per_minute, burst or per_minute
        self._left = self.burst
        self._counted_at = time.monotonic()
        self._began: float | None = None

    def ask(self, endpoint: str) -> tuple[bool, dict[str, str]]:
        """Whether one more request is allowed, and the headers of its answer."""
        now = time.monotonic()
        self._began = self._began or now
        self._left = min(self.burst, self._left + (now - self._counted_at) * self.per_minute / 60)
        self._counted_at = now
        allowed = self._left >= 1
        self._left -= allowed
        full_in = (self.burst - self._left) * 60 / self.per_minute
        if endpoint == "embeddings":
            told = {"limit": f"{self.per_minute:.0f}", "remaining": f"{int(self._left)}", "reset": f"{full_in:.3f}s"}
            return allowed, {f"x-ratelimit-{name}-requests": value for name, value in told.items()}
        reset = (datetime.now(UTC) + timedelta(seconds=full_in)).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {"limit": f"{self.per_minute:.0f}", "remaining": f"{int(self._left)}", "reset": reset}
        return allowed, {f"anthropic-ratelimit-requests-{name}": value for name, value in told.items()}

    def so_far(self) -> float:
        """What the allowance came to since the first request."""
        passed = 0.0 if self._began is None else time.monotonic() - self._began
        return self.burst + passed * self.per_minute / 60
