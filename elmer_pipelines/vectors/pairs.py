"""All pairs of vectors above a similarity, without comparing all with all, and none missed.

What a pair means is decided elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.vectors.cells import Cells, divided
from elmer_pipelines.vectors.lattice import STEPS, as_similarity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Rows = NDArray[np.intp]
    Pairs = tuple[Rows, Rows, NDArray[np.float32]]

_WORTH_CELLS = 4_000  # vectors; fewer are compared in full at once
_CELLS_PER_ROOT = 1.25  # cells grow with the root of the vectors: then finding the cell of each stays below the rest
_CELLS_AT_ONCE = 16  # whose products with all vectors are held: 6 MB for 100,000
_WORTH_PLANES = 0.8  # of the comparisons, at most, may be left; for more the look-up costs what it saves
_BLOCK_ROWS = 2_000
_BLOCK_CELLS = 4_000_000  # similarities held at once: 16 MB, and 64 MB of their indices where all are above
_ROUNDING = 1.0  # steps of the lattice; what float32 can be wrong by is a thousandth of one


def pairs_above(steps: NDArray[np.float32], threshold: float) -> Iterator[Pairs]:
    """Each pair of lattice vectors (n, d) of unit length with a cosine above the threshold, once, some at a time.

    Rows, columns and cosines, in no order. Vectors are compared within their cell and with those of another cell only
    where the plane between the two leaves them near enough: whoever is on the other side of a plane is at least as far
    away as the plane is (Hjaltason and Samet 2003, generalised hyperplanes). So none is missed, whatever the cells.
    """
    least = np.float32(math.floor(threshold * STEPS * STEPS))  # products are whole numbers
    if len(steps) < _WORTH_CELLS:
        yield from _compared(steps, np.arange(len(steps)), np.arange(0), least)
        return
    cells = divided(steps, int(_CELLS_PER_ROOT * math.sqrt(len(steps))))
    longest = float(np.einsum("ij,ij->i", steps, steps).max())
    reach = math.sqrt(max(0.0, 2.0 * (longest - float(least)))) + _ROUNDING
    for rows, others in _in_reach(steps, cells, reach):
        yield from _compared(steps, rows, others, least)


def _in_reach(steps: NDArray[np.float32], cells: Cells, reach: float) -> Iterator[tuple[Rows, Rows]]:
    """The rows of each cell, and the rows of later cells that may be within `reach` of one of them.

    Where the planes keep most rows in reach, as in vectors without any heaps, all the rows left come at once.
    """
    possible = kept = 0
    for first in range(0, len(cells.centres), _CELLS_AT_ONCE):
        if kept > _WORTH_PLANES * possible:
            yield np.sort(cells.order[cells.starts[first] :]), np.arange(0)
            return
        towards = steps @ cells.centres[first : first + _CELLS_AT_ONCE].T
        for number in range(towards.shape[1]):
            rows = cells.rows(first + number)
            if len(rows):
                others = _others_in_reach(steps, cells, first + number, towards[:, number], reach)
                possible += len(rows) * (len(steps) - int(cells.starts[first + number + 1]))
                kept += len(rows) * len(others)
                yield rows, others


def _others_in_reach(
    steps: NDArray[np.float32], cells: Cells, cell: int, towards: NDArray[np.float32], reach: float
) -> Rows:
    """The rows of later cells that the planes leave in reach of the cell; `towards`: products with its centre (n,)."""
    apart = np.linalg.norm(cells.centres - cells.centres[cell], axis=1)
    apart[apart == 0.0] = math.inf  # no plane between a cell and itself
    ours = _nearest_to_planes(steps, cells.rows(cell), cells) / apart
    theirs = (cells.closeness - towards) / apart[cells.of_row]
    return np.flatnonzero((cells.of_row > cell) & (theirs + ours[cells.of_row] <= reach))


def _nearest_to_planes(steps: NDArray[np.float32], rows: Rows, cells: Cells) -> NDArray[np.float32]:
    """For each other centre, how much closer to their own the rows are at the least."""
    found = np.full(len(cells.centres), np.inf, dtype=np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        chosen = rows[start : start + _BLOCK_ROWS]
        ahead = cells.closeness[chosen, np.newaxis] - steps[chosen] @ cells.centres.T
        np.minimum(found, ahead.min(axis=0), out=found)
    return found


def _compared(steps: NDArray[np.float32], rows: Rows, others: Rows, least: np.float32) -> Iterator[Pairs]:
    """The pairs above among `rows`, and of `rows` with `others`."""
    columns = np.concatenate([rows, others])
    for start in range(0, len(rows), _BLOCK_ROWS):
        left = steps[rows[start : start + _BLOCK_ROWS]]
        width = max(1, _BLOCK_CELLS // max(left.shape))
        for first in range(start, len(columns), width):
            block = left @ steps[columns[first : first + width]].T
            above, beside = np.nonzero(block > least)
            later = beside + first > above + start
            above, beside = above[later], beside[later]
            yield rows[above + start], columns[beside + first], as_similarity(block[above, beside])
