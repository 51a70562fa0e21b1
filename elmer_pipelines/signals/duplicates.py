"""Signals that say the same: equal words, or vectors closer than the model's duplicate bound.

Pure; which of them is shown, merged or archived is decided elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_BLOCK_CELLS = 8_000_000  # similarities held at once: 32 MB
_MAX_EDGES = 1_000_000
_DIRECTIONS = 48  # of the shortened vectors that rule out pairs
_WORTH_A_BOUND = 4_000  # vectors; fewer are compared in full at once
_MAX_CANDIDATES = 40_000  # pairs of a block that are looked at one by one
_ROUNDING = 1e-4
_NOT_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Duplicate:
    """A signal of a group of duplicates.

    `group_id` is the group's first signal, in the order given; `similarity` the cosine to the closest other member,
    1.0 for equal words.
    """

    signal_id: str
    group_id: str
    similarity: float


def duplicates_among(
    signal_ids: Sequence[str], texts: Sequence[str], vectors: NDArray[np.float32], *, threshold: float
) -> list[Duplicate]:
    """All signals that have a duplicate, in the order given; give them oldest first.

    Two signals are duplicates when their words are equal but for case, punctuation, spacing and Unicode form, or their
    cosine is above `threshold` (the model's `scale.duplicate`); groups are what is connected by that. `vectors` (n, d)
    are unit vectors. Memory stays below about 150 MB over the vectors. Raises ValueError on unequal lengths.
    """
    if not len(signal_ids) == len(texts) == len(vectors):
        raise ValueError(f"{len(signal_ids)} ids, {len(texts)} texts and {len(vectors)} vectors: give one per signal.")
    first, of_row = _distinct_texts(texts)
    best, component = _connected(np.ascontiguousarray(vectors[first], dtype=np.float32), threshold)
    best[np.bincount(of_row, minlength=len(first)) > 1] = 1.0
    groups = component[of_row]
    leader = {int(label): row for row, label in reversed(list(enumerate(groups)))}
    sizes = np.bincount(groups, minlength=1)
    return [
        Duplicate(signal_ids[row], signal_ids[leader[int(label)]], float(best[of_row[row]]))
        for row, label in enumerate(groups)
        if sizes[label] > 1
    ]


def same_words(text: str) -> str:
    """The text without case, punctuation, spacing and Unicode form; the stripped text where nothing is left."""
    return _NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip() or text.strip()


def _distinct_texts(texts: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row of each distinct text, and for each row the number of its text."""
    numbers: dict[str, int] = {}
    first: list[int] = []
    of_row = np.empty(len(texts), dtype=np.intp)
    for row, text in enumerate(texts):
        words = same_words(text)
        if words not in numbers:
            numbers[words] = len(first)
            first.append(row)
        of_row[row] = numbers[words]
    return np.array(first, dtype=np.intp), of_row


def _connected(vectors: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The highest similarity of each row to another, and the number of its connected component."""
    count = len(vectors)
    best = np.full(count, -1.0, dtype=np.float32)
    component = np.arange(count, dtype=np.intp)
    left: list[NDArray[np.intp]] = []
    right: list[NDArray[np.intp]] = []
    for rows, columns, values in _pairs(vectors, threshold):
        np.maximum.at(best, rows, values)
        np.maximum.at(best, columns, values)
        left.append(rows)
        right.append(columns)
        if sum(map(len, left)) > _MAX_EDGES:
            component = _components(component, left, right)
            left, right = [], []
    return np.minimum(best, 1.0), _components(component, left, right)


def _pairs(
    vectors: NDArray[np.float32], threshold: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]]:
    """Pairs above the threshold, each once, a block of rows against all later rows at a time."""
    count = len(vectors)
    step = max(1, _BLOCK_CELLS // max(count, 1))
    bounds = _upper_bounds(vectors) if count >= _WORTH_A_BOUND else None
    for start in range(0, count, step):
        found = None if bounds is None else _ruled_out(vectors, bounds, start, step, threshold)
        if found is None:
            bounds = None  # it rules out too little here to be worth its price
            block = vectors[start : start + step] @ vectors[start:].T
            rows, columns = np.nonzero(block > threshold)
            found = rows, columns, block[rows, columns]
        rows, columns, values = found
        later = columns > rows
        rows, columns = rows[later], columns[later]
        yield rows + start, columns + start, values[later]


def _ruled_out(
    vectors: NDArray[np.float32], bounds: NDArray[np.float32], start: int, step: int, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]] | None:
    """Row, column and cosine of the block's pairs above the threshold, after the bounds; None: too many left."""
    possible = bounds[start : start + step] @ bounds[start:].T
    rows, columns = np.nonzero(possible > threshold - _ROUNDING)
    if len(rows) > _MAX_CANDIDATES:
        return None
    values = np.einsum("ij,ij->i", vectors[start + rows], vectors[start + columns])
    above = values > threshold
    return rows[above], columns[above], values[above]


def _upper_bounds(vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Short vectors whose products are never below the cosines of the long ones, or None where they'd save little.

    A vector's coordinates along the main directions, and the length of all the rest: by the Cauchy-Schwarz inequality
    what the rest adds to a cosine is at most the product of these lengths.
    """
    if vectors.shape[1] < 2 * _DIRECTIONS:
        return None
    sample = vectors[:: max(1, len(vectors) // 20_000)].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    main = vectors @ directions[:, -_DIRECTIONS:].astype(np.float32)
    rest = np.sqrt(np.maximum(0.0, np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", main, main)))
    return np.ascontiguousarray(np.column_stack([main, rest]), dtype=np.float32)


def _components(
    component: NDArray[np.intp], left: list[NDArray[np.intp]], right: list[NDArray[np.intp]]
) -> NDArray[np.intp]:
    """The components after joining what the edges (pairs of rows) connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not left or not len(component):
        return component
    rows, columns = component[np.concatenate(left)], component[np.concatenate(right)]
    count = int(component.max()) + 1
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.intp)[component]
