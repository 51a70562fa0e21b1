"""What clusters do to vectors before they look for neighbours: they take out what all have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.vectors.lattice import on_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = 2_048  # few enough for what they need to stay in the cache of a processor


def centred(vectors: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """Unit vectors less `weight` times what they all have in common, of unit length again.

    The middle is summed in whole numbers, exactly. A vector that is all middle keeps its own direction.
    """
    count, dimensions = vectors.shape
    total = np.zeros(dimensions, dtype=np.float64)
    for start in range(0, count, _ROWS):
        total += on_lattice(vectors[start : start + _ROWS]).sum(axis=0, dtype=np.float64)
    middle = weight * total / max(count, 1)
    found = np.empty_like(vectors, dtype=np.float32)
    for start in range(0, count, _ROWS):
        block = np.rint(on_lattice(vectors[start : start + _ROWS]).astype(np.float64) - middle)
        lengths = np.sqrt(np.square(block).sum(axis=1, keepdims=True))
        found[start : start + _ROWS] = np.where(lengths > 0, block / np.where(lengths > 0, lengths, 1.0), 0.0)
    return found
