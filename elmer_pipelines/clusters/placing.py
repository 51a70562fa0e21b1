"""Where a new signal belongs by the clusters of its nearest neighbours, and how near is near enough.

Pure: similarities and clusters in, votes out; the bounds are calibrated on the last clustering. Reading neighbours and
writing places is `newcomers.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VOTERS = 15  # as many neighbours as the graph of a full clustering looks at
NOWHERE = -1
_SAMPLE = 2_000  # members the bounds are calibrated on
_LEFT_OUT = 0.01  # of the members are less near than the bounds: odd ones that a clustering took along
_BLOCK = 1_024
_SEED = 20_261_123


@dataclass(frozen=True)
class Bounds:
    """How near a signal has to be for its neighbours' cluster to take it.

    `neighbour`: to the nearest member of that cluster; `centre`: to its centroid. `agreement` is the share of sampled
    members that their neighbours would have put where the clustering did, each left out in turn; None: no sample.
    """

    neighbour: float
    centre: float
    agreement: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Near:
    """The nearest members of clusters for each of m signals, all (m, k): similarities, clusters (NOWHERE: none), and
    whether the member would have the signal among its own nearest (all False where that was not looked at)."""

    similarities: NDArray[np.float32]
    clusters: NDArray[np.int32]
    mutual: NDArray[np.bool_]

    def within(self, clusters: NDArray[np.int32]) -> Near:
        """The same neighbours with other clusters, such as a coarser or a finer level's."""
        return Near(self.similarities, clusters, self.mutual)


@dataclass(frozen=True)
class Votes:
    """For each of m signals: the cluster with the most votes (NOWHERE: none) and the nearest neighbour in it."""

    winner: NDArray[np.int32]
    nearest: NDArray[np.float32]


def vote(near: Near) -> Votes:
    """Each neighbour votes for its cluster with its similarity, twice where both are near to each other.

    These are the weights of the graph a full clustering is made on. Neighbours in no cluster, or at a similarity of 0
    or less, do not vote. A tie goes to the cluster of the nearest neighbour.
    """
    similarities, clusters = near.similarities, near.clusters
    weights = np.where(clusters != NOWHERE, np.clip(similarities, 0, None) * (1 + near.mutual), 0).astype(np.float64)
    same = clusters[:, :, None] == clusters[:, None, :]
    totals = np.einsum("mij,mj->mi", same, weights) * (weights > 0)
    best = np.argmax(totals + 1e-9 * similarities, axis=1)
    rows = np.arange(len(clusters))
    winner = np.where(totals[rows, best] > 0, clusters[rows, best], NOWHERE).astype(np.int32)
    inside = np.where(clusters == winner[:, None], similarities, -1.0)
    return Votes(winner, inside.max(axis=1).astype(np.float32))


def near_enough(votes: Votes, to_centre: NDArray[np.float32], bounds: Bounds) -> NDArray[np.bool_]:
    """Which of the signals their winning cluster takes; `to_centre` is the similarity to its centroid."""
    fits = (votes.nearest >= bounds.neighbour) & (to_centre >= bounds.centre)
    return np.asarray(fits & (votes.winner != NOWHERE))


def calibrate(vectors: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float32]) -> Bounds | None:
    """The bounds that 99 % of a clustering's own members keep, from at most 2,000 of them; None where it has none."""
    members = np.flatnonzero(labels != NOWHERE)
    if not len(members):
        return None
    chance = np.random.default_rng(_SEED)
    sample = np.sort(chance.choice(members, min(_SAMPLE, len(members)), replace=False))
    clustered = vectors[members]
    votes = vote(nearest_of(vectors[sample], clustered, labels[members], own=np.searchsorted(members, sample)))
    own = labels[sample]
    right = votes.winner == own
    to_centre = np.einsum("ij,ij->i", vectors[sample], centres[own])
    kept = right if right.any() else np.ones(len(sample), dtype=bool)
    return Bounds(
        float(np.quantile(votes.nearest[kept], _LEFT_OUT)),
        float(np.quantile(to_centre[kept], _LEFT_OUT)),
        float(right.mean()),
    )


def nearest_of(
    vectors: NDArray[np.float32],
    clustered: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    own: NDArray[np.intp] | None = None,
    mutual: bool = False,
) -> Near:
    """Each vector's VOTERS nearest among `clustered`, exact, by blocks; with `mutual` whether it is near to them too.

    `own` are the rows of `clustered` that the vectors themselves are, to be left out. Rows short of neighbours are
    filled up with NOWHERE at a similarity of 0.
    """
    k = min(VOTERS, len(clustered))
    similarities = np.zeros((len(vectors), VOTERS), dtype=np.float32)
    rows = np.full((len(vectors), VOTERS), NOWHERE, dtype=np.intp)
    for start, stop in _blocks(len(vectors)):
        near = vectors[start:stop] @ clustered.T
        if own is not None:
            near[np.arange(stop - start), own[start:stop]] = -1.0
        if k:
            chosen = np.argpartition(-near, k - 1, axis=1)[:, :k]
            similarities[start:stop, :k] = np.take_along_axis(near, chosen, axis=1)
            rows[start:stop, :k] = chosen
    clusters = np.append(labels, np.int32(NOWHERE))[rows]
    reach = _reach(clustered, np.unique(rows[rows != NOWHERE]), k) if mutual else np.full(len(clustered), np.inf)
    return Near(similarities, clusters, similarities >= np.append(reach, np.inf)[rows])


def _reach(clustered: NDArray[np.float32], rows: NDArray[np.intp], k: int) -> NDArray[np.float64]:
    """The similarity of each of these rows to its k-th nearest; infinite for the others."""
    reach = np.full(len(clustered), np.inf)
    for start, stop in _blocks(len(rows)):
        asked = rows[start:stop]
        near = clustered[asked] @ clustered.T
        near[np.arange(len(asked)), asked] = -1.0
        reach[asked] = np.partition(near, len(clustered) - k, axis=1)[:, len(clustered) - k]
    return reach


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _BLOCK):
        yield start, min(count, start + _BLOCK)
