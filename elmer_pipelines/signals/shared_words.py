"""Distinctive words that a signal and a project share: the local stand-in for a model's judgement.

It compares spellings, not meanings, and only words of four letters or more. Where it decides is in `classification.py`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_WORD = re.compile(r"[^\W\d_]{4,}")
_ENDINGS = ("ings", "ing", "ies", "ed", "es", "s")
# Said about every product, so they tell projects from each other no better than the articles do.
_EVERYWHERE = """
    able after also always app application back before business company customer customers data does doing done
    easier easily even every faster feature features find give good great help helps issue issues just keep less
    like made make makes making many more most need needs never people problem problems product project really see
    service should software some support system team teams than that their them then there they thing things this
    time tool tools user users very want wants when where which while with without work works working would your
"""


@cache
def _plain_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(_EVERYWHERE.split()) | frozenset(map(str, ENGLISH_STOP_WORDS))


def stems(text: str) -> frozenset[str]:
    """The text's telling words, lower case, without the commonest English endings."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return frozenset(_stem(word) for word in words if word not in _plain_words())


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def distinctive(texts: dict[str, str]) -> dict[str, frozenset[str]]:
    """By key, the words of each text that fewer than half of the others (at most one in two) also have."""
    all_stems = {key: stems(text) for key, text in texts.items()}
    most = max(1, len(texts) // 2)
    return {
        key: frozenset(word for word in words if sum(word in other for other in all_stems.values()) <= most)
        for key, words in all_stems.items()
    }
