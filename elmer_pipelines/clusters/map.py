"""Where clusters lie on a map of two dimensions: like themes near each other, each a cloud of its signals.

Pure functions over vectors, the same on every machine; the picture is drawn in `plots.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNPLACED = -1
_ROUNDS = 200
_CLOUD = 0.33  # of the distance to the nearest cluster: a cloud's standard deviation
_STRAY = 1.6  # signals of no cluster lie around the nearest one, so much farther out


@dataclass(frozen=True)
class Map:
    """`centres` (k, 2) of the clusters in the order of their labels, `points` (n, 2) of the signals; both in 0 to 1."""

    centres: NDArray[np.float64]
    points: NDArray[np.float64]


def lay_out(vectors: NDArray[np.float32], labels: Sequence[int], inside: Sequence[bool]) -> Map:
    """Lay out n unit vectors (n, d) around their clusters; every label from 0 to k - 1 has one at least.

    `labels` name the cluster a signal is in or, where it is not `inside` of one, the nearest. Clusters are laid out by
    metric multidimensional scaling of the distances between their centres (SMACOF, de Leeuw 1977, from their principal
    components), then evened out; a signal lies off its centre in the two directions in which signals differ most from
    their centres.
    """
    own, within = np.asarray(labels), np.asarray(inside, dtype=bool)
    number = int(own.max(initial=UNPLACED)) + 1
    if not number:
        return Map(np.empty((0, 2)), np.empty((0, 2)))
    exact = vectors.astype(np.float64)
    means = np.stack([exact[_members(own, within, label)].mean(axis=0) for label in range(number)])
    centres = _spread(_scaled(means))
    residual = exact - means[own]
    plane = residual @ _directions(residual[within] if within.any() else residual)
    spread = np.sqrt((plane[within] ** 2).mean()) if within.any() else 0.0
    reach = _CLOUD * _nearest(centres)[own] * np.where(within, 1.0, _STRAY)
    points = centres[own] + (np.clip(plane / spread, -2, 2) * reach[:, None] if spread > 1e-9 else 0.0)
    return _framed(centres, points)


def _members(own: NDArray[np.intp], within: NDArray[np.bool_], label: int) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = (own == label) & within
    return members if members.any() else own == label


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first two principal components (d, 2), each with its largest entry positive."""
    dimensions = rows.shape[1]
    _, vectors = np.linalg.eigh(rows.T @ rows)
    found = vectors[:, ::-1][:, :2]
    if dimensions < 2:
        found = np.column_stack([found, np.zeros(dimensions)])
    largest = found[np.abs(found).argmax(axis=0), np.arange(2)]
    upright: NDArray[np.float64] = found * np.where(largest < 0, -1.0, 1.0)
    return upright


def _scaled(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places whose distances are like those between the means (k, d)."""
    number = len(means)
    if number == 1:
        return np.zeros((1, 2))
    wanted = np.linalg.norm(means[:, None] - means[None], axis=2)
    centred = means - means.mean(axis=0)
    places: NDArray[np.float64] = centred @ _directions(centred)
    places = places + 1e-6 * np.column_stack([np.arange(number), np.arange(number) ** 2 % 7])  # none upon another
    for _ in range(_ROUNDS):
        distance = np.linalg.norm(places[:, None] - places[None], axis=2)
        ratio = np.divide(wanted, distance, out=np.zeros_like(wanted), where=distance > 1e-12)
        pull = -ratio
        np.fill_diagonal(pull, 0.0)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        places = pull @ places / number
    return places


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the place, half its rank along each axis, so that a few far ones don't crowd all others together."""
    last = max(len(places) - 1, 1)
    ranks = places.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / last
    size = np.maximum(np.ptp(places, axis=0), 1e-9)
    even: NDArray[np.float64] = (ranks + (places - places.min(axis=0)) / size) / 2
    return even


def _nearest(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(centres) == 1:
        return np.ones(1)
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    found: NDArray[np.float64] = distance.min(axis=1)
    return found


def _framed(centres: NDArray[np.float64], points: NDArray[np.float64]) -> Map:
    every = np.vstack([centres, points])
    low, size = every.min(axis=0), np.maximum(np.ptp(every, axis=0), 1e-9)
    return Map((centres - low) / size, (points - low) / size)
