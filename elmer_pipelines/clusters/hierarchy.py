"""The layers around the themes: areas, that hold themes, and needs, that divide them. Themes are `levels.py`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.communities import communities
from elmer_pipelines.clusters.levels import group_sums, silhouette
from elmer_pipelines.clusters.neighbours import nearest
from elmer_pipelines.clusters.warm import communities_again
from elmer_pipelines.vectors.unit import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

AKIN = 0.2  # the similarity of two themes' centres from which they may share an area,
STILL_AKIN = 0.15  # and, where they did last time, from which they still may
MAX_NEIGHBOURS = 10  # themes
MIN_NEIGHBOURS = 3
MIN_NEED = 3  # signals; a smaller part of a theme goes to the need nearest to it
MIN_DIVIDED = 8  # signals; a smaller theme is one need
FINER = 4.0  # times the themes' resolution,
FINER_AGAIN = 2.0  # and starting from last time's needs: at the same one what is held would be divided
DISTINCT = 0.05  # silhouette of its parts from which a theme is divided,
STILL_DISTINCT = 0.02  # and from which it stays so
_ITERATIONS = 2


def areas_of(
    vectors: NDArray[np.float32], themes: NDArray[np.int32], previous: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """The area of each theme: communities of themes whose centroids are near; (number of themes,), from 0.

    A theme less than 0.2 near to any other, in centred vectors, is an area of its own. `previous` (n,) is the area each
    signal was in last time, negative for none: a theme starts from where most of its members were.
    """
    from scipy.sparse import csr_array

    sums = group_sums(vectors, themes)
    size = len(sums)
    if not size:
        return np.empty(0, dtype=np.int32)
    centres = unit_rows(sums).astype(np.float32)
    indices, similarities = nearest(centres, min(MAX_NEIGHBOURS, max(MIN_NEIGHBOURS, round(math.sqrt(size)))))
    start = None if previous is None or not np.any(previous >= 0) else _mostly(themes, previous, size)
    near = similarities >= AKIN
    if start is not None:
        together = (start[:, None] == start[indices]) & (start[:, None] >= 0)
        near |= together & (similarities >= STILL_AKIN)
    rows = np.repeat(np.arange(size, dtype=np.int32), indices.shape[1])[near.ravel()]
    directed = csr_array((similarities[near].astype(np.float64), (rows, indices[near])), shape=(size, size))
    linked = csr_array(directed + directed.T)
    linked.sort_indices()
    return in_order(_communities(linked, 1.0, start))


def needs_of(
    graph: csr_array,
    vectors: NDArray[np.float32],
    themes: NDArray[np.int32],
    resolution: float,
    previous: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """The need of each signal (n,), each within one theme; -1 where `themes` is. A theme of one piece is one need.

    `previous` (n,) is the need each was in last time, negative for none or new: what was together holds together, and a
    theme that was divided stays so while its parts stand apart a little.
    """
    from scipy.sparse import csr_array

    rows, columns = graph.tocoo().coords
    inside = (themes[rows] == themes[columns]) & (themes[rows] >= 0)
    within = csr_array((graph.data[inside], (rows[inside], columns[inside])), shape=graph.shape)
    within.sort_indices()
    start = None if previous is None or not np.any(previous >= 0) else _paired(themes, previous)
    finer = _communities(within, (FINER if start is None else FINER_AGAIN) * resolution, start)
    needs = np.full(len(themes), -1, dtype=np.int64)
    order = np.argsort(themes, kind="stable")
    starts = np.searchsorted(themes[order], np.arange(int(themes.max(initial=-1)) + 2))
    known = 0
    for first, end in pairwise(starts):
        members = order[first:end]
        least = STILL_DISTINCT if start is not None and _is_divided(start[members]) else DISTINCT
        parts = _divided(vectors[members], finer[members], least)
        needs[members] = known + parts
        known += int(parts.max(initial=-1)) + 1
    return needs.astype(np.int32)


def in_order(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same partition, numbered from 0 in the order in which its groups first come up."""
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int32)


def _communities(graph: csr_array, resolution: float, start: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """Communities, begun at those of last time where there are any."""
    if start is None:
        return communities(graph, resolution, _ITERATIONS)
    return communities_again(graph, resolution, start)


def _paired(themes: NDArray[np.int32], previous: NDArray[np.int32]) -> NDArray[np.int32]:
    """A number for each theme's part of a need of last time; -1 where there is neither."""
    both = (themes >= 0) & (previous >= 0)
    found = np.full(len(themes), -1, dtype=np.int32)
    pairs = np.stack([themes[both], previous[both]], axis=1)
    found[both] = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return found


def _is_divided(start: NDArray[np.int32]) -> bool:
    """Whether these members of a theme were in several needs of it that are large enough."""
    return int(np.count_nonzero(np.bincount(start[start >= 0]) >= MIN_NEED)) > 1


def _mostly(themes: NDArray[np.int32], previous: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """For each of the `size` themes the number of last time that most of its members had, -1 for none."""
    found = np.full(size, -1, dtype=np.int32)
    both = (themes >= 0) & (previous >= 0)
    pairs, counts = np.unique(np.stack([themes[both], previous[both]], axis=1), axis=0, return_counts=True)
    for place in np.argsort(counts, kind="stable"):
        found[pairs[place, 0]] = pairs[place, 1]
    return found


def _divided(vectors: NDArray[np.float32], parts: NDArray[np.int32], least: float) -> NDArray[np.int32]:
    """A theme's parts with too small ones joined to the nearest; all 0 where they don't stand apart."""
    whole = np.zeros(len(parts), dtype=np.int32)
    sizes = np.bincount(parts)
    if len(parts) < MIN_DIVIDED or np.count_nonzero(sizes >= MIN_NEED) < 2:
        return whole
    large = np.flatnonzero(sizes >= MIN_NEED)
    sums = group_sums(vectors, parts)[large]
    centres = unit_rows(sums).astype(np.float32)
    found = np.searchsorted(large, parts).clip(max=len(large) - 1).astype(np.int32)
    small = np.flatnonzero(sizes[parts] < MIN_NEED)
    found[small] = np.argmax(vectors[small] @ centres.T, axis=1)
    return in_order(found) if silhouette(vectors, found) >= least else whole
