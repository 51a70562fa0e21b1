"""The layers around the themes: areas, that hold themes, and needs, that divide them. Themes are `levels.py`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.communities import communities
from elmer_pipelines.clusters.levels import group_sums, silhouette
from elmer_pipelines.clusters.neighbours import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

AKIN = 0.2
MAX_NEIGHBOURS = 10  # themes
MIN_NEIGHBOURS = 3
MIN_NEED = 3  # signals; a smaller part of a theme goes to the need nearest to it
MIN_DIVIDED = 8  # signals; a smaller theme is one need
FINER = 4.0  # times the themes' resolution
DISTINCT = 0.05  # silhouette of its parts from which a theme is divided
_ITERATIONS = 2


def areas_of(vectors: NDArray[np.float32], themes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The area of each theme: communities of themes whose centroids are near; (number of themes,), from 0.

    A theme less than 0.2 near to any other, in centred vectors, is an area of its own.
    """
    from scipy.sparse import csr_array

    sums = group_sums(vectors, themes)
    size = len(sums)
    if not size:
        return np.empty(0, dtype=np.int32)
    centres = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    indices, similarities = nearest(centres, min(MAX_NEIGHBOURS, max(MIN_NEIGHBOURS, round(math.sqrt(size)))))
    near = similarities >= AKIN
    rows = np.repeat(np.arange(size, dtype=np.int32), indices.shape[1])[near.ravel()]
    directed = csr_array((similarities[near].astype(np.float64), (rows, indices[near])), shape=(size, size))
    linked = csr_array(directed + directed.T)
    linked.sort_indices()
    return in_order(communities(linked, 1.0, _ITERATIONS))


def needs_of(
    graph: csr_array, vectors: NDArray[np.float32], themes: NDArray[np.int32], resolution: float
) -> NDArray[np.int32]:
    """The need of each signal (n,), each within one theme; -1 where `themes` is. A theme of one piece is one need."""
    from scipy.sparse import csr_array

    rows, columns = graph.tocoo().coords
    inside = (themes[rows] == themes[columns]) & (themes[rows] >= 0)
    within = csr_array((graph.data[inside], (rows[inside], columns[inside])), shape=graph.shape)
    within.sort_indices()
    finer = communities(within, FINER * resolution, _ITERATIONS)
    needs = np.full(len(themes), -1, dtype=np.int64)
    order = np.argsort(themes, kind="stable")
    starts = np.searchsorted(themes[order], np.arange(int(themes.max(initial=-1)) + 2))
    known = 0
    for first, end in pairwise(starts):
        members = order[first:end]
        parts = _divided(vectors[members], finer[members])
        needs[members] = known + parts
        known += int(parts.max(initial=-1)) + 1
    return needs.astype(np.int32)


def in_order(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same partition, numbered from 0 in the order in which its groups first come up."""
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int32)


def _divided(vectors: NDArray[np.float32], parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """A theme's parts with too small ones joined to the nearest; all 0 where they don't stand apart."""
    whole = np.zeros(len(parts), dtype=np.int32)
    sizes = np.bincount(parts)
    if len(parts) < MIN_DIVIDED or np.count_nonzero(sizes >= MIN_NEED) < 2:
        return whole
    large = np.flatnonzero(sizes >= MIN_NEED)
    sums = group_sums(vectors, parts)[large]
    centres = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    found = np.searchsorted(large, parts).clip(max=len(large) - 1).astype(np.int32)
    small = np.flatnonzero(sizes[parts] < MIN_NEED)
    found[small] = np.argmax(vectors[small] @ centres.T, axis=1)
    return in_order(found) if silhouette(vectors, found) >= DISTINCT else whole
