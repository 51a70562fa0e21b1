"""The theme of a cluster, worked out locally: terms that set it apart from the others, and its most central quotes.

How Claude is asked for a name is `theme_prompt.py`; grouping is `grouping.py`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.stop_words import NEGATIONS, STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

NAME_TERMS = 3
NAME_WORDS = 6
NAMING_TEXTS = 40  # the most central; a phrase of a marginal text is no name
KEPT_TERMS = 8
CENTRAL_QUOTES = 5
MAX_QUOTE = 200
_WORD_COST = 0.12  # of the most telling word's weight: what a longer name must earn by each word
_PAIR_SHARE = 0.5  # its words have earned already
_BIGRAM_WORTH = 1.2  # two words together say more than their count shows
_WORD = re.compile(r"[^\W\d_][\w'’-]*\w|[^\W\d_]")
_CLAUSE = re.compile(r"[.!?;:,()\n\"“”–—]+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class ClusterTexts:
    """A cluster's signals: ids, verbatim texts and unit vectors (m, d), row by row."""

    cluster_id: str
    signal_ids: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Theme:
    """What a cluster is called and about; `terms` from the most telling down, `central_signal_ids` likewise."""

    name: str
    summary: str
    terms: tuple[str, ...]
    central_signal_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Term:
    shown: str
    place: float  # where in a text the term mostly stands, 0 first, 1 last


@dataclass
class _Counts:
    """How many texts of one cluster hold each term, as which words, and where."""

    texts: Counter[tuple[str, ...]]
    spellings: dict[tuple[str, ...], Counter[str]]
    places: dict[tuple[str, ...], list[float]]


def local_themes(clusters: Sequence[ClusterTexts]) -> dict[str, Theme]:
    """A theme for each cluster by id, no two with the same name; the order of clusters and signals does not matter.

    Terms are words and pairs of words weighed by class-based TF-IDF (Grootendorst 2022) on the number of texts that
    hold them. A name is the short phrase in the members' own words that holds most of that weight, or, where there is
    none, the first terms in the order in which people say them.
    """
    ordered = sorted(clusters, key=lambda cluster: (-len(cluster.texts), cluster.cluster_id))
    counts = [_count(cluster.texts) for cluster in ordered]
    everywhere: Counter[tuple[str, ...]] = Counter()
    for one in counts:
        everywhere.update(one.texts)
    average = sum(one.texts.total() for one in counts) / max(len(counts), 1)
    themes: dict[str, Theme] = {}
    for cluster, one in zip(ordered, counts, strict=True):
        theme = _theme(cluster, one, _weights(one, everywhere, average, len(cluster.texts)))
        themes[cluster.cluster_id] = with_own_name(theme, {other.name for other in themes.values()})
    return themes


def with_own_name(theme: Theme, taken: set[str]) -> Theme:
    """The theme under a name no sibling has: further terms are added, then the count of such names."""
    used = {name.casefold() for name in taken}
    name = theme.name
    for term in theme.terms:
        if name.casefold() not in used:
            break
        if not set(_fold(term)) <= set(_fold(name)):
            name = f"{name}, {term}"
    number = 2
    while name.casefold() in used:
        name = f"{theme.name} ({number})"
        number += 1
    return replace(theme, name=name)


def central_order(cluster: ClusterTexts) -> list[int]:
    """Rows from the one closest to the cluster's centroid to the farthest; equals by signal id."""
    if not len(cluster.vectors):
        return []
    similarity = np.round(cluster.vectors @ cluster.vectors.mean(axis=0, dtype=np.float64), 6)
    return sorted(range(len(similarity)), key=lambda row: (-float(similarity[row]), cluster.signal_ids[row]))


def shortened(text: str, limit: int = MAX_QUOTE) -> str:
    """One line of at most `limit` characters, cut between words where it can be."""
    line = _SPACE.sub(" ", text).strip()
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[limit // 2 :] else cut).rstrip(" ,;:") + "…"


def _theme(cluster: ClusterTexts, counts: _Counts, weights: dict[tuple[str, ...], float]) -> Theme:
    order = central_order(cluster)
    terms = _distinctive(counts, weights)
    quote = cluster.texts[order[0]] if order else ""
    name = _phrase([cluster.texts[row] for row in order[:NAMING_TEXTS]], weights) or _joined(terms)
    count = f"{len(cluster.texts)} signals" if len(cluster.texts) != 1 else "1 signal"
    return Theme(
        name=name[:1].upper() + name[1:] if name else f"“{shortened(quote, 60)}”",
        summary=f"{count}; the most typical: “{shortened(quote)}”",
        terms=tuple(term.shown for term in terms),
        central_signal_ids=tuple(cluster.signal_ids[row] for row in order[:CENTRAL_QUOTES]),
    )


def _joined(terms: list[_Term]) -> str:
    return " ".join(term.shown for term in sorted(terms[:NAME_TERMS], key=lambda term: (term.place, term.shown)))


def _phrase(texts: list[str], weights: dict[tuple[str, ...], float]) -> str:
    """The words of one clause that hold the most weight for their number; "" where no two telling words meet."""
    top = max((weight for key, weight in weights.items() if len(key) == 1), default=0.0)
    best, worth = "", 0.0
    for text in texts:
        for clause in _CLAUSE.split(unicodedata.normalize("NFC", text)):
            for words in _windows(_SPACE.sub(" ", clause).strip()):
                value = _worth(words, weights, top)
                if value > worth + 1e-9:
                    best, worth = " ".join(words), value
    return best


def _windows(clause: str) -> Iterator[list[str]]:
    """Runs of two to six words that begin with a telling word or a negation and end with a telling word."""
    words = [match[0].replace("’", "'") for match in _WORD.finditer(clause)]
    telling = [word.casefold() not in STOP_WORDS for word in words]
    for start in range(len(words)):
        if not telling[start] and words[start].casefold() not in NEGATIONS:
            continue
        for stop in range(start + 2, min(start + NAME_WORDS, len(words)) + 1):
            if telling[stop - 1]:
                yield words[start:stop]


def _worth(words: list[str], weights: dict[tuple[str, ...], float], top: float) -> float:
    keys = {_fold(word) for word in words if word.casefold() not in STOP_WORDS}
    earned = [weights.get(key, 0.0) / top for key in keys] if top else []
    if sum(weight > _WORD_COST for weight in earned) < 2:
        return 0.0
    pairs = {_fold(one) + _fold(next_one) for one, next_one in pairwise(words)}
    together = sum(weights.get(pair, 0.0) / top for pair in pairs)
    return sum(earned) + _PAIR_SHARE * together - _WORD_COST * len(words)


def _count(texts: Sequence[str]) -> _Counts:
    counts = _Counts(Counter(), defaultdict(Counter), defaultdict(list))
    for text in texts:
        seen: set[tuple[str, ...]] = set()
        for key, spelling, place in _terms(text):
            counts.spellings[key][spelling] += 1
            if key not in seen:
                seen.add(key)
                counts.texts[key] += 1
                counts.places[key].append(place)
    return counts


def _terms(text: str) -> Iterator[tuple[tuple[str, ...], str, float]]:
    """Words and pairs of neighbouring words that mean something: folded, as written, and how far into the text."""
    words = [
        (match[0].replace("’", "'"), match.start()) for match in _WORD.finditer(unicodedata.normalize("NFC", text))
    ]
    previous: str | None = None
    for word, start in words:
        if word.casefold() in STOP_WORDS or len(word) < 2:
            previous = None
            continue
        place = start / max(len(text), 1)
        yield _fold(word), word, place
        if previous is not None and _fold(previous) != _fold(word):
            yield _fold(previous) + _fold(word), f"{previous} {word}", place
        previous = word


def _fold(words: str) -> tuple[str, ...]:
    """Words by which spellings of one term are counted together: case, possessive and a plural's s removed."""
    return tuple(_fold_word(word) for word in words.casefold().split())


def _fold_word(word: str) -> str:
    word = word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _weights(
    counts: _Counts, everywhere: Counter[tuple[str, ...]], average: float, size: int
) -> dict[tuple[str, ...], float]:
    least = 1 if size < 4 else 2
    return {
        key: count * math.log(1 + average / everywhere[key]) * (_BIGRAM_WORTH if len(key) > 1 else 1.0)
        for key, count in counts.texts.items()
        if count >= least
    }


def _distinctive(counts: _Counts, weights: dict[tuple[str, ...], float]) -> list[_Term]:
    """The first terms by weight; those that repeat a word of a higher one are left out."""
    chosen: list[_Term] = []
    words: set[str] = set()
    for key in sorted(weights, key=lambda key: (-weights[key], key)):
        parts = {part for word in key for part in word.split("-")}
        if words.isdisjoint(parts):
            chosen.append(_Term(_shown(counts.spellings[key]), sum(counts.places[key]) / len(counts.places[key])))
            words |= parts
        if len(chosen) == KEPT_TERMS:
            break
    return chosen


def _shown(spellings: Counter[str]) -> str:
    """The commonest spelling; a capital that stands only where a sentence begins is not kept."""
    lowered = Counter[str]()
    for spelling, count in spellings.items():
        lowered[spelling.lower()] += count
    best = min(lowered, key=lambda spelling: (-lowered[spelling], spelling))
    as_written = {spelling: count for spelling, count in spellings.items() if spelling.lower() == best}
    written = min(as_written, key=lambda spelling: (-as_written[spelling], spelling))
    return written if as_written[written] * 2 > lowered[best] or best not in as_written else best
