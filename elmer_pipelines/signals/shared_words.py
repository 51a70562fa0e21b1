"""Distinctive words that a signal and a project share: the local stand-in for a model's judgement.

It compares spellings, not meanings, and only words of four letters or more. Where it decides is in `classification.py`.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]{4,}")
_ENDINGS = ("ings", "ing", "ies", "ed", "es", "e", "s")
# Function words (English, German) and what is said about every product: they don't tell projects from each other.
_FREQUENT = """
    aber able about above across actually after again against alle almost alone along already also although always
    among andere another anyone anything anyway application around auch away back became because become been before
    being below beside best better between beyond both business came cannot come company could couldn customer
    customers dann dass data dein deine denn didn dies diese diesem diesen dieser dieses different doch does doesn
    doing done down during each easier easily eine einem einen einer eines either else enough especially euch even
    ever every everybody everyone everything exactly except faster feature features find first five four from
    further gets getting give given gives goes going gone good great habe haben hatte hatten have haven having help
    helps hence here herself hier high himself however ihre ihrem ihren ihrer immer inside instead into issue issues
    itself jede jeden jeder jetzt just kann kannst keep kein keine keinen kind knew know known knows können könnte
    large last later least less lets like little long look looking looks machen made make makes making many maybe
    mean means mehr mein meine meinen mich might mine more moreover most must myself müssen nach need needs neither
    never next nicht nine nobody noch none nothing nowhere oder often ohne once only onto other others ours
    ourselves outside over part people perhaps please possible probably problem problems product project quite
    rather really right said same says schon seem seemed seems seen sehr sein seine service several shall shan
    should shouldn show sich side since sind small software some somebody somehow someone something sometimes
    somewhere soon still such support sure system take taken takes taking team teams tell than thank thanks that
    their theirs them themselves then there therefore these they thing things think this those though three through
    throughout till time today together told took tool tools toward towards tried tries truly twelve under unless
    unser unsere unter until upon used user users uses using usually very viel viele want wants wasn ways weil well
    wenn went werden were weren what whatever when whenever where wherever whether which whichever while whole whom
    whose wieder will wird with within without work working works would wouldn wurde würde yesterday your yours
    yourself zwischen über
"""
_EVERYWHERE = frozenset(_FREQUENT.split())


def stems(text: str) -> frozenset[str]:
    """The text's telling words, lower case, without the commonest English endings."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return frozenset(_stem(word) for word in words if word not in _EVERYWHERE)


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
