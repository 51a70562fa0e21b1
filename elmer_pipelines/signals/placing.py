"""Quotes put on their exact place in a document (I1), or rejected with the reason; overlapping ones merged.

Comparison of texts is in `folding.py` and `approximate.py`; who said the words is in the document's segments.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from unicodedata import category

from elmer_pipelines.signals.approximate import WordIndex
from elmer_pipelines.signals.folding import Folded, fold, fold_case, fold_punctuation, snap_to_clusters
from elmer_pipelines.signals.model import PlacedQuote, Quote, RejectedQuote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.documents.model import Document

Span = tuple[int, int]
Match = Literal["exact", "normalised", "fuzzy"]
MERGE_AT = 0.5  # shared characters over all characters of two quotes
MIN_INSIDE_WORD = 6  # letters: "no" must not be found inside "know"
_MAX_OCCURRENCES = 1_000
_WRAPPING = " \t\r\n\"'“”„‟«»‘’‚‛「」『』…"
_RANK: dict[Match, int] = {"exact": 0, "normalised": 1, "fuzzy": 2}


def place(text: str, quotes: list[Quote]) -> tuple[list[PlacedQuote], list[RejectedQuote]]:
    """Put each quote where its words stand: for every one placed, `text[start:end] == verbatim`.

    Tried in order: the words as they are; without difference of white space, quote marks, dashes, dots, Unicode form
    and entities; without case; then what differs in punctuation or reads almost the same and is the only such place.
    Words that stand more than once go to the place nearest to `near`, without `near` to the first not yet taken.
    No place splits a grapheme cluster. The result is merged (`merge_overlaps`) and in order of place.
    """
    source = _Source(text)
    taken: dict[int | None, set[Span]] = {}
    placed: list[PlacedQuote] = []
    rejected: list[RejectedQuote] = []
    for quote in quotes:
        found = source.here(quote) or source.find(quote.words)
        if isinstance(found, str):
            rejected.append(RejectedQuote(quote.words, found))
            continue
        match, spans = found
        start, end = _choose(spans, quote.near, taken.setdefault(quote.near, set()))
        placed.append(PlacedQuote(start, end, text[start:end], match, quote))
    return merge_overlaps(placed), rejected


def _choose(spans: list[Span], near: int | None, taken: set[Span]) -> Span:
    free = [span for span in spans if span not in taken] or spans
    span = free[0] if near is None else min(free, key=lambda candidate: abs(candidate[0] - near))
    taken.add(span)
    return span


class _Source:
    """One document's text and the forms of it that quotes are looked up in, made when first needed."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def folded(self) -> Folded:
        return fold(self.text)

    @cached_property
    def caseless(self) -> Folded:
        return fold_case(self.folded)

    @cached_property
    def bare(self) -> Folded:
        return fold_punctuation(self.caseless)

    @cached_property
    def index(self) -> WordIndex:
        return WordIndex(self.caseless.text)

    def here(self, quote: Quote) -> tuple[Match, list[Span]] | None:
        """The quote at the very place its extractor named, where its words stand there to the letter."""
        start = quote.near
        if start is None or not quote.words.strip() or not self.text.startswith(quote.words, start):
            return None
        left = start + len(quote.words) - len(quote.words.lstrip())
        span = (left, left + len(quote.words.strip()))
        fits = _on_words(self.text, *span) and snap_to_clusters(self.text, *span) == span
        return ("exact", [span]) if fits and any(mark.isalnum() for mark in quote.words) else None

    def find(self, words: str) -> tuple[Match, list[Span]] | str:
        """How and where the words stand, best places only; or why they are rejected."""
        whole = words.strip()
        core = words.strip(_WRAPPING).removeprefix("...").removesuffix("...").strip(_WRAPPING)
        if not any(mark.isalnum() or category(mark) == "So" for mark in core):  # So: emoji
            return "too_short"
        for form in dict.fromkeys((whole, core)):
            for match, spans in self._searches(form):
                if spans:
                    return match, spans
        return self._approximately(core)

    def _searches(self, words: str) -> Iterator[tuple[Match, list[Span]]]:
        found = self._preferred(_occurrences(self.text, words), words)
        clean = [span for span in found if snap_to_clusters(self.text, *span) == span]
        yield "exact", clean
        yield "normalised", self._snapped(found)
        folded = fold(words)
        yield "normalised", self._in(self.folded, folded.text.strip())
        yield "normalised", self._in(self.caseless, fold_case(folded).text.strip())

    def _in(self, form: Folded, words: str) -> list[Span]:
        if not words:
            return []
        spans = [form.original(start, end) for start, end in _occurrences(form.text, words)]
        return self._snapped(self._preferred(spans, words))

    def _snapped(self, spans: list[Span]) -> list[Span]:
        return list(dict.fromkeys(snap_to_clusters(self.text, *span) for span in spans))

    def _preferred(self, spans: list[Span], words: str) -> list[Span]:
        """Places that begin and end with words; others only when the quote is long enough not to be an accident."""
        whole_words = [span for span in spans if _on_words(self.text, *span)]
        long_enough = sum(mark.isalnum() for mark in words) >= MIN_INSIDE_WORD
        return whole_words or (spans if long_enough else [])

    def _approximately(self, words: str) -> tuple[Match, list[Span]] | str:
        caseless = fold_case(fold(words))
        bare = fold_punctuation(caseless).text.strip()
        spans = [span for span in self._in(self.bare, bare) if _on_words(self.text, *span)] if " " in bare else []
        if spans:
            return "fuzzy", spans
        found = self.index.best(caseless.text.strip())
        if not found:
            return "not_found"
        if len({self.caseless.text[near.start : near.end] for near in found}) > 1:
            return "ambiguous_fuzzy"
        return "fuzzy", self._snapped([self.caseless.original(near.start, near.end) for near in found])


def _occurrences(text: str, words: str) -> list[Span]:
    spans: list[Span] = []
    at = text.find(words)
    while at >= 0 and len(spans) < _MAX_OCCURRENCES:
        spans.append((at, at + len(words)))
        at = text.find(words, at + 1)
    return spans


def _on_words(text: str, start: int, end: int) -> bool:
    return not (_joined(text, start) or _joined(text, end))


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on across this place, in a script that puts spaces between words."""
    return 0 < at < len(text) and _spaced_letter(text[at - 1]) and _spaced_letter(text[at])


def _spaced_letter(mark: str) -> bool:
    code = ord(mark)
    no_spaces = (
        0x0E00 <= code <= 0x0EFF or 0x1000 <= code <= 0x109F or 0x1780 <= code <= 0x17FF or 0x3040 <= code <= 0xD7FF
    )
    return mark.isalnum() and not no_spaces and not (0xF900 <= code <= 0xFAFF or code >= 0x20000)


def merge_overlaps(placed: list[PlacedQuote]) -> list[PlacedQuote]:
    """One quote where several share at least half of their characters: the longer, what it leaves unclear filled in.

    In order of place; merging what is merged changes nothing.
    """
    merged: list[PlacedQuote] = []
    for group in _touching(sorted(placed, key=lambda quote: (quote.start, quote.end))):
        kept: list[PlacedQuote] = []
        for quote in sorted(group, key=lambda q: (q.start - q.end, _RANK[q.match], q.start)):
            alike = next((index for index, other in enumerate(kept) if _shared(quote, other) >= MERGE_AT), None)
            if alike is None:
                kept.append(quote)
            else:
                kept[alike] = replace(kept[alike], quote=_filled(kept[alike].quote, quote.quote))
        merged.extend(kept)
    return sorted(merged, key=lambda quote: (quote.start, quote.end))


def _touching(ordered: list[PlacedQuote]) -> Iterator[list[PlacedQuote]]:
    group: list[PlacedQuote] = []
    reach = -1
    for quote in ordered:
        if group and quote.start >= reach:
            yield group
            group = []
        group.append(quote)
        reach = max(reach, quote.end) if len(group) > 1 else quote.end
    if group:
        yield group


def _shared(one: PlacedQuote, other: PlacedQuote) -> float:
    shared = min(one.end, other.end) - max(one.start, other.start)
    together = max(one.end, other.end) - min(one.start, other.start)
    return shared / together if together else 1.0


def _filled(quote: Quote, by: Quote) -> Quote:
    return replace(
        quote,
        interpretation=quote.interpretation or by.interpretation,
        severity=quote.severity or by.severity,
        frequency=quote.frequency or by.frequency,
        segment=quote.segment or by.segment,
    )


def keep_customers(document: Document, placed: list[PlacedQuote]) -> tuple[list[PlacedQuote], list[RejectedQuote]]:
    """Reject (`not_customer`) what lies wholly in words that the document says are ours, not a customer's."""
    ours = [segment for segment in document.segments if not segment.is_customer]

    def is_ours(quote: PlacedQuote) -> bool:
        return any(segment.start <= quote.start and quote.end <= segment.end for segment in ours)

    rejected = [RejectedQuote(quote.verbatim, "not_customer") for quote in placed if is_ours(quote)]
    return [quote for quote in placed if not is_ours(quote)], rejected
