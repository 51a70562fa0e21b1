"""Text with its accidents removed (spaces, quote marks, dashes, Unicode forms), and the way back to the original.

Only the comparison of texts: where a quote belongs is decided in `placing.py`.
"""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SINGLE_QUOTES = "‘’‚‛′‵`´ʼʻ＇"
_DOUBLE_QUOTES = "“”„‟″‶«»「」『』〝〞＂"
_DASHES = "‐‑‒–—―−﹘﹣－"
# Marks a reader does not see and a model drops: soft hyphen, zero-width space, direction marks, variation selectors …
_UNSEEN = "\u00ad\u200b\u200c\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\ufe0e\ufe0f\u061c" + "".join(
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
_TABLE: dict[int, str | None] = {
    **{ord(mark): "'" for mark in _SINGLE_QUOTES},
    **{ord(mark): '"' for mark in _DOUBLE_QUOTES},
    **{ord(mark): "-" for mark in _DASHES},
    **{ord(mark): None for mark in _UNSEEN},
}
_COLLAPSING = " -…"
# Flags apart: `\X` counts back to the first of a row of flags, which takes the square of the row's length.
_CLUSTER = r"[\U0001F1E6-\U0001F1FF]{2}[\p{M}\u200d]*|\X"


@cache
def _pieces() -> Any:
    """An entity, a run of plain letters that nothing combines with, or one grapheme cluster (what a reader sees)."""
    import regex

    return regex.compile(
        r"(?P<entity>&(?:amp;){0,8}(?:\#\d{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
        r"|(?P<plain>[A-Za-z0-9]+(?![\p{M}\p{Cf}\p{Sk}]))"
        rf"|(?P<cluster>{_CLUSTER})",
        regex.VERBOSE,
    )


@dataclass(frozen=True)
class Folded:
    """A folded text; its character `i` stands for the original's characters `starts[i]:ends[i]`, whole clusters."""

    text: str
    starts: list[int]
    ends: list[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original's range for the folded, non-empty range `start:end`."""
        return self.starts[start], self.ends[end - 1]

    def mapped(self, change: Callable[[str], str]) -> Folded:
        """Each character changed to none, one or several; spaces that meet become one."""
        building = _Building()
        for mark, start, end in zip(self.text, self.starts, self.ends, strict=True):
            building.add(change(mark), start, end)
        return building.done()


class _Building:
    def __init__(self) -> None:
        self.marks: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add_plain(self, run: str, start: int) -> None:
        self.marks.extend(run)
        self.starts.extend(range(start, start + len(run)))
        self.ends.extend(range(start + 1, start + len(run) + 1))

    def add(self, folded: str, start: int, end: int) -> None:
        for mark in folded:
            if mark == "." and self.marks and self.marks[-1] in ".…":
                self.marks[-1], self.ends[-1] = "…", end
            elif mark in _COLLAPSING and self.marks and self.marks[-1] == mark:
                self.ends[-1] = end
            else:
                self.marks.append(mark)
                self.starts.append(start)
                self.ends.append(end)

    def done(self) -> Folded:
        return Folded("".join(self.marks), self.starts, self.ends)


def fold(text: str) -> Folded:
    """NFKC, entities undone (also `&amp;lt;`), one space for a run of any, plain quotes and dashes, `…` for dots.

    Case and punctuation are kept.
    """
    building = _Building()
    for piece in _pieces().finditer(text):
        words, start = piece[0], piece.start()
        if piece.lastgroup == "plain":
            building.add_plain(words, start)
        else:
            building.add(_entity(words) if piece.lastgroup == "entity" else _cluster(words), start, piece.end())
    return building.done()


def fold_case(folded: Folded) -> Folded:
    """The same without difference between upper and lower case."""
    return folded.mapped(str.casefold)


def fold_punctuation(folded: Folded) -> Folded:
    """The same with a space for every mark of punctuation, Markdown's too."""
    return folded.mapped(lambda mark: " " if unicodedata.category(mark)[0] == "P" or mark in "`|~^+=<>" else mark)


@lru_cache(maxsize=8192)
def _cluster(cluster: str) -> str:
    plain = unicodedata.normalize("NFKC", cluster.translate(_TABLE)).translate(_TABLE)
    return " " if plain and plain.isspace() else "".join(" " if mark.isspace() else mark for mark in plain)


@lru_cache(maxsize=1024)
def _entity(entity: str) -> str:
    plain = html.unescape(entity)
    while plain != entity and "&" in plain:
        entity, plain = plain, html.unescape(plain)
    return "".join(_cluster(mark) for mark in plain)


def snap_to_clusters(text: str, start: int, end: int) -> tuple[int, int]:
    """The smallest range around `start:end` that splits no grapheme cluster (letter with marks, ZWJ emoji, flag)."""
    return _boundary(text, start, forward=False), _boundary(text, end, forward=True)


_LOOK_AROUND = 256  # characters; no cluster people write is longer


def _boundary(text: str, at: int, *, forward: bool) -> int:
    if at <= 0 or at >= len(text) or _certain(text[at - 1], text[at]):
        return at
    begin, first = at - 1, max(0, at - _LOOK_AROUND)
    while begin > first and not _certain(text[begin - 1], text[begin]):
        begin -= 1
    for piece in _clusters().finditer(text[begin : at + _LOOK_AROUND]):
        if begin + piece.end() >= at:
            return begin + int(piece.end() if forward or begin + piece.end() == at else piece.start())
    return at


def _certain(before: str, after: str) -> bool:
    """Whether a cluster certainly ends between two characters: both stand for themselves, neither combines."""
    return _alone(before) and _alone(after)


@lru_cache(maxsize=8192)
def _alone(mark: str) -> bool:
    code, category = ord(mark), unicodedata.category(mark)
    jamo = 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97F or 0xAC00 <= code <= 0xD7FF
    combining_letter = code in (0xE33, 0xEB3, 0xD4E, 0xFF9E, 0xFF9F) or code >= 0x11000
    return category[0] in "LNPZ" and not jamo and not combining_letter


@cache
def _clusters() -> Any:
    import regex

    return regex.compile(_CLUSTER)
