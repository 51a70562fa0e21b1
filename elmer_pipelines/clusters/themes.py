"""The theme of a cluster, worked out locally: its name, the terms that set it apart, and the quotes that stand for it.

How a name is made of the members' words is `naming.py`, how a model is asked for one `theme_prompt.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.closeness import closeness
from elmer_pipelines.clusters.naming import names, terms, weigh
from elmer_pipelines.clusters.phrases import Grammar, Member, fold, phrases_of
from elmer_pipelines.models.german import words_of
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

QUOTES = 3
MAX_QUOTE = 200
_NAME_QUOTE = 60
_NAME_OF_PARTS = 60  # characters
_QUOTED = "“"  # begins a name that is a quote
_TOLD_TERMS = 3
_CENTRAL = 0.6  # of a quote's worth is being central, the rest being unlike those chosen before it
_LISTENED = 60  # of the most central texts a name is to say what they are about
_CANDIDATES = 100  # the most central; a marginal text stands for nothing, however different
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class ClusterTexts:
    """A cluster's signals: ids, verbatim texts and unit vectors (m, d), row by row.

    `sources` are the ids of their documents; without them each signal counts as one of its own.
    """

    cluster_id: str
    signal_ids: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Theme:
    """What a cluster is called and about; `terms` from the most telling down, `distinction` None without siblings.

    `central_signal_ids`: at most three, the most central first, the others central and unlike it.
    """

    name: str
    summary: str
    terms: tuple[str, ...]
    central_signal_ids: tuple[str, ...]
    distinction: str | None = None


@dataclass(frozen=True)
class Named:
    """A cluster with its name as it stands, to be told apart from its siblings; `by_person` is never changed."""

    cluster_id: str
    siblings: tuple[str | None, ...]
    name: str
    by_person: bool
    terms: tuple[str, ...]


def local_themes(siblings: Sequence[ClusterTexts], people: Iterable[str] = (), above: str = "") -> dict[str, Theme]:
    """A theme for each of these siblings by id, no two with the same name, whatever the order of clusters and signals.

    A larger cluster chooses its name first; one whose members share no telling word is named by a quote. `people` are
    names of speakers, of which no theme is made; `above` is the name of what holds them all, which one of them repeats
    only where nothing else says nearly as much.
    """
    ordered = sorted(siblings, key=lambda cluster: (-len(cluster.texts), cluster.cluster_id))
    grammar = Grammar()
    grammar.meet(people)
    for cluster in ordered:
        for words in cluster.texts:
            grammar.learn(words)
    phrases = [phrases_of(_members(cluster), grammar) for cluster in ordered]
    near = closeness([[one.texts[row] for row in central_order(one)[:_LISTENED]] for one in ordered])
    found: dict[str, Theme] = {}
    taken: set[str] = set()
    for cluster, said, weights, to_it in zip(ordered, phrases, weigh(phrases), near, strict=True):
        own = terms(said, weights)
        quotes = telling_quotes(cluster)
        quote = cluster.texts[quotes[0]] if quotes else ""
        offered = names(said, weights, grammar, to_it, above) or [_quoted([cluster.texts[row] for row in quotes])]
        free = next((name for name in offered if name.casefold() not in taken), None)
        name = free or own_name(offered[0], own, taken)
        taken.add(name.casefold())
        found[cluster.cluster_id] = Theme(
            name,
            f"About {', '.join(own[:_TOLD_TERMS])}: “{shortened(quote)}”" if own else f"“{shortened(quote)}”",
            tuple(own),
            tuple(cluster.signal_ids[row] for row in quotes),
            _distinction(own) if len(ordered) > 1 else None,
        )
    return found


def group_names(groups: Sequence[Sequence[tuple[str, str]]], people: Iterable[str] = ()) -> list[str | None]:
    """A name for each of some groups of texts, each with its source, as clusters are named; None: no word is shared.

    Nothing but the texts is needed; no two names are the same.
    """
    ids = [f"{number:06}" for number in range(len(groups))]
    model = LocalEmbeddings()
    clusters = [
        ClusterTexts(
            own,
            tuple(f"{row:06}" for row in range(len(group))),
            tuple(text for text, _ in group),
            model.embed([text for text, _ in group]),
            tuple(source for _, source in group),
        )
        for own, group in zip(ids, groups, strict=True)
    ]
    themes = local_themes(clusters, people)
    return [None if themes[own].name.startswith(_QUOTED) else themes[own].name for own in ids]


def name_of_parts(names: Sequence[str]) -> str:
    """A name for what holds these, the largest first: theirs, as many as fit beside each other, two at least."""
    told = " · ".join(names[:2])
    for name in names[2:]:
        if len(longer := f"{told} · {name}") > _NAME_OF_PARTS:
            break
        told = longer
    return told


def own_names(clusters: Iterable[Named]) -> dict[str, str]:
    """New names, by id, for those that bear one of their siblings'; whoever was named first plays no part.

    What a person named keeps its name, then the lower id does; the others get terms of their own, then a number.
    """
    taken: dict[tuple[str | None, ...], set[str]] = {}
    changed: dict[str, str] = {}
    for one in sorted(clusters, key=lambda one: (not one.by_person, one.cluster_id)):
        used = taken.setdefault(one.siblings, set())
        name = one.name if one.by_person else own_name(one.name, one.terms, used)
        if name != one.name:
            changed[one.cluster_id] = name
        used.add(name.casefold())
    return changed


def own_name(name: str, further: Sequence[str], taken: set[str]) -> str:
    """The name, made different from those taken (case-folded): with a further term, or more, then with a number."""
    told = name
    for term in further:
        if told.casefold() not in taken:
            return told
        if not {fold(word) for word in words_of(term)} <= {fold(word) for word in words_of(told)}:
            told = f"{told}, {term}"
    number = 2
    while told.casefold() in taken:
        told = f"{name} ({number})"
        number += 1
    return told


def central_order(cluster: ClusterTexts) -> list[int]:
    """Rows from the one closest to the cluster's centroid to the farthest; equals by signal id."""
    if not len(cluster.vectors):
        return []
    similarity = _to_centre(cluster)
    return sorted(range(len(similarity)), key=lambda row: (-float(similarity[row]), cluster.signal_ids[row]))


def telling_quotes(cluster: ClusterTexts, number: int = QUOTES) -> list[int]:
    """Rows of quotes that are central and unlike each other: maximal marginal relevance (Carbonell, Goldstein 1998).

    The first is the most central one; the same words come only once.
    """
    order = central_order(cluster)[:_CANDIDATES]
    if not order:
        return []
    central = _to_centre(cluster)
    chosen = [order[0]]
    while len(chosen) < number:
        said = {shortened(cluster.texts[row]).casefold() for row in chosen}
        left = [row for row in order if shortened(cluster.texts[row]).casefold() not in said]
        if not left:
            break
        alike = np.round((cluster.vectors[left] @ cluster.vectors[chosen].T).max(axis=1), 6)
        worth = _CENTRAL * central[left] - (1 - _CENTRAL) * alike
        chosen.append(left[int(np.argmax(worth))])
    return chosen


def shortened(text: str, limit: int = MAX_QUOTE) -> str:
    """One line of at most `limit` characters, cut between words where it can be."""
    line = _SPACE.sub(" ", text).strip()
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[limit // 2 :] else cut).rstrip(" ,;:") + "…"


def _members(cluster: ClusterTexts) -> list[Member]:
    """The texts with their documents and how near each is to the centre, relative to the average."""
    if not len(cluster.vectors):
        return []
    similarity = np.maximum(_to_centre(cluster), 0.0)
    nearness = similarity / max(float(similarity.mean()), 1e-9)
    sources = cluster.sources or cluster.signal_ids
    return [Member(*one) for one in zip(cluster.texts, sources, nearness.tolist(), strict=True)]


def _to_centre(cluster: ClusterTexts) -> NDArray[np.float64]:
    similarity: NDArray[np.float64] = cluster.vectors @ cluster.vectors.mean(axis=0, dtype=np.float64)
    return np.round(similarity, 6)


def _quoted(quotes: Sequence[str]) -> str:
    """The shortest of the quotes, as a name."""
    bare = [shortened(quote.strip(' "“”„'), _NAME_QUOTE) for quote in quotes]
    return f"{_QUOTED}{min(bare, key=lambda quote: (len(quote), quote), default='')}”"


def _distinction(own: Sequence[str]) -> str | None:
    return f"Said more often here than beside it: {', '.join(own[:QUOTES])}." if own else None
