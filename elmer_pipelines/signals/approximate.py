"""Where in a text something stands that reads almost like a quote: bounded work, whole words of the text's own.

Exact and normalised placing come first, in `placing.py`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

MIN_RATIO = 85.0  # of 100, rapidfuzz's normalised insertion-deletion similarity
MIN_RATIO_SHORT = 90.0
SHORT_TOKENS = 5
MIN_TOKENS = 3
MAX_CHARS = 5_000
_MAX_REGIONS = 8
_MAX_KEYS = 24
_MAX_POSITIONS = 200  # of one word: commoner words say nothing about where a quote is
_TIE = 1.0
# Words that turn a sentence into its opposite, and figures: where these differ, being alike in letters means nothing.
_TELLING = re.compile(
    r"n't\b|\b(?:not|cannot|no|never|none|nothing|nobody|without|nicht|nie|ohne|kein\w*|pas|jamais|sans|nunca|sin)\b"
    r"|[不没沒無无未非]|\d+"
)


@dataclass(frozen=True)
class Near:
    """A range of the text that reads like the quote, and how much so (0 to 100)."""

    start: int
    end: int
    ratio: float


def _telling(text: str) -> list[str]:
    return sorted("not" if found in ("n't", "cannot") else found for found in _TELLING.findall(text))


@cache
def _tokens() -> Any:
    """A letter of a script without spaces between words, or a word."""
    import regex

    no_spaces = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    return regex.compile(rf"(?P<letter>[{no_spaces}]\p{{M}}*)|[\p{{L}}\p{{M}}\p{{N}}_--[{no_spaces}]]+", regex.V1)


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    key: str


def _tokenise(text: str) -> list[_Token]:
    """Tokens with keys to look them up by: a word itself, a letter of a script without spaces with its successor."""
    found = [(match.start(), match.end(), match.lastgroup == "letter") for match in _tokens().finditer(text)]
    tokens = []
    for index, (start, end, is_letter) in enumerate(found):
        last = found[index + 1][1] if is_letter and index + 1 < len(found) else end
        tokens.append(_Token(start, end, text[start:last]))
    return tokens


class WordIndex:
    """The words of one (folded) text, to find what reads like a quote without comparing everything."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokenise(text)
        self._starts = [token.start for token in self._tokens]
        self._ends = [token.end for token in self._tokens]
        self._places: dict[str, list[int]] = defaultdict(list)
        for index, token in enumerate(self._tokens):
            self._places[token.key].append(index)

    def best(self, words: str) -> list[Near]:
        """The best ranges, at least `MIN_RATIO` alike and within a point of each other, in order; [] when none is.

        A range with other negations or figures than the words is none of them.

        Work is bounded by the length of the words, not of the text: at most 8 regions are compared.
        """
        wanted = _tokenise(words)
        if len(wanted) < MIN_TOKENS or len(words) > MAX_CHARS:
            return []
        least = MIN_RATIO if len(wanted) >= SHORT_TOKENS else MIN_RATIO_SHORT
        compared = [self._compare(words, *region) for region in self._regions(wanted)]
        found = [n for n in compared if n.ratio >= least and _telling(words) == _telling(self._text[n.start : n.end])]
        top = max((near.ratio for near in found), default=0.0)
        kept: list[Near] = []
        for near in sorted(found, key=lambda n: (-n.ratio, n.start)):
            if near.ratio >= top - _TIE and all(near.end <= other.start or near.start >= other.end for other in kept):
                kept.append(near)
        return sorted(kept, key=lambda n: n.start)

    def _regions(self, wanted: list[_Token]) -> list[tuple[int, int]]:
        """Token ranges where many of the wanted words stand in about the wanted order, the likeliest first."""
        width = max(2, len(wanted) // 5)
        votes: Counter[int] = Counter()
        rare = sorted(enumerate(wanted), key=lambda item: len(self._places.get(item[1].key, ())))
        known = [(index, token.key) for index, token in rare if token.key in self._places]
        for index, key in known[:_MAX_KEYS]:
            for place in self._places[key][:_MAX_POSITIONS]:
                votes[(place - index) // width] += 1
        scored = {bucket: votes[bucket] + votes[bucket + 1] for bucket in votes}
        likeliest = sorted(scored, key=lambda bucket: (-scored[bucket], bucket))[:_MAX_REGIONS]
        last = len(self._tokens)
        return [(max(0, b * width - width), min(last, (b + 2) * width + len(wanted) + width)) for b in likeliest]

    def _compare(self, words: str, first: int, last: int) -> Near:
        """The range of whole tokens between `first` and `last` that is most like the words."""
        from rapidfuzz.fuzz import partial_ratio_alignment

        begin, stop = self._starts[first], self._ends[last - 1]
        found = partial_ratio_alignment(words, self._text[begin:stop])
        if found is None or len(words) > stop - begin:
            return self._refine(words, first, last - 1, first, last)
        head = max(first, bisect_right(self._starts, begin + found.dest_start) - 1)
        tail = min(last - 1, bisect_left(self._ends, begin + found.dest_end))
        return self._refine(words, head, tail, first, last)

    def _refine(self, words: str, head: int, tail: int, first: int, last: int) -> Near:
        """The best of the ranges that begin and end up to two tokens away from `head` and `tail`."""
        from rapidfuzz.fuzz import ratio

        best = Near(0, 0, 0.0)
        for one in range(max(first, head - 2), min(last - 1, head + 2) + 1):
            for other in range(max(one, tail - 2), min(last - 1, tail + 2) + 1):
                start, end = self._starts[one], self._ends[other]
                if self._text[end : end + 1] == words[-1]:
                    end += 1
                alike = ratio(words, self._text[start:end], score_cutoff=best.ratio)
                if alike > best.ratio:
                    best = Near(start, end, alike)
        return best
