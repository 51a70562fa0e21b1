"""A signal before it is stored: what an extractor says, and where its words were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from elmer_pipelines.determinants import Determinants
    from elmer_pipelines.documents.model import Document

Severity = Literal["critical", "high", "medium", "low"]
Frequency = Literal["common", "occasional", "rare"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
FREQUENCIES: tuple[Frequency, ...] = ("common", "occasional", "rare")


@dataclass(frozen=True)
class Quote:
    """What an extractor claims a customer said: words not yet placed, and what they mean.

    `near` is a character offset where the extractor believes the quote starts, None where it can't know.
    Severity, frequency and segment (the user's segment: "enterprise admin", "free user") are None when unclear.
    """

    words: str
    interpretation: str | None = None
    severity: Severity | None = None
    frequency: Frequency | None = None
    segment: str | None = None
    near: int | None = None


@dataclass(frozen=True)
class PlacedQuote:
    """A quote whose words are `document.text[start:end]` (I1); `verbatim` is exactly that."""

    start: int
    end: int
    verbatim: str
    match: Literal["exact", "normalised", "fuzzy"]
    quote: Quote


@dataclass(frozen=True)
class RejectedQuote:
    """A quote that can't be placed, with the reason: not_found, ambiguous_fuzzy, too_short, not_customer."""

    words: str
    reason: str


class Extractor(Protocol):
    """Finds what a customer said that matters, in one document."""

    @property
    def name(self) -> str:
        """The model as shown to people, e.g. `claude-sonnet-5-5` or `local/…`."""
        ...

    @property
    def determinants(self) -> Determinants:
        """All but the document that determines the answer: prompt, model, weights, rules."""
        ...

    def extract(self, document: Document) -> list[Quote]:
        """The quotes of one document, in no particular order.

        Raises ModelFault when the model gave no usable answer.
        """
        ...
