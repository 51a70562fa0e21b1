"""Where sentences start and end in a text, as exact character offsets.

Made for what people write: missing capitals, emoji, bullets, wrapped lines, German and CJK punctuation. No judgement
of what a sentence says is here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SENTENCE = 600
"""Characters: what runs on longer is cut at a pause or a space, so that one endless line can't become one quote."""

_LONGEST_CHARACTER = 32  # marks on one letter; more than that is not writing and may be cut anywhere
_LINE = re.compile(r"[^\r\n\u2028\u2029\x0b\x0c]+")
_MARKER = re.compile(r"\s*(?:(?:[-*+•◦▪‣·–—>|#☐☑✓✔]+|\(?\d{1,3}[.)]|\[[ xX]\])[ \t\u00a0]+)*")
_EMOJI = r"\u2600-\u27bf\U0001f000-\U0001faff"
_STOP = re.compile(
    rf"""(?P<cjk>[。！？｡]+[」』”’）】"')\]]*)
      | (?<![.!?…‽؟।])(?P<end>[.!?…‽؟।\u203c\u2047-\u2049]+['"”’»)\]*_]*)(?=\s|$)
      | (?<![{_EMOJI}])(?P<emoji>[{_EMOJI}][{_EMOJI}\ufe0f\u200d]*)(?=\s+[^\W\d_a-zß-ÿ])
    """,
    re.X,
)  # each alternative starts only at the first of a run: a million dots are read once
_LAST_WORD = re.compile(r"[\w.’'-]*$")
_NEXT = re.compile(r"\s*(\S+)")
_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "e.g", "eg", "i.e", "ie", "approx", "no", "nos",
    "fig", "dept", "est", "inc", "ltd", "co", "corp", "max", "min", "incl", "cf", "al", "resp", "ca", "bzw",
    "z.b", "zb", "d.h", "u.a", "o.ä", "v.a", "i.d.r", "inkl", "exkl", "evtl", "ggf", "nr", "vgl", "usw.s",
    "sog", "bspw", "mind", "zzgl", "tel", "abs", "ziff", "str", "hr", "fr", "frl",
})  # fmt: skip
_AMBIGUOUS = frozenset(["etc", "usw", "a.m", "p.m", "u.s"])  # end a sentence only before a capital
_MONTHS = frozenset({
    "januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
    "dezember", "jahrhundert", "quartal",
})  # fmt: skip
_PAUSE = re.compile(r"[,;:，、；：]\s*|\s+[-–—]\s+|\s+")


def split_sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The sentences of `text[start:end]` in order as (start, end) offsets into `text`, without surrounding space.

    They do not overlap and none is empty or longer than MAX_SENTENCE. A full stop with no space after it does not end
    a sentence (decimals, URLs, file names), except a CJK one. Time is linear in the length.
    """
    stop = len(text) if end is None else end
    for block_start, block_end in _blocks(text, start, stop):
        position = block_start
        for boundary in _boundaries(text, block_start, block_end):
            yield from _bounded(text, *_trimmed(text, position, boundary))
            position = boundary
        yield from _bounded(text, *_trimmed(text, position, block_end))


def _blocks(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Lines without their bullets; a line that goes on in lower case on the next one is joined with it."""
    block: tuple[int, int] | None = None
    for line in _LINE.finditer(text, start, stop):
        marker = _MARKER.match(text, line.start(), line.end())
        first = marker.end() if marker else line.start()
        if block and first - line.start() == _indent(text, line) and _continues(text, block, first, line.start()):
            block = (block[0], line.end())
            continue
        if block:
            yield block
        block = (first, line.end())
    if block:
        yield block


def _indent(text: str, line: re.Match[str]) -> int:
    position = line.start()
    while position < line.end() and text[position].isspace():
        position += 1
    return position - line.start()


def _continues(text: str, block: tuple[int, int], first: int, line_start: int) -> bool:
    """A wrapped line: long enough to have been wrapped, no stop at its end, no blank line between, lower case after."""
    tail = text[max(block[0], block[1] - 60) : block[1]].rstrip()
    gap = text[block[1] : line_start]
    wrapped = (
        len(tail) >= 50 and tail[-1:] not in ".!?…:。！？" and gap.count("\n") + gap.count("\r") <= 1 + ("\r\n" in gap)
    )
    return wrapped and first < len(text) and text[first].islower()


def _boundaries(text: str, start: int, end: int) -> Iterator[int]:
    for match in _STOP.finditer(text, start, end):
        if match["end"] is None or not _is_inside(text, start, match, end):
            yield match.end()


def _is_inside(text: str, start: int, match: re.Match[str], end: int) -> bool:
    """Whether this punctuation belongs to the sentence: abbreviation, initial, ordinal, trailing dots."""
    following = _NEXT.match(text, match.end(), min(end, match.end() + 40))
    if following is None:
        return False
    word_after, mark = following[1], match["end"]
    if mark.startswith(("..", "…")) and "!" not in mark and "?" not in mark:
        return word_after[0].islower()
    if mark != ".":
        return False
    before = _LAST_WORD.search(text[max(start, match.start() - 24) : match.start()])
    word = before[0].lower().lstrip("'’-.") if before else ""
    if word in _AMBIGUOUS:
        return not word_after[0].isupper()
    if word.isdigit() and len(word) <= 2:
        return word_after[0].islower() or word_after.lower().rstrip(".,;") in _MONTHS
    if len(word) == 1 and word.isalpha():
        initial = text[match.start() - 1].isupper() and word != "i"
        return initial or re.fullmatch(r"[^\W\d_]\.\S*", word_after) is not None
    return word in _ABBREVIATIONS


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] in "\u200b\u200e\u200f\ufeff\x00"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in "\u200b\u200e\u200f\ufeff\x00"):
        end -= 1
    return start, end


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentence, or its pieces: cut at the last pause that fits, never inside a combined character."""
    while end - start > MAX_SENTENCE:
        limit = start + MAX_SENTENCE
        pauses = [m.end() for m in _PAUSE.finditer(text, start + MAX_SENTENCE // 2, limit)]
        cut = pauses[-1] if pauses else limit
        while cut > limit - _LONGEST_CHARACTER and _joins(text[cut]):
            cut -= 1
        piece = _trimmed(text, start, cut)
        if piece[0] < piece[1]:
            yield piece
        start, _ = _trimmed(text, cut, end)
    if start < end:
        yield start, end


def _joins(character: str) -> bool:
    return unicodedata.combining(character) > 0 or character in "\u200d\ufe0f"
