"""Putting a document together: text grows piece by piece, and segments remember where the words went.

Readers of formats that bring their own text (Markdown, PDF) find segments in it instead: see plain.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.guards import clean_text, clean_value
from elmer_pipelines.documents.model import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

_TITLE_LENGTH = 80


class Draft:
    """Text under construction. `label` adds what is not anybody's words, `say` adds a segment."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.segments: list[Segment] = []

    @property
    def text(self) -> str:
        """All that was added so far."""
        return "".join(self._parts)

    def __len__(self) -> int:
        return self._length

    def label(self, text: str) -> None:
        """Add text outside of any segment."""
        self._parts.append(text)
        self._length += len(text)

    def say(self, words: str, **fields: Any) -> None:
        """Add words as a segment of its own, with these fields of Segment; blank words add nothing."""
        words = clean_text(words).strip()
        if words:
            self.segments.append(Segment(self._length, self._length + len(words), **fields))
            self.label(words)

    def place(self, words: str, segments: Sequence[Segment]) -> None:
        """Add text that has segments already, counted from its own start."""
        for segment in segments:
            moved = {"start": segment.start + self._length, "end": segment.end + self._length}
            self.segments.append(Segment(**{**segment.__dict__, **moved}))
        self.label(words)

    def turn(self, speaker: str | None, words: str, **fields: Any) -> None:
        """Add a turn of speech on a line of its own, after an empty line."""
        words = clean_text(words).strip()
        if not words:
            return
        if self._length:
            self.label("\n\n")
        speaker = clean_value(speaker)[:80] if speaker else None
        if speaker:
            self.label(f"{speaker}: ")
        self.say(words, speaker=speaker, **fields)


def short_title(text: str) -> str:
    """The beginning of a text as one line of at most 80 characters, cut between words."""
    line = " ".join(text[: 4 * _TITLE_LENGTH].split())
    if len(line) <= _TITLE_LENGTH:
        return line
    cut = line[: _TITLE_LENGTH - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[_TITLE_LENGTH // 2 :] else cut) + "…"


def unique_names(names: Sequence[str | None]) -> tuple[str, ...]:
    """Names in order of first mention, each once, unset ones left out."""
    return tuple(dict.fromkeys(name for name in names if name))


def file_title(path: str) -> str:
    """`calls/2026-03-01_acme-renewal.txt` → `2026-03-01 acme-renewal`: a title when nothing better is known."""
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return clean_value(stem.replace("_", " ")) or path
