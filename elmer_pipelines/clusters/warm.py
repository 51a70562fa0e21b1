"""Grouping again from the clusters of last time: what is new is placed first, and who was together holds together.

Which level of detail is kept is `levels.py`; the vote is the one that places new signals between clusterings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.communities import communities_from

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

HOLD = 3.0  # an edge inside a cluster of last time weighs so much more; see docs/decisions/0009-durable-clusters.md
_ITERATIONS = 2  # enough to improve on the start, few enough to stay near it
_ROUNDS = 3


def communities_again(graph: csr_array, resolution: float, previous: NDArray[np.int32]) -> NDArray[np.int32]:
    """The community of each node (n,), begun at `previous` (negative: new) and kept where little speaks against it.

    Edges inside a cluster of last time count fourfold, so that a member leaves, a cluster divides or two join where the
    signals say so clearly; a new signal counts with the cluster that its neighbours vote for.
    """
    start = voted(graph, previous)
    rows, columns = graph.tocoo().coords
    held = graph.copy()
    held.data = graph.data * np.where((start[rows] == start[columns]) & (start[rows] >= 0), 1 + HOLD, 1.0)
    return communities_from(held, resolution, _ITERATIONS, start)


def voted(graph: csr_array, previous: NDArray[np.int32]) -> NDArray[np.int32]:
    """`previous` with each new node in the cluster that most of its edges' weight goes to.

    In rounds, as a new node may hang on other new ones; one that hangs more on those than on any cluster waits for
    them, and stays negative when they go nowhere either: it may be about something new.
    """
    from scipy.sparse import csr_array

    found = previous.copy()
    for _ in range(_ROUNDS):
        fresh = np.flatnonzero(found < 0)
        known = np.flatnonzero(found >= 0)
        if not len(fresh) or not len(known):
            break
        shape = (graph.shape[0], int(found.max()) + 1)
        inside = csr_array((np.ones(len(known)), (known, found[known])), shape=shape)
        weights = csr_array(graph[fresh] @ inside)
        best = np.asarray(weights.argmax(axis=1)).ravel().astype(np.int32)
        most = weights.max(axis=1).toarray().ravel()
        undecided = np.asarray(graph[fresh].sum(axis=1)).ravel() - np.asarray(weights.sum(axis=1)).ravel()
        joining = (most > 0) & (most >= undecided)
        if not joining.any():
            break
        found[fresh[joining]] = best[joining]
    return found
