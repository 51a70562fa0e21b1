"""The two ways to talk to a model: structured text and embeddings. Implementations live beside this file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Usage:
    """Tokens by kind, as the service counted them. Local models report zeros and cost nothing.

    Thinking is part of the output, and billed as such: `thinking_tokens` says how much of it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0


@dataclass(frozen=True)
class Prompt:
    """One request: the instructions are ours, the material is data in an envelope (I10).

    `name` and `version` are for people; only the texts determine the answer. `max_tokens` bounds the answer.
    """

    name: str
    version: int
    instructions: str
    material: str
    max_tokens: int = 8_000
    effort: str = "low"


@dataclass(frozen=True)
class RawAnswer:
    """What the service sent, before it is trusted: kept as it came, under its fingerprint."""

    body: str
    usage: Usage
    model: str
    request_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class TextModel(Protocol):
    """Answers a prompt with JSON that fits a schema."""

    @property
    def model(self) -> str:
        """The model's name at its service, e.g. `claude-sonnet-5-5`."""
        ...

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        """One validated answer. Raises ModelFault."""
        ...


def reject(model: TextModel, prompt: Prompt, schema: type[BaseModel]) -> None:
    """The answer fitted its schema and was of no use all the same: a model that keeps answers forgets it."""
    told = getattr(model, "reject", None)
    if told is not None:
        told(prompt, schema)


@dataclass(frozen=True)
class SimilarityScale:
    """Where a model's cosine similarities mean something: each model has its own scale.

    `link`: at or above, a signal belongs to the project; `unrelated`: below, it starts something new;
    `duplicate`: above, two signals say the same; `coherent`: the mean similarity of a cluster's members to its centre
    that counts as a confidence of 0.7, the threshold workspaces start with.
    """

    link: float
    unrelated: float
    duplicate: float
    coherent: float = 0.7


class EmbeddingModel(Protocol):
    """Turns texts into unit vectors."""

    @property
    def model(self) -> str:
        """The key vectors are stored under, e.g. `text-embedding-3-small` or `local/wordllama-256-2`."""
        ...

    @property
    def dimensions(self) -> int: ...

    @property
    def scale(self) -> SimilarityScale: ...

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1. Raises ModelFault."""
        ...
