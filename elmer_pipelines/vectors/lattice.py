"""Vectors as whole numbers, so that their products come out the same to the last bit on any machine.

Which products are wanted is the matter of who asks for neighbours or pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 4_000  # a unit vector's length in whole steps: products stay under 2**24, up to which float32 counts exactly


def on_lattice(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (n, d) in whole steps of 1/4,000, still as float32; d up to 36,000.

    Every partial sum of a product of two is a whole number float32 holds exactly, so neither blocks, threads nor the
    BLAS in use change a similarity, and ties are true ties. Its error, about 0.0001, is that of half precision.
    """
    steps = np.multiply(vectors, np.float32(STEPS), dtype=np.float32)
    return np.rint(steps, out=steps)


def as_similarity(products: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of lattice vectors as cosines, from -1 to 1."""
    found: NDArray[np.float32] = np.clip(products / np.float32(STEPS * STEPS), -1.0, 1.0)
    return found
