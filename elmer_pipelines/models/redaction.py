"""Personal values in a text replaced by placeholders such as `[EMAIL_1]`, and a model's quotes brought back.

Pure: no model, no settings. What is looked for is in `personal.py`, the wrappers around models in `redacted.py`.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from elmer_pipelines.ids import fingerprint
from elmer_pipelines.models.personal import personal, term_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1  # raise when the same text would be redacted otherwise
_PLACEHOLDER = re.compile(r"\[((?:TERM|EMAIL|IBAN|CARD|ACCOUNT|PHONE)_\d+)\]", re.IGNORECASE)


def without_placeholders(text: str) -> str:
    """The text with `…` for each placeholder: nobody is to be named after one."""
    return _PLACEHOLDER.sub("…", text)


@dataclass
class Placeholders:
    """Which placeholder stands for which value; one of these for each document, or for each call.

    The same value, whatever its case or spacing, has the same placeholder. A placeholder that the texts hold already
    (a customer may have typed one) is never given to a value: name those texts to `avoid` first.
    """

    _given: dict[tuple[str, str], str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _avoided: set[str] = field(default_factory=set)

    def avoid(self, *texts: str) -> None:
        """Never give out a placeholder that one of these texts holds."""
        self._avoided |= {name.upper() for text in texts for name in _PLACEHOLDER.findall(text)}

    def of(self, kind: str, value: str) -> str:
        """The value's placeholder, a new one where it has none."""
        key = (kind, "".join(mark for mark in value.casefold() if mark.isalnum() or mark in "@.+"))
        if key not in self._given:
            number = self._numbers.get(kind, 0) + 1
            while f"{kind}_{number}" in self._avoided:
                number += 1
            self._numbers[kind] = number
            self._given[key] = f"[{kind}_{number}]"
        return self._given[key]


@dataclass(frozen=True)
class Replacement:
    """`text[start:end]` of the redacted text stands for `original[source_start:source_end]`."""

    start: int
    end: int
    source_start: int
    source_end: int


@dataclass(frozen=True)
class Redacted:
    """A text without its personal values, and the way back to the original."""

    text: str
    original: str
    replacements: tuple[Replacement, ...] = ()

    def position(self, source: int) -> int:
        """Where a character of the original is in the redacted text; inside a value, where its placeholder begins."""
        return self._moved(source, self._source_starts, back=False)

    def source_position(self, place: int) -> int:
        """Where a character of the redacted text was in the original; inside a placeholder, where its value begins."""
        return self._moved(place, self._starts, back=True)

    def _moved(self, at: int, starts: list[int], *, back: bool) -> int:
        number = bisect_right(starts, at) - 1
        if number < 0:
            return at
        one = self.replacements[number]
        end, other, other_end = one.end, one.source_start, one.source_end
        if not back:
            end, other, other_end = one.source_end, one.start, one.end
        return at - end + other_end if at >= end else other

    @cached_property
    def _starts(self) -> list[int]:
        return [one.start for one in self.replacements]

    @cached_property
    def _source_starts(self) -> list[int]:
        return [one.source_start for one in self.replacements]

    def restore(self, words: str, near: int | None = None) -> str:
        """A model's quote in the original's words.

        Where the words stand in the redacted text (of several places the one nearest to `near`), the original of that
        place; an end inside a placeholder takes its whole value. Where they don't, each placeholder's value in its
        place, and what may be a piece of one at either end is left out: placing then looks for the rest.
        """
        if not self.replacements:
            return words
        for form in dict.fromkeys((words.strip(), html.unescape(words).strip())):
            place = self._place(form, near)
            if form and place is not None:
                return self._original(place, place + len(form))
        whole = _PLACEHOLDER.sub(lambda found: self._values.get(found[1].upper(), found[0]), words)
        return self._without_pieces(whole)

    def _place(self, words: str, near: int | None) -> int | None:
        if near is None:
            found = self.text.find(words)
            return found if found >= 0 else None
        before, after = self.text.rfind(words, 0, near + len(words)), self.text.find(words, near)
        there = [one for one in (before, after) if one >= 0]
        return min(there, key=lambda one: abs(one - near)) if there else None

    def _original(self, start: int, end: int) -> str:
        first, last = self.source_position(start), self.source_position(end)
        for one in self.replacements:
            if one.start < end < one.end:
                last = one.source_end
        return self.original[first:last]

    @cached_property
    def _values(self) -> dict[str, str]:
        return {
            self.text[one.start + 1 : one.end - 1]: self.original[one.source_start : one.source_end]
            for one in reversed(self.replacements)
        }

    def _without_pieces(self, words: str) -> str:
        names = [f"[{name}]" for name in self._values]
        tails = [name[at:] for name in names for at in range(1, len(name) - 2)]
        heads = [name[:at] for name in names for at in range(3, len(name))]
        start = max((len(one) for one in tails if words.lstrip().startswith(one)), default=0)
        words = words.lstrip()[start:] if start else words
        end = max((len(one) for one in heads if words.rstrip().endswith(one)), default=0)
        return words.rstrip()[: len(words.rstrip()) - end] if end else words


@dataclass(frozen=True)
class Redaction:
    """What a workspace keeps back: e-mail addresses, phone, card and account numbers, and these terms."""

    terms: tuple[str, ...] = ()

    @cached_property
    def logic(self) -> str:
        """Changes whenever the same text could be redacted otherwise."""
        return fingerprint(version=VERSION, terms=sorted(self.terms))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return term_pattern(self.terms)

    def redact(self, text: str, placeholders: Placeholders | None = None, edges: Iterable[int] = ()) -> Redacted:
        """The text with placeholders; no value is looked for across one of the `edges` (ends of segments)."""
        if placeholders is None:
            placeholders = Placeholders()
            placeholders.avoid(text)
        parts: list[str] = []
        replacements: list[Replacement] = []
        at = length = 0
        cuts = sorted({0, len(text), *edges})
        for begin, end in pairwise(cuts):
            for found in personal(text[begin:end], self._pattern):
                start, stop = begin + found.start, begin + found.end
                name = placeholders.of(found.kind, text[start:stop])
                parts += [text[at:start], name]
                length += start - at
                replacements.append(Replacement(length, length + len(name), start, stop))
                length += len(name)
                at = stop
        return Redacted("".join([*parts, text[at:]]), text, tuple(replacements))

    def clean(self, text: str, placeholders: Placeholders | None = None) -> str:
        """The text with placeholders, for what need not come back."""
        return self.redact(text, placeholders).text
