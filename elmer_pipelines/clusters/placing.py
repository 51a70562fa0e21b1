"""Where a new signal belongs by the clusters of its nearest neighbours, and how near is near enough.

Pure: similarities and clusters in, votes out; the bounds are calibrated on the last clustering. Reading neighbours and
writing places is `newcomers.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters import grouping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VOTERS = 15  # as many neighbours as the graph of a full clustering looks at
NOWHERE = -1
_LEFT_OUT = 0.005  # of the members are less near than the bounds: odd ones that a clustering took along
_LEAST_WEIGHT = 1e-3  # an edge's in the graph of a full clustering
_SAMPLE = 2_000  # members the bounds are calibrated on
_BLOCK = 1_024
_SEED = 20_261_123


@dataclass(frozen=True)
class Bounds:
    """How near a signal has to be for its neighbours' cluster to take it: about as near as its members are.

    `neighbour`: to a member that votes; `centre`: to the centroid. `agreement` is the share of sampled members that
    their neighbours would have put where the clustering did, each left out in turn; None: no sample.
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
    whether the member would have the signal among its own nearest (all False where that was not looked at).

    `weights` are what a vote counts: similarities less what all signals share, as in the graph of a full clustering.
    """

    similarities: NDArray[np.float32]
    clusters: NDArray[np.int32]
    mutual: NDArray[np.bool_]
    weights: NDArray[np.float32]

    def within(self, clusters: NDArray[np.int32]) -> Near:
        """The same neighbours with other clusters, such as a coarser or a finer level's."""
        return replace(self, clusters=clusters)


@dataclass(frozen=True)
class Votes:
    """For each of m signals: the cluster with the most votes (NOWHERE: none) and the nearest neighbour in it."""

    winner: NDArray[np.int32]
    nearest: NDArray[np.float32]


def vote(near: Near, least: float = 0.0) -> Votes:
    """Each neighbour votes for its cluster with its weight, twice where both are near to each other.

    These are the edges of the graph a full clustering is made on. Neighbours in no cluster, and those not at least
    `least` similar where any is, or at a similarity of 0 or less, do not vote. A tie goes to the nearest's cluster.
    """
    similarities, clusters = near.similarities, near.clusters
    voters = (clusters != NOWHERE) & (similarities > 0)
    close = voters & (similarities >= least)
    voters = np.where(close.any(axis=1, keepdims=True), close, voters)
    weights = np.where(voters, np.maximum(near.weights, _LEAST_WEIGHT) * (1 + near.mutual), 0).astype(np.float64)
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


def once_joined(to_centre: NDArray[np.float32], pull: NDArray[np.float32]) -> NDArray[np.float32]:
    """The similarity of each signal to the centroid of a cluster that it has joined, which it draws towards itself.

    `to_centre` is that to the centroid before; `pull` the length of the sum of the members' vectors, which is the sum
    of their similarities to the centroid. A full clustering measures strays so.
    """
    found: NDArray[np.float32] = (pull * to_centre + 1) / np.sqrt(np.square(pull) + 2 * pull * to_centre + 1)
    return found


def calibrate(
    vectors: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float32], unrelated: float
) -> Bounds | None:
    """The bounds that a full clustering keeps to, or that 199 of 200 members keep where those are narrower.

    Taken from at most 2,000 members; None where there is no cluster. `unrelated` is the embedding model's.
    """
    members = np.flatnonzero(labels != NOWHERE)
    if not len(members):
        return None
    chance = np.random.default_rng(_SEED)
    sample = np.sort(chance.choice(members, min(_SAMPLE, len(members)), replace=False))
    near = nearest_of(vectors[sample], vectors[members], labels[members], own=np.searchsorted(members, sample))
    least = grouping.near_enough(vectors, unrelated)
    votes = vote(near, least)
    to_centre = np.einsum("ij,ij->i", vectors[sample], centres[labels[sample]])
    return Bounds(
        max(least, float(np.quantile(votes.nearest, _LEFT_OUT))),
        max(grouping.STRAY_SHARE * least, float(np.quantile(to_centre, _LEFT_OUT))),
        float((votes.winner == labels[sample]).mean()),
    )


def nearest_of(
    vectors: NDArray[np.float32],
    clustered: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    own: NDArray[np.intp] | None = None,
    mutual: bool = False,
) -> Near:
    """Each vector's nearest among `clustered`, exact, by blocks; with `mutual` whether it is near to them too.

    They are sought as a full clustering of so many signals does: as many, at most VOTERS, and by vectors less what all
    `clustered` share. `own` are the rows of `clustered` that the vectors themselves are, to be left out. Rows short of
    neighbours are filled up with NOWHERE at a similarity of 0.
    """
    k = min(grouping.neighbours_of(len(clustered)), len(clustered) - (own is not None))
    around, asked = _less_common(clustered, clustered), _less_common(vectors, clustered)
    similarities = np.zeros((len(vectors), VOTERS), dtype=np.float32)
    weights = np.zeros((len(vectors), VOTERS), dtype=np.float32)
    rows = np.full((len(vectors), VOTERS), NOWHERE, dtype=np.intp)
    for start, stop in _blocks(len(vectors)) if k > 0 else ():
        near = asked[start:stop] @ around.T
        if own is not None:
            near[np.arange(stop - start), own[start:stop]] = -np.inf
        chosen = np.argpartition(-near, k - 1, axis=1)[:, :k]
        weights[start:stop, :k] = np.take_along_axis(near, chosen, axis=1)
        similarities[start:stop, :k] = np.einsum("id,ikd->ik", vectors[start:stop], clustered[chosen])
        rows[start:stop, :k] = chosen
    clusters = np.append(labels, np.int32(NOWHERE))[rows]
    reach = _reach(around, np.unique(rows[rows != NOWHERE]), k) if mutual else np.full(len(clustered), np.inf)
    return Near(similarities, clusters, weights >= np.append(reach, np.inf)[rows], weights)


def _less_common(vectors: NDArray[np.float32], clustered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors less what the clustered share, of unit length again: as `lattice.centred`, where not every bit counts."""
    count = len(clustered)
    if not count:
        return vectors
    middle = (count / (count + grouping.CENTRED_FROM)) * clustered.mean(axis=0, dtype=np.float64)
    found = vectors - middle.astype(np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(lengths, 1e-9), dtype=np.float32)


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
