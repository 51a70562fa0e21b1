"""What the wrappers around a service's model agree on: raw adapters, who calls, a line of the ledger, the journal.

The wrappers are `cached`, `retried`, `metered`, `budgeted`, `limited` and `breaker`, put together in `chains.py`. Where
the journal lies is `store`'s matter; here are its Protocol and one in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from elmer_pipelines.ids import fingerprint

if TYPE_CHECKING:
    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer, SimilarityScale, Usage

_Parsed = TypeVar("_Parsed", bound="BaseModel")


@dataclass(frozen=True)
class CallContext:
    """For whom a call is made."""

    workspace_id: str
    step: str
    run_id: str | None = None


@dataclass(frozen=True)
class CallRecord:
    """One line of the ledger.

    `outcome` is `ok`, `cached` (nothing was sent, nothing is owed) or the kind of the fault. `cost_usd` is None where
    the price is not known. `latency_s` is the service's, where it answered. `inputs` is the number of texts sent.
    `estimated`: the answer was lost, and usage and cost are the most it may have come to.
    """

    provider: str
    model: str
    step: str
    workspace_id: str
    run_id: str | None
    prompt: str | None
    prompt_version: int | None
    fingerprint: str
    usage: Usage
    cost_usd: float | None
    latency_s: float
    outcome: str
    request_id: str | None = None
    inputs: int = 1
    estimated: bool = False


class Journal(Protocol):
    """Keeps answers by fingerprint, and the ledger; safe to be used by many threads."""

    def lookup(self, fingerprint: str) -> RawAnswer | None: ...

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        """Keep the answer, replacing an older one; it is committed when this returns."""
        ...

    def forget(self, fingerprint: str) -> None:
        """Drop the answer, which was of no use."""
        ...

    def ledger(self, record: CallRecord) -> None: ...


class RawTextModel(Protocol):
    """A TextModel in two halves, so that what was sent can be stored before it is trusted; `raw` is one attempt."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer: ...

    def parse(self, raw: RawAnswer, schema: type[_Parsed]) -> _Parsed: ...


class PackedEmbeddings(Protocol):
    """An EmbeddingModel that is asked request by request; `send` is one attempt."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def service_model(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def scale(self) -> SimilarityScale: ...

    def requests(self, texts: list[str]) -> list[PackRequest]: ...

    def send(self, request: PackRequest) -> EmbeddedPack: ...


def prompt_fingerprint(prompt: Prompt, schema: type[BaseModel], model: str) -> str:
    """The fingerprint of all that determines the answer; the prompt's name and version are not part of it."""
    return fingerprint(
        instructions=prompt.instructions,
        material=prompt.material,
        schema=json_schema(schema),
        model=model,
        parameters={"max_tokens": prompt.max_tokens, "effort": prompt.effort},
    )


@lru_cache(maxsize=64)
def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The schema as JSON; not to be changed by who gets it."""
    return schema.model_json_schema()


@dataclass
class MemoryJournal:
    """A journal that ends with the process: for tests, and for trying a prompt."""

    answers: dict[str, RawAnswer] = field(default_factory=dict)
    calls: list[CallRecord] = field(default_factory=list)

    def lookup(self, fingerprint: str) -> RawAnswer | None:
        return self.answers.get(fingerprint)

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        self.answers[fingerprint] = answer

    def forget(self, fingerprint: str) -> None:
        self.answers.pop(fingerprint, None)

    def ledger(self, record: CallRecord) -> None:
        self.calls.append(record)
