"""Groups of signals about the same need: a neighbour graph and Leiden communities in it, in three nested layers.

Knows vectors and keys only. How fine themes are is `levels.py`, what holds and divides them `hierarchy.py`; which group
is which durable cluster is `identity.py`; names are `themes.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.centring import centred
from elmer_pipelines.clusters.hierarchy import areas_of, needs_of
from elmer_pipelines.clusters.levels import Level, group_sums, pick
from elmer_pipelines.clusters.neighbours import EXACT_UP_TO, nearest, recall
from elmer_pipelines.clusters.votes import WIDTHS, agreement, helps
from elmer_pipelines.vectors.lattice import as_similarity, on_lattice
from elmer_pipelines.vectors.unit import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

UNCLUSTERED = -1
MAX_NEIGHBOURS = 15
FEW_NEIGHBOURS = 7  # up to some 1,400 signals: more would join groups of a dozen to those beside them
MIN_NEIGHBOURS = 5
MIN_MEMBERS = 2
LEAST_SHARE = 0.65  # of `unrelated`: the least near neighbours are in any set
STRAY_SHARE = 0.75  # of the bound for neighbours; on banking77 it leaves ARI as it is, AMI falls by .002 to .005
CENTRED_FROM = 100  # signals: with so many half of what all share is taken out, with many more nearly all of it
_CHANCE_SIGNALS = 5_000
_RECALL_SAMPLE = 200  # signals: 3,000 neighbours, a tenth of a second for 100,000 signals
_ROWS = 512  # few enough for what they need to stay in the cache of a processor


@dataclass(frozen=True)
class Grouping:
    """One clustering of n signals in three nested layers; rows are in the order they were given.

    `labels`: the theme of each signal (the default layer), 0 the largest, UNCLUSTERED for none. `nearest`: the same,
    and for an unclustered signal the theme closest to it (UNCLUSTERED when there is none at all). `similarity`: cosine
    between the signal and the centroid of the theme in `nearest`, NaN where there is none. `needs`: the leaf of each
    signal; each need lies inside one theme, and a theme that does not divide is one need. `areas`: the area of each
    theme (number of themes,), from 0; it may have one theme only. `recall`: the share of the true neighbours that was
    looked at, measured on a sample; 1 where all signals were compared with all.
    """

    labels: NDArray[np.int32]
    nearest: NDArray[np.int32]
    similarity: NDArray[np.float32]
    needs: NDArray[np.int32]
    areas: NDArray[np.int32]
    recall: float = 1.0

    @property
    def size(self) -> int:
        """How many themes there are."""
        return int(self.labels.max(initial=UNCLUSTERED)) + 1

    def area_of_each(self) -> NDArray[np.int32]:
        """The area of each signal (n,), UNCLUSTERED for none."""
        if not self.size:
            return self.labels.copy()
        return np.where(self.labels >= 0, self.areas[self.labels], np.int32(UNCLUSTERED))


def group(
    vectors: NDArray[np.float32],
    keys: list[str],
    *,
    unrelated: float,
    previous: NDArray[np.int32] | None = None,
    previous_needs: NDArray[np.int32] | None = None,
    previous_areas: NDArray[np.int32] | None = None,
) -> Grouping:
    """Group n unit vectors (n, d); the same signals give the same groups whatever their order.

    `keys` name the rows (signal ids). `unrelated` is the embedding model's `scale.unrelated`: a signal that is not
    that near to any other, or not at least three quarters of that to the centroid of its theme, is left unclustered.
    `previous` (n,) is the theme each had last time, negative for none or new: themes then start from there and keep
    their level of detail while that is about as good as any; the result depends on it too. So do needs and areas on
    theirs.
    Raises ValueError when keys are not unique or not as many as the rows.
    """
    if len(keys) != len(vectors) or len(set(keys)) != len(keys):
        raise ValueError(f"{len(vectors)} vectors came with {len(set(keys))} distinct keys; give each row its own key.")
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    ordered = np.ascontiguousarray(vectors[order], dtype=np.float32)
    bound = near_enough(ordered, unrelated)
    around = centred(ordered, len(keys) / (len(keys) + CENTRED_FROM))
    graph, agreed, share = graphs(ordered, around, bound)
    before, needs_before, areas_before = (
        None if one is None else one[order] for one in (previous, previous_needs, previous_areas)
    )
    labels, level = _themes(graph, agreed, around, before)
    labels = _without_strays(ordered, labels, STRAY_SHARE * bound)
    if level.again:  # votes change more than neighbours do
        needs = needs_of(graph, around, labels, level.resolution, needs_before)
    else:
        needs = needs_of(agreed, around, labels, level.resolution)
    closest, similarity = place(ordered, labels, centroids(ordered, labels))
    back = np.argsort(order)
    return Grouping(
        labels[back], closest[back], similarity[back], needs[back], areas_of(around, labels, areas_before), share
    )


def graphs(
    vectors: NDArray[np.float32], around: NDArray[np.float32], bound: float
) -> tuple[csr_array, csr_array, float]:
    """Two symmetric graphs of signals at least `bound` near: the one partitions are judged by, the one they are of.

    In the first an edge weighs the similarity, twice that if both chose it; the second is what many partitions agree
    on (`votes.py`), or the first again where they are not asked. Neighbours and weights are by the centred vectors
    `around`, nearness by the vectors themselves. With them the recall of the neighbours.
    """
    count = len(vectors)
    own = neighbours_of(count)
    indices, similarities = nearest(around, max(WIDTHS) if helps(count) else own)
    near = _similarities(vectors, indices) >= max(bound, 1e-3)
    graph = _neighbour_graph(indices[:, :own], similarities[:, :own], near[:, :own])
    share = recall(around, indices, sample=_RECALL_SAMPLE) if count > EXACT_UP_TO else 1.0
    return graph, agreement(indices, similarities, near) if helps(count) else graph, share


def _neighbour_graph(
    indices: NDArray[np.int32], similarities: NDArray[np.float32], near: NDArray[np.bool_]
) -> csr_array:
    from scipy.sparse import csr_array

    count = len(indices)
    rows = np.repeat(np.arange(count, dtype=np.int32), indices.shape[1])[near.ravel()]
    chosen = np.maximum(similarities[near], 1e-3).astype(np.float64)
    directed = csr_array((chosen, (rows, indices[near])), shape=(count, count))
    graph = csr_array(directed + directed.T)
    graph.sort_indices()
    return graph


def neighbours_of(count: int) -> int:
    """How many others each of `count` signals looks at: sqrt(n) / 5 between 7 and 15, and 5 to 7 under 50 signals.

    Groups grow with a set: in a small one many neighbours reach past a group, and modularity then favours lumps.
    """
    root = math.sqrt(count)
    few = min(FEW_NEIGHBOURS, max(MIN_NEIGHBOURS, round(root)))
    return min(MAX_NEIGHBOURS, max(few, round(root / 5)))


def _similarities(vectors: NDArray[np.float32], indices: NDArray[np.int32]) -> NDArray[np.float32]:
    """The cosine between each row and those its indices name."""
    steps = on_lattice(vectors)
    found = np.empty(indices.shape, dtype=np.float32)
    for start in range(0, len(indices), _ROWS):
        block = slice(start, start + _ROWS)
        found[block] = np.einsum("id,ikd->ik", steps[block], steps[indices[block]])
    return as_similarity(found)


def near_enough(vectors: NDArray[np.float32], unrelated: float) -> float:
    """The similarity under which two signals are not neighbours: `unrelated`, or less where chance pairs are far lower.

    Chance is the mean plus two standard deviations over all pairs (of at most 5,000 signals, evenly drawn from the
    order of their keys). It lowers the bound, since where subjects are many, less than usual says something; by a
    third at most, since otherwise strangers would join what is far from all else, such as another language.
    """
    drawn = vectors[:: max(1, len(vectors) // _CHANCE_SIGNALS)].astype(np.float64)
    count = len(drawn)
    if count < 2 * MAX_NEIGHBOURS:
        return unrelated
    total = drawn.sum(axis=0)
    pairs = count * (count - 1)
    mean = (float(total @ total) - count) / pairs
    squares = (float(np.square(drawn.T @ drawn).sum()) - count) / pairs  # of the products of all pairs
    chance = mean + 2 * math.sqrt(max(squares - mean * mean, 0.0))
    return min(unrelated, max(LEAST_SHARE * unrelated, round(chance, 4)))


def centroids(vectors: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """The mean direction of each group: (number of groups, d), of length 1 (zeros if its members cancel out)."""
    return unit_rows(group_sums(vectors, labels)).astype(np.float32)


def place(
    vectors: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """For each signal its group, or the closest one if it has none, and the cosine to that group's centroid."""
    if not len(centres):
        return labels.copy(), np.full(len(labels), np.nan, dtype=np.float32)
    closest = labels.copy()
    alone = np.flatnonzero(labels == UNCLUSTERED)
    closest[alone] = np.argmax(vectors[alone] @ centres.T, axis=1)
    return closest, np.einsum("ij,ij->i", vectors, centres[closest]).astype(np.float32)


def _themes(
    graph: csr_array, agreed: csr_array, around: NDArray[np.float32], previous: NDArray[np.int32] | None
) -> tuple[NDArray[np.int32], Level]:
    """The theme of each signal that has an edge, numbered by size, and the level they are of."""
    connected = np.flatnonzero(np.diff(graph.indptr))
    labels = np.full(graph.shape[0], UNCLUSTERED, dtype=np.int32)
    if not len(connected):
        return labels, Level(1.0, labels, 0.0)
    whole = len(connected) == graph.shape[0]
    judged = graph if whole else _inner(graph, connected)
    parted = judged if agreed is graph else agreed if whole else _inner(agreed, connected)
    level = pick(
        judged, parted, around if whole else around[connected], None if previous is None else previous[connected]
    )
    labels[connected] = level.labels
    return _numbered_by_size(labels), level


def _inner(graph: csr_array, nodes: NDArray[np.intp]) -> csr_array:
    found = graph[nodes][:, nodes].tocsr()
    found.sort_indices()
    return found


def _without_strays(vectors: NDArray[np.float32], labels: NDArray[np.int32], bound: float) -> NDArray[np.int32]:
    """Members that a chain of neighbours brought in, but that are not near to what the group is about, leave it."""
    _, similarity = place(vectors, labels, centroids(vectors, labels))
    return _numbered_by_size(np.where(similarity >= bound, labels, np.int32(UNCLUSTERED)))


def _numbered_by_size(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels 0, 1, … from the largest group down (ties: the first member first); too small ones are UNCLUSTERED."""
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    keep = (found != UNCLUSTERED) & (counts >= MIN_MEMBERS)
    ranked = found[keep][np.lexsort((first[keep], -counts[keep]))]
    number = np.full(len(found), UNCLUSTERED, dtype=np.int32)
    number[np.searchsorted(found, ranked)] = np.arange(len(ranked))
    return number[np.searchsorted(found, labels)]
