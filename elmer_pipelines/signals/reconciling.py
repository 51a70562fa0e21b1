"""Which of the signals just extracted are ones the document had before: the same quote keeps its id (I4).

Pure functions; the rows are written by `store/signals.py`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from elmer_pipelines.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.signals.model import PlacedQuote
    from elmer_pipelines.store.signals import Earlier

_SAME_PLACE = 0.5  # shared characters over all characters of two overlapping quotes
_SAME_WORDS = 90.0  # rapidfuzz ratio of a quote whose words were edited in the source
_COMPARED = 200  # quotes a side that are compared by their words; beyond, an edited quote is a new one


def reconcile(
    document_id: str, content_hash: str, placed: Sequence[PlacedQuote], earlier: Sequence[Earlier]
) -> tuple[list[str], list[str]]:
    """The id of each placed quote, in order, and the ids of earlier live signals that are no longer there.

    A quote continues an earlier signal with the same words (the nearest, where they are repeated), else one at the same
    place of the same text, else one whose words were slightly edited. What is left is new, with an id made from the
    document, the words, and which repetition of them it is.
    """
    ids: list[str | None] = [None] * len(placed)
    open_signals = {one.id: one for one in earlier}
    _by_words(placed, open_signals, ids)
    _by_place(placed, open_signals, ids, content_hash)
    _by_likeness(placed, open_signals, ids)
    taken = {one for one in ids if one} | {one.id for one in earlier}
    for number, quote in enumerate(placed):
        if ids[number] is None:
            ids[number] = _new_id(document_id, quote.verbatim, taken)
    gone = [one.id for one in open_signals.values() if not one.retired]
    return [one for one in ids if one is not None], gone


def _new_id(document_id: str, verbatim: str, taken: set[str]) -> str:
    for repetition in range(len(taken) + 1):
        candidate = stable_id("S", document_id, verbatim, str(repetition))
        if candidate not in taken:
            taken.add(candidate)
            return candidate
    raise AssertionError("more candidates than ids taken: one must be free")


def _by_words(placed: Sequence[PlacedQuote], open_signals: dict[str, Earlier], ids: list[str | None]) -> None:
    same_words: dict[str, list[Earlier]] = defaultdict(list)
    for one in open_signals.values():
        same_words[one.verbatim].append(one)
    for number, quote in enumerate(placed):
        candidates = same_words.get(quote.verbatim)
        if candidates:
            # A live signal before a retired one: what people work with today keeps its id.
            chosen = min(candidates, key=lambda one: (one.retired, abs(one.start - quote.start), one.start))
            candidates.remove(chosen)
            ids[number] = open_signals.pop(chosen.id).id


def _by_place(
    placed: Sequence[PlacedQuote], open_signals: dict[str, Earlier], ids: list[str | None], content_hash: str
) -> None:
    for number, quote in enumerate(placed):
        if ids[number] is not None:
            continue
        here = [one for one in open_signals.values() if one.content_hash == content_hash and not one.retired]
        best = max(here, key=lambda one: _overlap(one, quote), default=None)
        if best is not None and _overlap(best, quote) >= _SAME_PLACE:
            ids[number] = open_signals.pop(best.id).id


def _overlap(one: Earlier, quote: PlacedQuote) -> float:
    shared = min(one.end, quote.end) - max(one.start, quote.start)
    return max(0.0, shared / (max(one.end, quote.end) - min(one.start, quote.start)))


def _by_likeness(placed: Sequence[PlacedQuote], open_signals: dict[str, Earlier], ids: list[str | None]) -> None:
    from rapidfuzz import fuzz, process

    fresh = [number for number in range(len(placed)) if ids[number] is None][:_COMPARED]
    for number in fresh:
        words = {one.id: one.verbatim for one in list(open_signals.values())[:_COMPARED] if not one.retired}
        found = process.extractOne(placed[number].verbatim, words, scorer=fuzz.ratio, score_cutoff=_SAME_WORDS)
        if found is not None:
            ids[number] = open_signals.pop(found[2]).id
