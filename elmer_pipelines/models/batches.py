"""What a service of message batches can be asked, whichever it is: many requests at half the price, within a day.

The services are in `anthropic_batches.py` and `openai_batches.py`. What is sent when, and what becomes of the results,
is in the package `batching`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from elmer_pipelines.errors import ModelFault
    from elmer_pipelines.models.protocols import RawAnswer

CUSTOM_ID_CHARS = 64  # of letters, digits, - and _; so many both services take


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold."""

    requests: int
    bytes: int


@dataclass(frozen=True)
class BatchRequest:
    """One request: its body as it would be sent alone, under an id of ours."""

    custom_id: str
    params: dict[str, Any]


@dataclass(frozen=True)
class BatchSeen:
    """A batch as the service has it. `mark` is ours where the service keeps one, "" where it has another or none,
    None where it keeps none at all. `fault` says why no request of it was looked at."""

    service_id: str
    created_at: datetime
    ended: bool
    requests: int | None
    mark: str | None = None
    fault: ModelFault | None = None


@dataclass(frozen=True)
class ItemResult:
    """What came of one request: the body of its answer, or its fault. Kinds `expired` and `canceled`: not looked at."""

    custom_id: str
    body: str | None = None
    fault: ModelFault | None = None


class BatchService(Protocol):
    """One service's batches of one kind; every method raises ModelFault."""

    @property
    def provider(self) -> str: ...

    @property
    def limits(self) -> BatchLimits: ...

    @property
    def offered(self) -> bool:
        """Whether what answers at the address is known to have batches."""
        ...

    def submit(self, mark: str, requests: Sequence[BatchRequest]) -> str:
        """Send a batch in one attempt; returns the service's id. Every custom id begins with the mark."""
        ...

    def look_up(self, service_id: str) -> BatchSeen | None:
        """The batch as it stands; None where the service does not know it (yet, right after its creation)."""
        ...

    def since(self, moment: datetime) -> Iterator[BatchSeen]:
        """The batches made since then, by whomever, the newest first."""
        ...

    def results(self, service_id: str) -> Iterator[ItemResult]:
        """What came of each request of an ended batch, in any order."""
        ...

    def discard(self, service_id: str) -> None:
        """Have the service delete what it keeps of an ended batch: the customers' words, and the answers."""
        ...

    def answer(self, body: str, model: str, service_id: str) -> RawAnswer:
        """The body of a result as a single request would have brought it; `lost` where it can't be read."""
        ...

    def verdict(self, raw: RawAnswer) -> str:
        """`ok`, or what is wrong with an answer whatever was asked: the kind of its fault."""
        ...


class AnyAnswer(BaseModel):
    """What fits whenever there is an answer at all."""


def custom_id(mark: str, fingerprint: str) -> str:
    """The id of a request at the service: the batch's mark and the beginning of its fingerprint's hex digits."""
    digits = fingerprint.rpartition(":")[2]
    return f"{mark}-{digits}"[:CUSTOM_ID_CHARS]
