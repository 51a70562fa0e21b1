"""Cells that divide many vectors by the centre each is closest to. What is looked for in them is decided elsewhere.

The same vectors in the same order give the same cells on any machine: seeded draws, whole-number products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from elmer_pipelines.vectors.lattice import STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 20_261_123
_SAMPLE_PER_CELL = 40
_ROUNDS = 6
_BLOCK_CELLS = 8_000_000  # products held at once: 32 MB


class Cells(NamedTuple):
    """`centres` (c, d) on the lattice; of each row (n,) its cell and its product with that centre, the largest it has.

    `order`: the rows cell by cell, `starts` (c + 1,): where each cell begins there. A cell may have no rows.
    """

    centres: NDArray[np.float32]
    of_row: NDArray[np.intp]
    closeness: NDArray[np.float32]
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    def rows(self, cell: int) -> NDArray[np.intp]:
        """The rows of a cell, in order."""
        return self.order[self.starts[cell] : self.starts[cell + 1]]


def divided(steps: NDArray[np.float32], count: int) -> Cells:
    """Lattice vectors (n, d) in at most `count` cells, by some rounds of spherical k-means over a sample."""
    centres = _centres(steps, count)
    cell, closeness = _closest(steps, centres)
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(centres)))])
    return Cells(centres, cell, closeness, np.argsort(cell, kind="stable"), starts)


def _centres(steps: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    draw = np.random.default_rng(_SEED)
    sample = steps[np.sort(draw.permutation(len(steps))[: count * _SAMPLE_PER_CELL])]
    centres = sample[np.sort(draw.permutation(len(sample))[:count])]
    for _ in range(_ROUNDS):
        cell, _ = _closest(sample, centres)
        order = np.argsort(cell, kind="stable")
        filled, starts = np.unique(cell[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0, dtype=np.float64)
        lengths = np.maximum(np.sqrt(np.square(sums).sum(axis=1, keepdims=True)), 1.0)
        centres = centres.copy()
        centres[filled] = np.rint(sums / lengths * STEPS)
    return centres


def _closest(steps: NDArray[np.float32], centres: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    cell = np.empty(len(steps), dtype=np.intp)
    closeness = np.empty(len(steps), dtype=np.float32)
    step = max(1, _BLOCK_CELLS // max(len(centres), 1))
    for start in range(0, len(steps), step):
        products = steps[start : start + step] @ centres.T
        cell[start : start + step] = np.argmax(products, axis=1)
        closeness[start : start + step] = products.max(axis=1)
    return cell, closeness
