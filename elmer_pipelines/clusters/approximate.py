"""Nearest neighbours of many vectors by cells: each is compared with the vectors of the cells around its own only.

The same vectors in the same order give the same neighbours: seeded cells, whole-number products, no racing threads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.neighbours import row_blocks, top
from elmer_pipelines.vectors.cells import Cells, divided
from elmer_pipelines.vectors.lattice import as_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_PER_CELL = 250
CELLS_LOOKED_AT = 16  # the own one included


def nearest_in_cells(steps: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """About what `neighbours.nearest` returns, for lattice vectors (n, d); `neighbours.recall` tells how nearly.

    Spherical k-means over a sample makes cells of about 250 rows; the rows of a cell are compared with those of the 16
    cells whose centres are closest to its own (Jégou et al. 2011, inverted files, with one list of cells per cell).
    """
    cells = divided(steps, max(1, len(steps) // ROWS_PER_CELL))
    indices = np.empty((len(steps), k), dtype=np.int32)
    products = np.empty((len(steps), k), dtype=np.float32)
    for own, nearby in enumerate(_cells_around(cells, k)):
        rows = cells.rows(own)
        if len(rows):
            among = np.sort(np.concatenate([cells.rows(one) for one in nearby]))
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


def _cells_around(cells: Cells, k: int) -> list[NDArray[np.intp]]:
    """For each cell those to look at: the closest ones, and more where they hold too few rows."""
    sizes = np.diff(cells.starts)
    found = []
    for own in range(len(cells.centres)):
        near = (cells.centres @ cells.centres[own]).astype(np.float64)
        near[own] = math.inf
        ranked = np.argsort(-near, kind="stable")
        enough = int(np.searchsorted(np.cumsum(sizes[ranked]), k + 1)) + 1
        found.append(ranked[: max(CELLS_LOOKED_AT, enough)])
    return found
