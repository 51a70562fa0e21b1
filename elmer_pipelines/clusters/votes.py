"""What many partitions of the same signals agree on, as a graph: one partition has its accidents, most of many do not.

Which partition of that graph is taken is `levels.py`; the neighbours come from `neighbours.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.communities import communities

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

FROM, UP_TO = 400, 5_000  # signals: among fewer or more one partition of one graph is as good, and sooner there
WIDTHS = (10, 20)  # neighbours looked at
RESOLUTIONS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_ITERATIONS = 2
_HALVINGS = 40


def helps(count: int) -> bool:
    """Whether partitions of so many signals are put to the vote."""
    return FROM <= count <= UP_TO


def agreement(indices: NDArray[np.int32], similarities: NDArray[np.float32], near: NDArray[np.bool_]) -> csr_array:
    """A symmetric graph (n, n) whose edges weigh the squared share of partitions that keep their ends together.

    `indices` and `similarities` (n, k) are each signal's neighbours, nearest first; only those that are `near` (n, k)
    are joined. The partitions are communities at six resolutions in two graphs, of 10 and of 20 neighbours each
    (evidence accumulation: Fred and Jain 2005, over neighbours only; squared, so that doubtful pairs hold less).
    """
    from scipy.sparse import csr_array

    graphs = [smooth_graph(indices[:, :width], similarities[:, :width], near[:, :width]) for width in WIDTHS]
    rows, columns = graphs[-1].tocoo().coords
    together = np.zeros(len(rows), dtype=np.int64)
    for graph in graphs:
        for resolution in RESOLUTIONS:
            labels = communities(graph, resolution, _ITERATIONS)
            together += labels[rows] == labels[columns]
    agreed = together > 0
    shares = together[agreed] / (len(graphs) * len(RESOLUTIONS))
    found = csr_array((np.square(shares), (rows[agreed], columns[agreed])), shape=graphs[-1].shape)
    found.sort_indices()
    return found


def smooth_graph(indices: NDArray[np.int32], similarities: NDArray[np.float32], near: NDArray[np.bool_]) -> csr_array:
    """The fuzzy neighbour graph of UMAP (McInnes, Healy and Melville 2018, section 3.1), by cosine distance.

    A signal's nearest neighbour weighs 1, the others the less the farther they are in the signal's own measure, in
    which the weights sum to log2(k): dense and sparse places count alike.
    """
    from scipy.sparse import csr_array

    count, width = indices.shape
    beyond = np.maximum(similarities[:, :1].astype(np.float64) - similarities, 0.0)
    weights = np.round(np.exp(-beyond / _own_measure(beyond)), 4)  # a last bit that differs between machines is nothing
    rows = np.repeat(np.arange(count, dtype=np.int32), width)
    kept = near.ravel() & (weights.ravel() > 0)
    one_way = csr_array((weights.ravel()[kept], (rows[kept], indices.ravel()[kept])), shape=(count, count))
    other_way = csr_array(one_way.T)
    found = csr_array(one_way + other_way - one_way.multiply(other_way))
    found.sort_indices()
    return found


def _own_measure(beyond: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each row the distance by which the weights exp(-beyond / distance) sum to log2 of their number; (n, 1)."""
    wanted = math.log2(max(beyond.shape[1], 2))
    low, high = np.full((len(beyond), 1), 1e-6), np.full((len(beyond), 1), 10.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = np.exp(-beyond / middle).sum(axis=1, keepdims=True) > wanted
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    found: NDArray[np.float64] = (low + high) / 2
    return found
