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
class Votes:
    """For each of m signals: the cluster with the most votes (NOWHERE: none) and the nearest neighbour in it."""

    winner: NDArray[np.int32]
    nearest: NDArray[np.float32]


def vote(similarities: NDArray[np.float32], clusters: NDArray[np.int32]) -> Votes:
    """Each of k neighbours votes for its cluster with the square of its similarity; both arrays are (m, k).

    Neighbours that are in no cluster (NOWHERE), or at a similarity of 0 or less, do not vote. A tie goes to the cluster
    of the nearest neighbour.
    """
    weights = np.where(clusters != NOWHERE, np.clip(similarities, 0, None) ** 2, 0).astype(np.float64)
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
    found = nearest_of(vectors[sample], clustered, labels[members], np.searchsorted(members, sample))
    votes = vote(*found)
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
    own: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The similarities and clusters of each vector's VOTERS nearest among `clustered`; both (m, k), exact, by blocks.

    `own` are the rows of `clustered` that the vectors themselves are, to be left out. Rows short of neighbours are
    filled up with NOWHERE at a similarity of 0.
    """
    k = min(VOTERS, len(clustered))
    similarities = np.zeros((len(vectors), VOTERS), dtype=np.float32)
    clusters = np.full((len(vectors), VOTERS), NOWHERE, dtype=np.int32)
    for start, stop in _blocks(len(vectors)):
        near = vectors[start:stop] @ clustered.T
        if own is not None:
            near[np.arange(stop - start), own[start:stop]] = -1.0
        if k:
            chosen = np.argpartition(-near, k - 1, axis=1)[:, :k]
            similarities[start:stop, :k] = np.take_along_axis(near, chosen, axis=1)
            clusters[start:stop, :k] = labels[chosen]
    return similarities, clusters


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _BLOCK):
        yield start, min(count, start + _BLOCK)
