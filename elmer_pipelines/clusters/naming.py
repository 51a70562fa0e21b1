"""A cluster's name from its members' own words: the phrases that many of them share and its siblings do not.

Pure functions over texts. Which clusters are named, and what else belongs to a theme, is `themes.py`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.stop_words import BEFORE_NOUNS, BEFORE_VERBS, GERMAN_WORDS, GLUE, LEFT_OUT, STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Key = tuple[str, ...]
KEPT_TERMS = 8
PHRASE_WORDS = 3
_GAP = 2  # words without meaning of their own that may stand between two of a phrase
_SHARED = 0.05  # of the members: what fewer say together names nobody but them
_LENGTH = (0.0, 1.0, 1.7, 1.9)  # by words: a longer phrase says more, and fewer members say it
_NO_THING = (0.0, 0.3, 0.8, 0.8)  # likewise, of what is left where the last word names no thing
_COMMON = 0.02  # of a phrase's weight where siblings say it as often: the least, so that there is always an order
_SAID_MORE_FULLY = 0.1  # of a word's uses: a longer phrase that holds so many is the better name
_COVERED = 0.3  # a phrase whose words fewer members use does not stand for them alone
_OFFERED = 6  # names, for where a sibling has the first
_STEM = 4  # words that begin alike say alike
_WORD = re.compile(r"[^\W\d_][\w'’-]*\w|[^\W\d_]")
_CLAUSE = re.compile(r"[.!?;:,()\n\"“”„…–—/]+|\s-+\s")


@dataclass(frozen=True)
class Phrases:
    """What the members of one cluster say: in how many of them each phrase stands, and in which words."""

    size: int
    support: Counter[Key]
    spellings: dict[Key, Counter[str]]
    texts: tuple[frozenset[str], ...]  # the folded words of each member
    german: bool


@dataclass
class Grammar:
    """How words are used across all texts: after articles, as names of things are, or before them, as verbs are."""

    thing: Counter[str] = field(default_factory=Counter)
    deed: Counter[str] = field(default_factory=Counter)
    capital: Counter[str] = field(default_factory=Counter)
    small: Counter[str] = field(default_factory=Counter)

    def learn(self, text: str) -> None:
        """Count the uses of one text's words."""
        for clause in _clauses(text):
            lowered = [word.casefold() for word in clause]
            for place, word in enumerate(clause):
                folded = fold(word)
                before = lowered[place - 1] if place else ""
                after = lowered[place + 1] if place + 1 < len(clause) else ""
                ends = after in STOP_WORDS or not after
                self.thing[folded] += before in BEFORE_NOUNS and ends
                self.deed[folded] += before in BEFORE_VERBS or after in LEFT_OUT
                if place:
                    (self.capital if word[0].isupper() else self.small)[folded] += 1

    def names_things(self, word: str, german: bool) -> bool:
        """Whether the word can end a name; in German its capital tells."""
        if german:
            return self.capital[word] > self.small[word]
        return self.thing[word] > self.deed[word]


def phrases_of(texts: Sequence[str]) -> Phrases:
    """Count the phrases of a cluster's texts: one to three telling words in a row, small words between them aside."""
    support: Counter[Key] = Counter()
    spellings: dict[Key, Counter[str]] = defaultdict(Counter)
    words: list[frozenset[str]] = []
    small = Counter[bool]()
    for text in texts:
        seen: set[Key] = set()
        for clause in _clauses(text):
            small.update(word.casefold() in GERMAN_WORDS for word in clause if word.casefold() in STOP_WORDS)
            for key, spelling in _phrases(clause):
                spellings[key][spelling] += 1
                seen.add(key)
        support.update(seen)
        words.append(frozenset(key[0] for key in seen if len(key) == 1))
    return Phrases(len(texts), support, dict(spellings), tuple(words), small[True] > small[False])


def weigh(clusters: Sequence[Phrases]) -> list[dict[Key, float]]:
    """Of each cluster, how much each phrase sets it apart from the others given.

    Class-based TF-IDF (Grootendorst 2022) on the number of members that hold a phrase, times the share of them beyond
    what its siblings would lead to expect: a word that all use as often is not what this one is about. What a single
    member says weighs nothing in a cluster of more.
    """
    everywhere: Counter[Key] = Counter()
    for one in clusters:
        everywhere.update(one.support)
    average = sum(one.support.total() for one in clusters) / max(len(clusters), 1)
    members = sum(one.size for one in clusters)

    def weight(one: Phrases, key: Key, count: int) -> float:
        beyond = 1 - one.size * everywhere[key] / (members * count)
        return count * math.log(1 + average / everywhere[key]) * max(beyond, _COMMON)

    return [
        {key: weight(one, key, count) for key, count in one.support.items() if count >= min(2, one.size)}
        for one in clusters
    ]


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


def fold(word: str) -> str:
    """The form under which spellings of a word are counted together: case, possessive and a plural's s removed."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def words_of(text: str) -> list[str]:
    """The words of a text, apostrophes made one."""
    return [match[0].replace("’", "'") for match in _WORD.finditer(unicodedata.normalize("NFC", text))]


def _clauses(text: str) -> Iterator[list[str]]:
    for clause in _CLAUSE.split(text):
        words = words_of(clause)
        if words:
            yield words


def _phrases(clause: list[str]) -> Iterator[tuple[Key, str]]:
    telling = [len(word) > 1 and word.casefold() not in STOP_WORDS for word in clause]
    for start, begins in enumerate(telling):
        if not begins:
            continue
        key: Key = (fold(clause[start]),)
        shown, gap = [clause[start]], 0
        yield key, clause[start]
        for place in range(start + 1, len(clause)):
            word = clause[place]
            if telling[place]:
                if fold(word) in key:
                    break
                key, gap = (*key, fold(word)), 0
                shown.append(word)
                yield key, " ".join(shown)
                if len(key) == PHRASE_WORDS:
                    break
            elif gap < _GAP and word.casefold() in GLUE:
                shown.append(word)
                gap += 1
            elif gap < _GAP and word.casefold() in LEFT_OUT:
                gap += 1
            else:
                break


def _shared(key: Key, phrases: Phrases) -> bool:
    least = 2 if len(key) == 1 else max(2.0, _SHARED * phrases.size)
    return phrases.support[key] >= min(least, phrases.size)


def _worth(key: Key, phrases: Phrases, grammar: Grammar) -> float:
    named = grammar.names_things(key[-1], phrases.german)
    return _LENGTH[len(key)] * (1.0 if named else _NO_THING[len(key)])


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
    stems = {word[:_STEM] for word in first}
    others = [key for key in things if len(key) < PHRASE_WORDS and stems.isdisjoint(word[:_STEM] for word in key)]
    best = max(others, key=lambda key: (min(heard[word] for word in key) * weights[key], key), default=None)
    if best is None or min(heard[word] for word in best) < max(2, _SHARED * phrases.size):
        return []
    return [best]


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
