"""Groups of duplicates among 100,000 signals: how fast, in what memory, and is any missed, beside all with all.

Vectors of real texts by the embedded model, from the same folder as `stability.py`, each joined by near copies up to
the number wanted; some are planted as duplicates of others and must be found. Comparing all with all is in blocks.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.result import Result
from benchmarks.stability import texts_by_set
from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.signals.duplicates import duplicates_among

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 20_261_123
_SIGNALS = 100_000
_PLANTED = 2_000
_SPREAD = 0.45  # of a copy around the text it was made of: about as far as texts about one subject are from each other
_BLOCK_ROWS = 500


class Signals(NamedTuple):
    """Unit vectors (n, d); `planted` (p, 2): rows of which the second was made to be a duplicate of the first."""

    vectors: NDArray[np.float32]
    planted: NDArray[np.intp]


def run() -> list[Result]:
    """Seconds and memory of the product's way, seconds of all with all, and the shares found of both kinds of pairs."""
    embedder = LocalEmbeddings()
    signals = _signals(embedder)
    count, dimensions = signals.vectors.shape
    on = f"{count:,} signals × {dimensions}, above {embedder.scale.duplicate}"
    began = time.perf_counter()
    group_of = _groups(signals.vectors, embedder.scale.duplicate)
    took = time.perf_counter() - began
    memory = _megabytes()
    began = time.perf_counter()
    pairs = _all_with_all(signals.vectors, embedder.scale.duplicate)
    plainly = time.perf_counter() - began
    return [
        Result("duplicate groups", on, took, "s"),
        Result("memory at most, all that is loaded included", on, memory, "MB"),
        Result("all pairs by all with all", on, plainly, "s"),
        Result("pairs there are", on, len(pairs), "pairs"),
        Result("recall of pairs against all with all", on, _together(group_of, pairs), "share"),
        Result(f"recall of {_PLANTED:,} planted pairs", on, _together(group_of, signals.planted), "share"),
    ]


def _signals(embedder: LocalEmbeddings) -> Signals:
    chance = np.random.default_rng(_SEED)
    real = embedder.embed(list(dict.fromkeys(text for texts in texts_by_set().values() for text in texts)))
    of = np.concatenate([np.arange(len(real)), chance.integers(len(real), size=_SIGNALS)])[: _SIGNALS - _PLANTED]
    spread = np.where(np.arange(len(of)) < len(real), 0.0, _SPREAD).astype(np.float32)
    vectors = _around(real[of], spread, chance)
    chosen = chance.choice(len(vectors), _PLANTED, replace=False)
    copies = _around(vectors[chosen], chance.uniform(0.02, 0.2, _PLANTED).astype(np.float32), chance)
    place = chance.permutation(_SIGNALS)
    shuffled = np.empty((_SIGNALS, vectors.shape[1]), dtype=np.float32)
    shuffled[place] = np.concatenate([vectors, copies])
    return Signals(shuffled, np.column_stack([place[chosen], place[len(vectors) :]]))


def _around(
    vectors: NDArray[np.float32], spread: NDArray[np.float32], chance: np.random.Generator
) -> NDArray[np.float32]:
    """Unit vectors beside these, at `spread` (n,) times their length."""
    step = chance.standard_normal(vectors.shape, dtype=np.float32)
    step *= (spread / np.linalg.norm(step, axis=1))[:, np.newaxis]
    step += vectors
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    return step


def _groups(vectors: NDArray[np.float32], threshold: float) -> dict[int, str]:
    """The group of each row that has a duplicate; words are all different."""
    names = [str(row) for row in range(len(vectors))]
    found = duplicates_among(names, [f"text {name}" for name in names], vectors, threshold=threshold)
    return {int(one.signal_id): one.group_id for one in found}


def _all_with_all(vectors: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """Every pair (p, 2) with a cosine above the threshold."""
    found = []
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows, columns = np.nonzero(vectors[start : start + _BLOCK_ROWS] @ vectors[start:].T > threshold)
        found.append(np.column_stack([rows, columns])[columns > rows] + start)
    return np.concatenate(found)


def _together(group_of: dict[int, str], pairs: NDArray[np.intp]) -> float:
    hits = sum(a in group_of and group_of[a] == group_of.get(b) for a, b in pairs.tolist())
    return hits / max(len(pairs), 1)


def _megabytes() -> float:
    """The most memory this process has had; counted in bytes on macOS, in kilobytes elsewhere."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
