"""Nearest neighbours of many vectors by cells: each is compared with the vectors of the cells around its own only.

The same vectors in the same order give the same neighbours: seeded cells, whole-number products, no racing threads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.lattice import STEPS, as_similarity
from elmer_pipelines.clusters.neighbours import row_blocks, top

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_PER_CELL = 250
CELLS_LOOKED_AT = 16  # the own one included
_SEED = 20_261_123
_SAMPLE_PER_CELL = 40
_ROUNDS = 6


def nearest_in_cells(steps: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """About what `neighbours.nearest` returns, for lattice vectors (n, d); `neighbours.recall` tells how nearly.

    Spherical k-means over a sample makes cells of about 250 rows; the rows of a cell are compared with those of the 16
    cells whose centres are closest to its own (Jégou et al. 2011, inverted files, with one list of cells per cell).
    """
    centres = _centres(steps, max(1, len(steps) // ROWS_PER_CELL))
    cell, order, starts = _cells(steps, centres)
    around = _cells_around(centres, cell, k)
    indices = np.empty((len(steps), k), dtype=np.int32)
    products = np.empty((len(steps), k), dtype=np.float32)
    for own, nearby in enumerate(around):
        rows = order[starts[own] : starts[own + 1]]
        if len(rows):
            among = np.sort(np.concatenate([order[starts[one] : starts[one + 1]] for one in nearby]))
            _look_around(steps, rows, among, k, indices, products)
    return indices, as_similarity(products)


def _look_around(
    steps: NDArray[np.float32],
    rows: NDArray[np.intp],
    among: NDArray[np.intp],
    k: int,
    indices: NDArray[np.int32],
    products: NDArray[np.float32],
) -> None:
    """Fill in the neighbours that `rows` have among the rows `among`, which are in order and hold them."""
    others = steps[among]
    for start, stop in row_blocks(len(rows), len(among)):
        chosen = rows[start:stop]
        block = steps[chosen] @ others.T
        block[np.arange(len(chosen)), np.searchsorted(among, chosen)] = -np.inf
        found, products[chosen] = top(block, k)
        indices[chosen] = among[found]


def _centres(steps: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Centres of `count` cells on the lattice, by some rounds of spherical k-means over a sample."""
    draw = np.random.default_rng(_SEED)
    sample = steps[np.sort(draw.permutation(len(steps))[: count * _SAMPLE_PER_CELL])]
    centres = sample[np.sort(draw.permutation(len(sample))[:count])]
    for _ in range(_ROUNDS):
        cell = _closest(sample, centres)
        order = np.argsort(cell, kind="stable")
        filled, starts = np.unique(cell[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0, dtype=np.float64)
        lengths = np.maximum(np.sqrt(np.square(sums).sum(axis=1, keepdims=True)), 1.0)
        centres = centres.copy()
        centres[filled] = np.rint(sums / lengths * STEPS)
    return centres


def _closest(steps: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.intp]:
    found = np.empty(len(steps), dtype=np.intp)
    for start, stop in row_blocks(len(steps), len(centres)):
        found[start:stop] = np.argmax(steps[start:stop] @ centres.T, axis=1)
    return found


def _cells(
    steps: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The cell of each row, the rows cell by cell, and where each cell starts among them."""
    cell = _closest(steps, centres)
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(centres)))])
    return cell, np.argsort(cell, kind="stable"), starts


def _cells_around(centres: NDArray[np.float32], cell: NDArray[np.intp], k: int) -> list[NDArray[np.intp]]:
    """For each cell those to look at: the closest ones, and more where they hold too few rows."""
    sizes = np.bincount(cell, minlength=len(centres))
    found = []
    for own in range(len(centres)):
        near = (centres @ centres[own]).astype(np.float64)
        near[own] = math.inf
        ranked = np.argsort(-near, kind="stable")
        enough = int(np.searchsorted(np.cumsum(sizes[ranked]), k + 1)) + 1
        found.append(ranked[: max(CELLS_LOOKED_AT, enough)])
    return found
