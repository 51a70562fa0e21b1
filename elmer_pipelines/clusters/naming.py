"""A cluster's name from its members' own words: the phrases that many of them share and its siblings do not.

Pure functions over texts. Which clusters are named, and what else belongs to a theme, is `themes.py`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.phrases import PHRASE_WORDS, fold
from elmer_pipelines.clusters.stop_words import ARTICLES, GLUE, LEFT_OUT
from elmer_pipelines.models.german import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.clusters.closeness import Closeness
    from elmer_pipelines.clusters.phrases import Grammar, Key, Phrases

KEPT_TERMS = 8
_COMMON = 0.02  # of a phrase's weight where siblings say it as often: the least, so that there is always an order
_LOOKED_AT = 80  # phrases, of the most telling words: with more the names are the same
_LENGTH = (0.0, 0.5, 1.0, 1.0)  # by words: a single one says less than it seems to
_NO_THING = (0.0, 0.6, 0.75, 0.75)  # likewise, of what is left where the last word names no thing
_HOW = 0.5  # and where a word in it only says how
_ONCE = 0.75  # and where it is what one member says, or one document of three or more
_LONG = 0.95  # and for each word beyond three, small ones too
_WORDS, _WHOLE = (1.0, 0.5), (1.0, 0.3)  # what being said adds, by the share of members, up to a share: words, phrase
_NAMED = 0.08  # of the members: a name whose words fewer use is none of theirs
_OFFERED = 6  # names, for where a sibling has the first
_BESIDE = 15  # phrases are tried beside a first one,
_CLOSER = 0.06  # and the best is taken where both are so much nearer
_AGAIN = 0.6  # what a name is worth that the cluster around has
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


def names(phrases: Phrases, weights: dict[Key, float], grammar: Grammar, near: Closeness, above: str = "") -> list[str]:
    """Names for a cluster, the best first; empty where its members share no telling word.

    A name is a phrase near to what the cluster is about and far from its siblings, the better the more members say it;
    two phrases where both together are nearer. What only repeats `above`, the name of what holds it, is worth less.
    """
    keys = [key for key in _telling(phrases, weights) if _used(key, phrases) >= _NAMED * phrases.size]
    if not keys:
        return []
    found = dict(zip(keys, near([_shown(phrases.spellings[key]) for key in keys]).tolist(), strict=True))
    known = {fold(word, phrases.german) for word in words_of(above)} - GLUE - LEFT_OUT
    again = {key for key in keys if set(" ".join(key).split()) == known or (len(key) == 1 and known.issuperset(key))}
    value = {
        key: _valued(found[key], _worth(key, phrases, grammar) * (_AGAIN if key in again else 1.0)) for key in keys
    }
    ranked = sorted(keys, key=lambda key: (-value[key], key))
    things = [
        key
        for key in ranked
        if key not in again and _length(key) < PHRASE_WORDS and grammar.names_things(key[-1], phrases.german)
    ]
    offered = [[key, *_beside(key, found[key], things, phrases, near)] for key in _apart(ranked)]
    once = {frozenset(shown): shown for shown in reversed(offered)}  # the same two the other way round say nothing new
    return list(dict.fromkeys(_name(shown, phrases) for shown in reversed(once.values())))


def terms(phrases: Phrases, weights: dict[Key, float]) -> list[str]:
    """The words and pairs that weigh most; those that repeat a word of a higher one are left out."""
    chosen: list[str] = []
    used: set[str] = set()
    for key in sorted((key for key in weights if _length(key) < PHRASE_WORDS), key=lambda key: (-weights[key], key)):
        parts = {part for word in key for part in word.split("-")}
        if used.isdisjoint(parts):
            chosen.append(_shown(phrases.spellings[key]))
            used |= parts
        if len(chosen) == KEPT_TERMS:
            break
    return chosen


def _telling(phrases: Phrases, weights: dict[Key, float]) -> list[Key]:
    """The phrases whose words set the cluster apart most, on the mean; each has one that members share."""
    telling = {key: sum(weights.get((word,), 0.0) for word in key) / len(key) for key in phrases.spellings}
    ranked = sorted((key for key in telling if telling[key] > 0), key=lambda key: (-telling[key], key))
    return ranked[:_LOOKED_AT]


def _worth(key: Key, phrases: Phrases, grammar: Grammar) -> float:
    """What a phrase as near as others is worth as a name, by its form and by how many say it."""
    shared = sum(phrases.said.get((word,), 0.0) for word in key) / len(key) / phrases.voices
    whole = phrases.said.get(key, 0.0) / phrases.voices
    worth = 1.0 + _WORDS[0] * min(shared, _WORDS[1]) + _WHOLE[0] * min(whole, _WHOLE[1])
    length = _length(key)
    worth *= _LENGTH[length] * (1.0 if grammar.names_things(key[-1], phrases.german) else _NO_THING[length])
    worth *= _HOW if any(grammar.tells_how(word, phrases.german) for word in key) else 1.0
    worth *= 1.0 if phrases.support[key] > 1 and key in phrases.said else _ONCE
    words = [word for word in _shown(phrases.spellings[key]).split() if word not in ARTICLES]
    return worth * _LONG ** max(0, len(words) - PHRASE_WORDS)


def _length(key: Key) -> int:
    """How many words, up to three: one of them may be two that always stand together."""
    return min(PHRASE_WORDS, sum(word.count(" ") + 1 for word in key))


def _valued(nearness: float, worth: float) -> float:
    return round(nearness * worth if nearness > 0 else nearness / worth, 4)


def _used(key: Key, phrases: Phrases) -> int:
    """How many members use a word of the phrase."""
    return sum(not own.isdisjoint(key) for own in phrases.texts)


def _apart(ranked: list[Key]) -> list[Key]:
    """The first phrases that share no word."""
    chosen: list[Key] = []
    for key in ranked:
        if all(not set(key) & set(other) for other in chosen):
            chosen.append(key)
        if len(chosen) == _OFFERED:
            break
    return chosen


def _beside(first: Key, nearness: float, things: list[Key], phrases: Phrases, near: Closeness) -> list[Key]:
    """What to put beside a phrase: another that members share, if the two together are nearer than the first alone."""
    others = [
        key
        for key in things
        if phrases.support[key] > 1 and key in phrases.said and not any(_alike(a, b) for a in key for b in first)
    ][:_BESIDE]
    if not others:
        return []
    together = near([_name([first, other], phrases) for other in others]).tolist()
    best = max(range(len(others)), key=lambda row: (together[row], -row))
    return [others[best]] if together[best] > nearness + _CLOSER else []


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
