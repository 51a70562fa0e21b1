"""The nearest neighbours of each vector, exactly, in bounded memory. What is done with them is `grouping.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_CELLS = 8_000_000  # similarities held at once: 32 MB, and 64 MB of their indices
_DECIMALS = 5  # BLAS differs in the last bits with a row's place in a block; ties must not
_MARGIN = 8


def nearest(vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k most similar other rows of each row, by cosine: (indices int32, similarities float32).

    `vectors` (n, d) are unit vectors. Both results have the shape (n, min(k, n - 1)), the most similar first; equal
    similarities (to five decimals) come in the order of the rows. Raises ValueError when k is less than 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour.")
    count = len(vectors)
    k = max(0, min(k, count - 1))
    indices = np.empty((count, k), dtype=np.int32)
    similarities = np.empty((count, k), dtype=np.float32)
    if k == 0:
        return indices, similarities
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    for start, stop in row_blocks(count):
        block = vectors[start:stop] @ vectors.T
        block[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        indices[start:stop], similarities[start:stop] = _top(block, k)
    return indices, similarities


def row_blocks(count: int) -> list[tuple[int, int]]:
    """Ranges of rows whose similarities to all `count` rows fit into one block."""
    step = max(1, BLOCK_CELLS // max(count, 1))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def _top(block: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    width = min(k + _MARGIN, block.shape[1])
    candidates = np.argpartition(-block, width - 1, axis=1)[:, :width]
    values = np.round(np.take_along_axis(block, candidates, axis=1), _DECIMALS)
    order = np.lexsort((candidates, -values), axis=1)
    candidates = np.take_along_axis(candidates, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    for row in np.flatnonzero(values[:, k - 1] <= values[:, -1]):
        candidates[row, :k] = _tied_top(block[row], k, values[row, k - 1])
    return candidates[:, :k].astype(np.int32), np.clip(values[:, :k], -1.0, 1.0)


def _tied_top(row: NDArray[np.float32], k: int, bound: np.float32) -> NDArray[np.intp]:
    """More rows share the last similarity than were looked at (identical texts): the first of them count."""
    rounded = np.round(row, _DECIMALS)
    found = np.flatnonzero(rounded >= bound)
    return found[np.lexsort((found, -rounded[found]))][:k]
