"""What the members of a cluster say: which phrases, in how many of them, and how words are used across all texts.

Pure functions over texts. Which phrase is made a name is `naming.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.stop_words import (
    ARTICLES,
    BEFORE_NOUNS,
    BEFORE_QUALITIES,
    BEFORE_VERBS,
    ENDINGS,
    GENITIVE,
    GLUE,
    HONORIFICS,
    LEADING,
    LEFT_OUT,
    STOP_WORDS,
)
from elmer_pipelines.models import german as german_words
from elmer_pipelines.models.german import is_german, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Key = tuple[str, ...]
PHRASE_WORDS = 3
_GAP = 2  # words without meaning of their own that may stand between two of a phrase
_BOUND, _BOUND_USES = 0.9, 3  # of a word's uses behind one small word, and how many: in New York, on a hard drive
_PART = 5  # letters: a shorter word is found inside others by chance
_REST = 3  # letters that must be left of a compound beside a part of it
_CLAUSE = re.compile(r"[.!?;:,()\n\"“”„…–—/]+|\s-+\s")


@dataclass(frozen=True)
class Member:
    """One text of a cluster: its document, and how near it is to the centre, 1 for as near as the average member."""

    text: str
    source: str
    nearness: float = 1.0


@dataclass(frozen=True)
class Phrases:
    """What the members of one cluster say: in how many of them each phrase stands, and in which words.

    In `voices` the members of one document count as the square root of their number: forty remarks of one interview are
    no forty witnesses, and no single one. `said` are the voices of each phrase, `nearness` how close to the centre the
    members are that say it; neither has what a single document says where there are three or more.
    """

    size: int
    support: Counter[Key]
    spellings: dict[Key, Counter[str]]
    texts: tuple[frozenset[str], ...]  # the folded words of each member
    german: bool
    voices: float
    said: dict[Key, float]
    nearness: dict[Key, float]


@dataclass
class Grammar:
    """How words are used across all texts: after articles, as names of things are, or before them, as verbs are.

    `people` are words of the names of people: speakers', and whatever stands after a Mr or a Frau.
    """

    people: set[str] = field(default_factory=set)
    thing: Counter[str] = field(default_factory=Counter)
    deed: Counter[str] = field(default_factory=Counter)
    definite: Counter[str] = field(default_factory=Counter)
    capital: Counter[str] = field(default_factory=Counter)
    small: Counter[str] = field(default_factory=Counter)
    uses: Counter[str] = field(default_factory=Counter)
    led: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def meet(self, names: Iterable[str]) -> None:
        """Learn names of people; a word of theirs that is used like any other stays one."""
        self.people.update(fold(word) for name in names for word in words_of(name))

    def learn(self, text: str) -> None:
        """Count the uses of one text's words."""
        german = is_german(text)
        for clause in _clauses(text):
            lowered = [word.casefold() for word in clause]
            for place, word in enumerate(clause):
                folded = fold(word, german)
                before = lowered[place - 1] if place else ""
                after = lowered[place + 1] if place + 1 < len(clause) else ""
                ends = after in STOP_WORDS or not after
                doing = folded.endswith("ing")  # "instead of typing it": only an article makes a thing of it
                self.thing[folded] += before in (LEFT_OUT if doing else BEFORE_NOUNS) and ends
                self.deed[folded] += before in BEFORE_VERBS or before in BEFORE_QUALITIES or after in LEFT_OUT
                self.definite[folded] += before in LEFT_OUT
                self.uses[folded] += 1
                if before in LEADING and not german:
                    self.led[folded][before] += 1
                if place:
                    (self.capital if word[0].isupper() else self.small)[folded] += 1
                if before in HONORIFICS and word[0].isupper():
                    self.people.update((folded, fold(word)))

    def names_things(self, word: str, german: bool) -> bool:
        """Whether the word can end a name; in German its capital tells."""
        word = word.rsplit(" ", 1)[-1]
        if german:
            return self.capital[word] > self.small[word]
        return self.thing[word] > self.deed[word]

    def bound(self, clause: list[str]) -> list[str]:
        """The words of an English clause, with small ones joined to a word that nearly always follows them."""
        joined: list[str] = []
        for word in clause:
            folded, before = fold(word), joined[-1].casefold() if joined else ""
            together = self.led[folded][before] if before and folded in self.led else 0
            if together >= max(_BOUND_USES, _BOUND * self.uses[folded]) and word.casefold() not in STOP_WORDS:
                joined[-1] = f"{joined[-1]} {word}"
            else:
                joined.append(word)
        return joined

    def tells_how(self, word: str, german: bool) -> bool:
        """Whether it is an English adverb, such as definitely; a reply and a family are no such thing."""
        return not german and word.endswith("ly") and len(word) > 4 and not self.names_things(word, german)

    def names_people(self, word: str) -> bool:
        """Whether it is a person's name and nothing else: never with a small letter, and with no article ever."""
        return word in self.people and not self.small[word] and not self.definite[word]


def phrases_of(members: Sequence[Member], grammar: Grammar) -> Phrases:
    """Count the phrases of a cluster's texts: one to three telling words in a row, small words between them aside.

    A German compound counts for the members' own words that it begins or ends with.
    """
    spellings: dict[Key, Counter[str]] = defaultdict(Counter)
    read = [_read(member, grammar, spellings) for member in members]
    nouns = {key[0] for key in spellings if len(key) == 1 and len(key[0]) >= _PART}
    german = sum(is_so for _, is_so in read) * 2 > len(read)
    sources: dict[Key, Counter[str]] = defaultdict(Counter)
    nearness: dict[Key, float] = defaultdict(float)
    words: list[frozenset[str]] = []
    for member, (seen, is_so) in zip(members, read, strict=True):
        if is_so:
            seen |= {(part,) for key in list(seen) if len(key) == 1 for part in _parts(key[0], nouns)}
        for key in seen:
            sources[key][member.source] += 1
            nearness[key] += member.nearness
        words.append(frozenset(key[0] for key in seen if len(key) == 1))
    least = 2 if len({member.source for member in members}) > 2 else 1
    kept = {key: found for key, found in sources.items() if len(found) >= least}
    support = Counter({key: found.total() for key, found in sources.items()})
    return Phrases(
        len(members),
        support,
        dict(spellings),
        tuple(words),
        german,
        _voices(Counter(member.source for member in members)),
        {key: _voices(found) for key, found in kept.items()},
        # One more member of average nearness: what two of the closest say by chance is not what all is about.
        {key: (nearness[key] + 1) / (support[key] + 1) for key in kept},
    )


def fold(word: str, german: bool = False) -> str:
    """The form under which spellings of a word are counted together: case, possessive and a plural's s removed.

    Of a German word umlauts and what declension adds go too.
    """
    word = word.casefold().replace("’", "'").removesuffix("'s")
    if german:
        return german_words.fold(word)
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _voices(members: Counter[str]) -> float:
    return sum(math.sqrt(number) for number in members.values())


def _read(member: Member, grammar: Grammar, spellings: dict[Key, Counter[str]]) -> tuple[set[Key], bool]:
    """The phrases of one text, whose spellings are counted, and whether it is German."""
    german = is_german(member.text)
    seen = set()
    for clause in _clauses(member.text):
        for key, spelling in _phrases(clause if german else grammar.bound(clause), german, grammar):
            spellings[key][spelling] += 1
            seen.add(key)
    return seen, german


def _parts(word: str, nouns: set[str]) -> Iterator[str]:
    """Words that a compound begins or ends with; the s that joins two belongs to neither."""
    for place in range(_REST, len(word) - _REST + 1):
        for part in (word[:place], word[:place].removesuffix("s"), word[place:]):
            if part in nouns:
                yield part


def _does(clause: list[str], place: int, grammar: Grammar) -> bool:
    """Whether the word there is an English verb, whose object may follow: "fix the list", not "on a list the name"."""
    led = place == 0 or clause[place - 1] in BEFORE_VERBS
    return led and not grammar.names_things(fold(clause[place]), german=False)


def _clauses(text: str) -> Iterator[list[str]]:
    for clause in _CLAUSE.split(text):
        words = words_of(clause)
        if words:
            yield words


def _phrases(clause: list[str], german: bool, grammar: Grammar) -> Iterator[tuple[Key, str]]:
    folded = [fold(word, german) for word in clause]
    lowered = [word.casefold() for word in clause]
    telling = [
        len(word) > 1 and word not in STOP_WORDS and word not in HONORIFICS and not grammar.names_people(key)
        for word, key in zip(lowered, folded, strict=True)
    ]
    for start, begins in enumerate(telling):
        if not begins:
            continue
        key: Key = (folded[start],)
        shown, gap = [clause[start]], 0
        yield key, clause[start]
        for place in range(start + 1, len(clause)):
            word = lowered[place]
            if telling[place] or word in ENDINGS:
                if folded[place] in key:
                    break
                key, gap = (*key, folded[place]), 0
                shown.append(clause[place])
                yield key, " ".join(shown)
                if len(key) == PHRASE_WORDS or not telling[place]:
                    break
            elif gap < _GAP and (word in GLUE or (german and word in (LEFT_OUT if gap else GENITIVE))):
                shown.append(clause[place])
                gap += 1
            elif gap < _GAP and word in LEFT_OUT and not german and (gap or _does(lowered, place - 1, grammar)):
                shown += [word] if word in ARTICLES else []
                gap += 1
            else:
                break
