"""Vectors as whole numbers, so that their products come out the same to the last bit on any machine.

Which products are wanted is `neighbours.py`'s and `approximate.py`'s matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 4_000  # a unit vector's length in whole steps: products stay under 2**24, up to which float32 counts exactly
_ROWS = 65_536


def on_lattice(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (n, d) in whole steps of 1/4,000, still as float32; d up to 36,000.

    Every partial sum of a product of two is a whole number float32 holds exactly, so neither blocks, threads nor the
    BLAS in use change a similarity, and ties are true ties. Its error, about 0.0001, is that of half precision.
    """
    steps: NDArray[np.float32] = np.rint(np.asarray(vectors, dtype=np.float32) * np.float32(STEPS))
    return steps


def as_similarity(products: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of lattice vectors as cosines, from -1 to 1."""
    found: NDArray[np.float32] = np.clip(products / np.float32(STEPS * STEPS), -1.0, 1.0)
    return found


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
