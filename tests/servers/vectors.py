"""What the loopback server embeds texts as: vectors made of their content. No HTTP here."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Any

import numpy as np


def embedding(text: str, dimensions: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A unit vector made of the text's words and their trigrams, hashed: alike texts get alike vectors."""
    vector = np.zeros(dimensions, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        for position, weight in _features(word, dimensions):
            vector[position] += weight
    length = float(np.linalg.norm(vector))
    if length == 0.0:  # opposite features met: still a direction, still from the content
        vector[zlib.crc32(text.encode()) % dimensions] = length = 1.0
    return (vector / np.float32(length)).astype("<f4")


@lru_cache(maxsize=50_000)
def _features(word: str, dimensions: int) -> tuple[tuple[int, float], ...]:
    padded = f"^{word}$"
    grams = [word, *(padded[i : i + 3] for i in range(len(padded) - 2))]
    weight = 0.2 if len(word) <= 3 else 1.0
    marks = [zlib.crc32(gram.encode()) for gram in grams]
    return tuple((mark // 2 % dimensions, weight if mark % 2 else -weight) for mark in marks)
