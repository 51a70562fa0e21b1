"""Which level of detail is the default: communities at several resolutions, and the rule that picks one.

Layers above and below the one picked are `hierarchy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.communities import communities, modularity
from elmer_pipelines.clusters.warm import communities_again

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

RESOLUTIONS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
SILHOUETTE_WEIGHT = 1.0  # anything from 0.75 to 1.25 serves nearly as well, see docs/decisions/0008-level-of-detail.md
NEAR_OPTIMAL = 0.04  # of the score: so much worse the themes of last time may be and stay
WARM_UP_TO = 200_000  # nodes; a start partition has to be handed over as text, 1 GB for these
_MANY = 50_000
_ALL_UP_TO = 10_000
_MIDDLE = (1, 3, 5, 7)  # of the resolutions: those tried first among more signals than that, to save time
_SILHOUETTE_CELLS = 4_000_000


@dataclass(frozen=True)
class Level:
    """Communities at one resolution; `score` is what the rule compares, `again` whether they are last time's, kept."""

    resolution: float
    labels: NDArray[np.int32]
    score: float
    again: bool = False


def pick(
    judged: csr_array, parted: csr_array, vectors: NDArray[np.float32], previous: NDArray[np.int32] | None
) -> Level:
    """Of the communities in `parted` those with the highest modularity in `judged` plus silhouette.

    With `previous`, last time's if near optimal. Modularity (at resolution 1) falls as groups get finer, the silhouette
    rises until groups that belong together are torn: their sum peaks between. Every second resolution is tried, then
    those beside the best.
    """
    count = len(vectors)
    returning = previous is not None and bool(np.any(previous >= 0)) and count <= WARM_UP_TO

    def level(resolution: float, labels: NDArray[np.int32]) -> Level:
        score = modularity(judged, labels) + SILHOUETTE_WEIGHT * silhouette(vectors, labels)
        return Level(resolution, labels, round(score, 4))  # a last bit that differs between machines decides nothing

    def tried_at(place: int) -> Level:
        return level(RESOLUTIONS[place], communities(parted, RESOLUTIONS[place], 1 if count > _MANY else 2))

    def scan(graph: csr_array, step: int) -> dict[int, Level]:
        def at(place: int) -> Level:
            return level(RESOLUTIONS[place], communities(graph, RESOLUTIONS[place], 1 if count > _MANY else 2))

        tried = {place: at(place) for place in (range(0, len(RESOLUTIONS), step) if count <= _ALL_UP_TO else _MIDDLE)}
        for place in (_best(tried) - 1, _best(tried) + 1):
            if 0 <= place < len(RESOLUTIONS) and place not in tried:
                tried[place] = at(place)
        return tried

    tried = scan(parted, 1 if returning else 2)
    best = tried[_best(tried)]
    if returning and previous is not None:
        like = _like([one for one in tried.values() if one.score >= best.score - NEAR_OPTIMAL], _groups(previous))
        held = like if parted is judged else _at_most(list(scan(judged, 1).values()), _groups(like.labels))
        again = level(held.resolution, communities_again(judged, held.resolution, previous))
        if again.score >= best.score - NEAR_OPTIMAL:
            return replace(again, again=True)
    return level(best.resolution, communities(parted, best.resolution, _iterations(count)))


def silhouette(vectors: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The mean silhouette (Rousseeuw 1987) by cosine distance; a signal alone in its group counts 0.

    Exact without pairs: the mean cosine to a group's members is the product with their sum, over their number.
    """
    sizes = np.bincount(labels)
    if len(sizes) < 2:
        return 0.0
    sums = group_sums(vectors, labels).astype(np.float32)
    total = 0.0
    step = max(1, _SILHOUETTE_CELLS // len(sizes))
    for start in range(0, len(labels), step):
        own = labels[start : start + step]
        rows = np.arange(len(own))
        means = (vectors[start : start + step] @ sums.T) / sizes
        within = 1.0 - (means[rows, own] * sizes[own] - 1.0) / np.maximum(sizes[own] - 1, 1)
        means[rows, own] = -np.inf
        apart = 1.0 - means.max(axis=1)
        value = (apart - within) / np.maximum(np.maximum(apart, within), 1e-9)
        total += float(np.where(sizes[own] > 1, value, 0.0).sum())
    return total / len(labels)


def group_sums(vectors: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """The sum of each group's vectors (number of groups, d); negative labels belong to none."""
    order = np.argsort(labels, kind="stable")
    order = order[np.count_nonzero(labels < 0) :]
    sums = np.zeros((int(labels.max(initial=-1)) + 1, vectors.shape[1]), dtype=np.float64)
    if len(order):
        filled, starts = np.unique(labels[order], return_index=True)
        sums[filled] = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    return sums


def _iterations(count: int) -> int:
    """Leiden's iterations for the level that is kept: more are better and steadier, and take longer."""
    return 2 if count > _MANY else 6


def _best(tried: dict[int, Level]) -> int:
    return max(tried, key=lambda place: (tried[place].score, -place))


def _like(levels: list[Level], groups: int) -> Level:
    """The level with most nearly so many groups."""
    return min(levels, key=lambda level: (abs(_groups(level.labels) - groups), level.resolution))


def _at_most(levels: list[Level], groups: int) -> Level:
    """The finest level with no more groups: a finer one would divide what is held together."""
    few = [level for level in levels if _groups(level.labels) <= groups] or levels[:1]
    return max(few, key=lambda level: (_groups(level.labels), level.resolution))


def _groups(labels: NDArray[np.int32]) -> int:
    return len(np.unique(labels[labels >= 0]))
