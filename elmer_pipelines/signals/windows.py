"""Long documents in overlapping windows that fit one model call. What is asked about a window is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.signals.folding import snap_to_clusters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.documents.model import Document

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+|\n+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Window:
    """Characters `start:end` of a document's text."""

    start: int
    end: int


def windows(document: Document, max_chars: int, overlap_segments: int) -> list[Window]:
    """Windows of at most `max_chars` that together hold every segment, beginning and ending with one.

    Each begins with up to `overlap_segments` of the last segments of the one before, as far as they fit. A segment
    longer than a window is cut after a sentence, else at a space, else between two characters. Without segments the
    whole text is one. Raises ValueError when `max_chars` is below 1 or `overlap_segments` below 0.
    """
    if max_chars < 1 or overlap_segments < 0:
        raise ValueError("windows need max_chars of at least 1 and overlap_segments of at least 0")
    spans = [(s.start, s.end) for s in document.segments if s.end > s.start] or [(0, len(document.text))]
    pieces = [piece for span in spans for piece in cut(document.text, *span, max_chars)]
    found: list[Window] = []
    first, covered = 0, 0
    while covered < len(pieces):
        start = pieces[first][0]
        last = first
        while last + 1 < len(pieces) and pieces[last + 1][1] - start <= max_chars:
            last += 1
        found.append(Window(start, pieces[last][1]))
        covered = last + 1
        first = _next_first(pieces, covered, max_chars, max(first + 1, covered - overlap_segments))
    return found


def _next_first(pieces: list[tuple[int, int]], covered: int, max_chars: int, earliest: int) -> int:
    """The first piece of the next window: as early as wanted, but so that the next piece fits in with it."""
    first = min(earliest, covered)
    while first < covered < len(pieces) and pieces[covered][1] - pieces[first][0] > max_chars:
        first += 1
    return first


def cut(text: str, start: int, end: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """`start:end` in pieces of at most `max_chars`, none of them blank, that leave out nothing but white space.

    A grapheme cluster longer than a piece makes that piece longer.
    """
    while end - start > max_chars:
        at = _place_to_cut(text, start, start + max_chars)
        if text[start:at].strip():
            yield start, at
        start = at
    if text[start:end].strip():
        yield start, end


def _place_to_cut(text: str, start: int, limit: int) -> int:
    middle = (start + limit) // 2
    for pattern in (_SENTENCE_END, _SPACE):
        places = [match.end() for match in pattern.finditer(text, middle, limit)]
        if places:
            return places[-1]
    before, after = snap_to_clusters(text, limit, limit)
    return before if before > start else max(after, start + 1)
