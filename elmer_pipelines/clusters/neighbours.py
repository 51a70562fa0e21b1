"""The nearest neighbours of each vector: exactly up to a size, above it nearly so, always in bounded memory.

The search above that size is `approximate.py`; what is done with neighbours is `grouping.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.lattice import as_similarity, on_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_UP_TO = 30_000  # rows; two cores take about 8 s for these, and four times as long for twice as many
BLOCK_CELLS = 8_000_000  # similarities held at once: 32 MB, and 64 MB of their indices
_MARGIN = 8
_LOT = 16  # columns
_SEED = 20_261_123


def nearest(
    vectors: NDArray[np.float32], k: int, *, exact_up_to: int = EXACT_UP_TO
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k most similar other rows of each row, by cosine: (indices int32, similarities float32).

    `vectors` (n, d) are unit vectors. Both results have the shape (n, min(k, n - 1)), the most similar first; equal
    similarities come in the order of the rows. Up to `exact_up_to` rows the result is that of comparing all with all.
    Raises ValueError when k is less than 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour.")
    steps = on_lattice(vectors)
    if len(steps) <= exact_up_to:
        return _exact(steps, np.arange(len(steps)), k)
    from elmer_pipelines.clusters.approximate import nearest_in_cells

    return nearest_in_cells(steps, k)


def recall(vectors: NDArray[np.float32], found: NDArray[np.int32], *, sample: int = 500) -> float:
    """The share of the true neighbours of `sample` rows that were found; 1 when nothing could be missed."""
    if not found.size:
        return 1.0
    steps = on_lattice(vectors)
    rows = np.sort(np.random.default_rng(_SEED).permutation(len(steps))[:sample])
    true, _ = _exact(steps, rows, found.shape[1])
    hits = [len(np.intersect1d(ours, theirs)) for ours, theirs in zip(found[rows], true, strict=True)]
    return float(np.sum(hits) / true.size)


def row_blocks(count: int, against: int | None = None) -> list[tuple[int, int]]:
    """Ranges of `count` rows whose similarities to `against` rows (default: as many) fit into one block."""
    step = max(1, BLOCK_CELLS // max(count if against is None else against, 1))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def _exact(steps: NDArray[np.float32], rows: NDArray[np.intp], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The true neighbours of the chosen rows among all."""
    k = max(0, min(k, len(steps) - 1))
    indices = np.empty((len(rows), k), dtype=np.int32)
    products = np.empty((len(rows), k), dtype=np.float32)
    for start, stop in row_blocks(len(rows), len(steps)) if k else []:
        block = steps[rows[start:stop]] @ steps.T
        block[np.arange(stop - start), rows[start:stop]] = -np.inf
        indices[start:stop], products[start:stop] = top(block, k)
    return indices, as_similarity(products) if k else products


def top(block: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and values of the k largest in each row, largest first, ties in the order of the columns."""
    width = min(k + _MARGIN, block.shape[1])
    candidates = _largest(block, width)
    values = np.take_along_axis(block, candidates, axis=1)
    order = np.lexsort((candidates, -values), axis=1)
    candidates = np.take_along_axis(candidates, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    for row in np.flatnonzero(values[:, k - 1] <= values[:, -1]):
        candidates[row, :k] = _tied_top(block[row], k, values[row, k - 1])
    return candidates[:, :k].astype(np.int32), values[:, :k]


def _largest(block: NDArray[np.float32], width: int) -> NDArray[np.intp]:
    """Columns of the `width` largest in each row, in no order; which of those that tie for the last is open.

    Many columns are first taken together by 16: the largest are in the `width` lots with the largest maxima, or tie
    with what is there. Few columns are then left to choose from.
    """
    lots = block.shape[1] // _LOT
    if lots < 4 * width:
        return np.argpartition(block, block.shape[1] - width, axis=1)[:, -width:]
    maxima = block[:, : lots * _LOT].reshape(len(block), _LOT, lots).max(axis=1)
    best = np.argpartition(maxima, lots - width, axis=1)[:, -width:]
    columns = (best[:, None, :] + lots * np.arange(_LOT)[None, :, None]).reshape(len(block), -1)
    rest = np.broadcast_to(np.arange(lots * _LOT, block.shape[1]), (len(block), block.shape[1] - lots * _LOT))
    columns = np.concatenate([columns, rest], axis=1)
    values = np.take_along_axis(block, columns, axis=1)
    chosen = np.argpartition(values, columns.shape[1] - width, axis=1)[:, -width:]
    return np.take_along_axis(columns, chosen, axis=1)


def _tied_top(row: NDArray[np.float32], k: int, bound: np.float32) -> NDArray[np.intp]:
    """More rows share the last similarity than were looked at (identical texts): the first of them count."""
    found = np.flatnonzero(row >= bound)
    return found[np.lexsort((found, -row[found]))][:k]
