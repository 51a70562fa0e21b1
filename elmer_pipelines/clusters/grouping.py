"""Groups of signals about the same need: a neighbour graph and Leiden communities in it.

Knows vectors and keys only. Which group is which durable cluster is `identity.py`; names are `themes.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.neighbours import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

UNCLUSTERED = -1
MAX_NEIGHBOURS = 15
MIN_NEIGHBOURS = 5
MIN_MEMBERS = 2
RESOLUTION = 3.0
FULL_RESOLUTION_AT = 300  # signals
UNIT_RESOLUTION_AT = 30
STRAY_SHARE = 0.75  # of the bound for neighbours; on banking77 it leaves ARI as it is, AMI falls by .002 to .005
_SEED = 20_261_123
_ITERATIONS = 2
_TRIALS = 4  # the best of four by modularity: less luck, so less change from run to run
_CHANCE_PAIRS = 20_000


@dataclass(frozen=True)
class Grouping:
    """One clustering of n signals; rows are in the order they were given.

    `labels`: the group of each signal, 0 the largest, UNCLUSTERED for none. `nearest`: the same, and for an unclustered
    signal the group closest to it (UNCLUSTERED when there is no group at all). `similarity`: cosine between the signal
    and the centroid of the group in `nearest`, NaN where there is none.
    """

    labels: NDArray[np.int32]
    nearest: NDArray[np.int32]
    similarity: NDArray[np.float32]

    @property
    def size(self) -> int:
        """How many groups there are."""
        return int(self.labels.max(initial=UNCLUSTERED)) + 1


def group(vectors: NDArray[np.float32], keys: list[str], *, unrelated: float) -> Grouping:
    """Group n unit vectors (n, d); the same signals give the same groups whatever their order.

    `keys` name the rows (signal ids). `unrelated` is the embedding model's `scale.unrelated`: a signal that is not
    that near to any other, or not at least three quarters of that to the centroid of its group, is left unclustered.
    Raises ValueError when keys are not unique or not as many as the rows.
    """
    if len(keys) != len(vectors) or len(set(keys)) != len(keys):
        raise ValueError(f"{len(vectors)} vectors came with {len(set(keys))} distinct keys; give each row its own key.")
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    ordered = np.ascontiguousarray(vectors[order], dtype=np.float32)
    bound = near_enough(ordered, unrelated)
    labels = _numbered_by_size(_communities(neighbour_graph(ordered, bound)))
    labels = _without_strays(ordered, labels, STRAY_SHARE * bound)
    closest, similarity = place(ordered, labels, centroids(ordered, labels))
    back = np.argsort(order)
    return Grouping(labels[back], closest[back], similarity[back])


def neighbour_graph(vectors: NDArray[np.float32], bound: float) -> csr_array:
    """Symmetric graph of signals at least `bound` near; an edge weighs their similarity, twice that if both chose it.

    Each row looks at k = sqrt(n) others, at least 5 and at most 15: a small set would otherwise be one dense lump.
    """
    from scipy.sparse import csr_array

    count = len(vectors)
    k = min(MAX_NEIGHBOURS, max(MIN_NEIGHBOURS, round(math.sqrt(count))))
    indices, similarities = nearest(vectors, k)
    rows = np.repeat(np.arange(count), indices.shape[1])
    near = similarities.ravel() >= max(bound, 1e-3)
    weights = similarities.ravel()[near].astype(np.float64)
    directed = csr_array((weights, (rows[near], indices.ravel()[near])), shape=(count, count))
    graph = csr_array(directed + directed.T)
    graph.sort_indices()
    return graph


def near_enough(vectors: NDArray[np.float32], unrelated: float) -> float:
    """The similarity under which two signals are not neighbours: `unrelated`, or less where chance pairs are far lower.

    Chance is the mean plus two standard deviations over pairs that lie half the set apart in the order of their keys.
    It only lowers the bound: when all signals are about one thing, chance pairs are alike and still belong together.
    """
    count = len(vectors)
    if count < 2 * MAX_NEIGHBOURS:
        return unrelated
    left = np.arange(0, count, max(1, count // _CHANCE_PAIRS))
    pairs = np.einsum("ij,ij->i", vectors[left], vectors[(left + count // 2) % count])
    return min(unrelated, float(pairs.mean() + 2 * pairs.std()))


def resolution(count: int) -> float:
    """Leiden's resolution for so many signals: 1 up to 30, 3 from 300, in between rising with the logarithm.

    Modularity has a sense of scale of its own, so that one value serves from hundreds to tens of thousands. Read off
    samples of banking77: from 250 to 13,083 texts in 12 to 77 intents, 3 had the best mean adjusted Rand index among
    1, 2, 3, 5 and 8 (about 13 groups among 250 texts, 30 among 1,000, 100 among 13,000); 10 to 60 texts wanted 1, and
    100 to 150 wanted 1.5 to 2.
    """
    steps = math.log(max(count, 1) / UNIT_RESOLUTION_AT) / math.log(FULL_RESOLUTION_AT / UNIT_RESOLUTION_AT)
    return 1.0 + (RESOLUTION - 1.0) * min(1.0, max(0.0, steps))


def centroids(vectors: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """The mean direction of each group: (number of groups, d), of length 1 (zeros if its members cancel out)."""
    sums = np.zeros((int(labels.max(initial=UNCLUSTERED)) + 1, vectors.shape[1]), dtype=np.float64)
    clustered = labels != UNCLUSTERED
    np.add.at(sums, labels[clustered], vectors[clustered].astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    directions: NDArray[np.float32] = (sums / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return directions


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


def _communities(graph: csr_array) -> NDArray[np.int32]:
    """Leiden communities by modularity; a node without an edge is UNCLUSTERED."""
    import graspologic_native

    connected = np.flatnonzero(np.diff(graph.indptr))
    labels = np.full(graph.shape[0], UNCLUSTERED, dtype=np.int32)
    if not len(connected):
        return labels
    inner = graph[connected][:, connected].tocsr()
    inner.sort_indices()
    _, found = graspologic_native.leiden_csr(
        inner.indptr.astype(np.int64),
        inner.indices.astype(np.int32),
        inner.data.astype(np.float64),
        len(connected),
        resolution=resolution(len(connected)),
        iterations=_ITERATIONS,
        seed=_SEED,
        trials=_TRIALS,
    )
    labels[connected[list(found.keys())]] = list(found.values())
    return labels


def _without_strays(vectors: NDArray[np.float32], labels: NDArray[np.int32], bound: float) -> NDArray[np.int32]:
    """Members that a chain of neighbours brought in, but that are not near to what the group is about, leave it."""
    _, similarity = place(vectors, labels, centroids(vectors, labels))
    return _numbered_by_size(np.where(similarity >= bound, labels, np.int32(UNCLUSTERED)))


def _numbered_by_size(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels 0, 1, … from the largest group down (ties: the first member first); too small ones are UNCLUSTERED."""
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    keep = (found != UNCLUSTERED) & (counts >= MIN_MEMBERS)
    ranked = found[keep][np.lexsort((first[keep], -counts[keep]))]
    number = {int(label): place for place, label in enumerate(ranked)}
    return np.array([number.get(int(label), UNCLUSTERED) for label in labels], dtype=np.int32)
