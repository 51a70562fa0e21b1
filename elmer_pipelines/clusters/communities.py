"""Leiden communities of a weighted graph, from scratch or from an earlier partition.

Which resolution to take is `levels.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

_SEED = 20_261_123


def communities(graph: csr_array, resolution: float, iterations: int) -> NDArray[np.int32]:
    """The community of each node (n,) by modularity, numbered from 0; a node without an edge is a community of its own.

    Traag, Waltman and van Eck 2019, by `graspologic-native`; the same graph gives the same communities.
    """
    import graspologic_native

    if not graph.nnz:
        return np.arange(graph.shape[0], dtype=np.int32)
    _, found = graspologic_native.leiden_csr(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float64),
        graph.shape[0],
        resolution=resolution,
        iterations=iterations,
        seed=_SEED,
    )
    return _as_labels(graph.shape[0], list(found.keys()), list(found.values()))


def communities_from(
    graph: csr_array, resolution: float, iterations: int, start: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The same, begun at the partition `start` (n,), whose negative entries begin as communities of their own."""
    import graspologic_native

    if not graph.nnz:
        return np.arange(graph.shape[0], dtype=np.int32)
    alone = start < 0
    begun = start.astype(np.int64)
    begun[alone] = start.max(initial=0) + 1 + np.arange(np.count_nonzero(alone))
    rows, columns = graph.tocoo().coords
    upper = rows < columns
    ends = (map(str, end[upper].tolist()) for end in (rows, columns))
    edges = zip(*ends, graph.data[upper].tolist(), strict=True)
    connected = np.flatnonzero(np.diff(graph.indptr))
    numbers = np.unique(begun[connected], return_inverse=True)[1]
    _, found = graspologic_native.leiden(
        list(edges),
        starting_communities={str(node): int(own) for node, own in zip(connected, numbers, strict=True)},
        resolution=resolution,
        iterations=iterations,
        seed=_SEED,
    )
    return _as_labels(graph.shape[0], [int(node) for node in found], list(found.values()))


def modularity(graph: csr_array, labels: NDArray[np.int32]) -> float:
    """Newman's modularity of a partition, at resolution 1."""
    total = float(graph.data.sum())
    if not total:
        return 0.0
    rows, columns = graph.tocoo().coords
    inside = float(graph.data[labels[rows] == labels[columns]].sum())
    strength = np.bincount(labels, weights=np.asarray(graph.sum(axis=1)).ravel())
    return inside / total - float(np.square(strength / total).sum())


def _as_labels(count: int, nodes: list[int], found: list[int]) -> NDArray[np.int32]:
    labels = np.full(count, -1, dtype=np.int64)
    labels[nodes] = found
    missing = np.flatnonzero(labels < 0)
    labels[missing] = labels.max(initial=-1) + 1 + np.arange(len(missing))
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
