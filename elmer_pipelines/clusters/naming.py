"""A cluster's name from its members' own words: the phrases that many of them share and its siblings do not.

Pure functions over texts. Which clusters are named, and what else belongs to a theme, is `themes.py`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.phrases import PHRASE_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.clusters.phrases import Grammar, Key, Phrases

KEPT_TERMS = 8
_SHARED = 0.05  # of the members: what fewer say together names nobody but them
_LENGTH = (0.0, 1.0, 1.7, 1.9)  # by words: a longer phrase says more, and fewer members say it
_NO_THING = (0.0, 0.3, 0.8, 0.8)  # likewise, of what is left where the last word names no thing
_HOW = 0.3  # and where a word in it only says how
_COMMON = 0.02  # of a phrase's weight where siblings say it as often: the least, so that there is always an order
_SAID_MORE_FULLY = 0.1  # of a word's uses: a longer phrase that holds so many is the better name
_COVERED = 0.3  # a phrase whose words fewer members use does not stand for them alone
_CARRIES = 0.12  # of the members: what fewer speak of is no second subject of the theme,
_AS_MANY = 0.75  # unless hardly more speak of the first;
_BESIDE = 0.4  # nor is what fewer than that, of those who speak of the first, speak of
_WEIGHTY = 0.1  # of the first's weight: what says far less is no second subject either
_NAMED = 0.08  # of the members: a name whose words fewer use is none of theirs
_OFFERED = 6  # names, for where a sibling has the first
_STEM = 4  # words that begin alike say alike


def weigh(clusters: Sequence[Phrases]) -> list[dict[Key, float]]:
    """Of each cluster, how much each phrase sets it apart from the others given.

    Class-based TF-IDF (Grootendorst 2022) on the voices that say a phrase, times the share of them beyond what its
    siblings would lead to expect: a word that all use as often is not what this one is about. Times, squared, how near
    to the centre those are who say it. What a single member says weighs nothing in a cluster of more.
    """
    everywhere: dict[Key, float] = defaultdict(float)
    for one in clusters:
        for key, count in one.said.items():
            everywhere[key] += count
    average = sum(sum(one.said.values()) for one in clusters) / max(len(clusters), 1)
    voices = sum(one.voices for one in clusters)

    def weight(one: Phrases, key: Key) -> float:
        count = one.said[key]
        beyond = 1 - one.voices * everywhere[key] / (voices * count)
        return count * math.log(1 + average / everywhere[key]) * max(beyond, _COMMON) * one.nearness[key] ** 2

    return [{key: weight(one, key) for key in one.said if one.support[key] >= min(2, one.size)} for one in clusters]


def names(phrases: Phrases, weights: dict[Key, float], grammar: Grammar) -> list[str]:
    """Names for a cluster, the best first; empty where its members share no telling word.

    A phrase whose words most members use stands alone; else what the others speak of is put beside it.
    """
    value = {key: weights[key] * _worth(key, phrases, grammar) for key in weights if _shared(key, phrases)}
    ranked = sorted(value, key=lambda key: (-value[key], key))
    things = [key for key in ranked if grammar.names_things(key[-1], phrases.german)]
    found = []
    for key in _apart(ranked):
        fuller = _fuller(key, ranked, phrases)
        names_one = len(fuller) > 1 or fuller in things
        shown = _together([fuller, *_beside(fuller, things, weights, phrases)], phrases)
        if _used(shown, phrases) >= _NAMED * phrases.size:
            found.append((not names_one, _name(shown, phrases)))
    return list(dict.fromkeys(name for _, name in sorted(found, key=lambda one: one[0])))


def terms(phrases: Phrases, weights: dict[Key, float]) -> list[str]:
    """The words and pairs that weigh most; those that repeat a word of a higher one are left out."""
    chosen: list[str] = []
    used: set[str] = set()
    for key in sorted((key for key in weights if len(key) < PHRASE_WORDS), key=lambda key: (-weights[key], key)):
        parts = {part for word in key for part in word.split("-")}
        if used.isdisjoint(parts):
            chosen.append(_shown(phrases.spellings[key]))
            used |= parts
        if len(chosen) == KEPT_TERMS:
            break
    return chosen


def _shared(key: Key, phrases: Phrases) -> bool:
    least = 2 if len(key) == 1 else max(2.0, _SHARED * phrases.size)
    return phrases.support[key] >= min(least, phrases.size)


def _worth(key: Key, phrases: Phrases, grammar: Grammar) -> float:
    named = grammar.names_things(key[-1], phrases.german)
    how = any(grammar.tells_how(word, phrases.german) for word in key)
    return _LENGTH[len(key)] * (1.0 if named else _NO_THING[len(key)]) * (_HOW if how else 1.0)


def _used(keys: list[Key], phrases: Phrases) -> int:
    """How many members use a word of these."""
    words = {word for key in keys for word in key}
    return sum(not words.isdisjoint(own) for own in phrases.texts)


def _apart(ranked: list[Key]) -> list[Key]:
    """The first phrases that share no word."""
    chosen: list[Key] = []
    for key in ranked:
        if all(not set(key) & set(other) for other in chosen):
            chosen.append(key)
        if len(chosen) == _OFFERED:
            break
    return chosen


def _fuller(key: Key, ranked: list[Key], phrases: Phrases) -> Key:
    """The longest phrase that words often stand in, where there is one."""
    for one in ranked:
        if set(key) < set(one) and phrases.support[one] >= _SAID_MORE_FULLY * phrases.support[key]:
            return _fuller(one, ranked, phrases)
    return key


def _together(keys: list[Key], phrases: Phrases) -> list[Key]:
    """One phrase instead of two words that a member says in a row."""
    words = {word for key in keys for word in key}
    rows = [key for key in phrases.support if len(keys) == len(words) == len(key) and set(key) == words]
    return [min(rows, key=lambda key: (-phrases.support[key], key))] if len(words) > 1 and rows else keys


def _beside(first: Key, things: list[Key], weights: dict[Key, float], phrases: Phrases) -> list[Key]:
    """What to put beside a phrase: always something where it is one word, else where few members use its words."""
    used = set(first)
    left = phrases.texts
    if len(first) > 1:
        left = tuple(words for words in phrases.texts if used.isdisjoint(words))
        if len(left) <= (1 - _COVERED) * phrases.size:
            return []
    heard = Counter(word for words in left for word in words)
    weighty = [key for key in things if len(key) < PHRASE_WORDS and weights[key] >= _WEIGHTY * weights[first]]
    others = [key for key in weighty if not any(_alike(word, one) for word in key for one in first)]
    best = max(others, key=lambda key: (min(heard[word] for word in key) * weights[key], key), default=None)
    by_first = phrases.support[first]
    least = max(2, _BESIDE * by_first, min(_CARRIES * phrases.size, _AS_MANY * by_first))
    if best is None or phrases.support[best] < least:
        return []
    return [best]


def _alike(one: str, other: str) -> bool:
    """Whether two words begin alike, or one ends with the other: a list and a checklist."""
    return one[:_STEM] == other[:_STEM] or one.endswith(other) or other.endswith(one)


def _name(keys: list[Key], phrases: Phrases) -> str:
    shown = [_shown(phrases.spellings[key]) for key in keys]
    last = "und" if phrases.german else "and"
    name = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"
    name = name.lower() if name.isupper() and " " in name else name
    return name[:1].upper() + name[1:]


def _shown(spellings: Counter[str]) -> str:
    """The commonest spelling; a capital that stands only where a sentence begins is not kept."""
    lowered = Counter[str]()
    for spelling, count in spellings.items():
        lowered[spelling.lower()] += count
    best = min(lowered, key=lambda spelling: (-lowered[spelling], len(spelling), spelling))
    as_written = {spelling: count for spelling, count in spellings.items() if spelling.lower() == best}
    written = min(as_written, key=lambda spelling: (-as_written[spelling], spelling))
    return written if as_written[written] * 2 > lowered[best] or best not in as_written else best
