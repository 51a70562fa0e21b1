"""Signals that say the same: equal words, or vectors closer than the model's duplicate bound.

Pure; which of them is shown, merged or archived is decided elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.vectors.lattice import on_lattice
from elmer_pipelines.vectors.pairs import pairs_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAX_EDGES = 1_000_000
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
    cosine, in half precision's accuracy, is above `threshold` (the model's `scale.duplicate`); groups are what is
    connected by that. All of them are found, the same on any machine. `vectors` (n, d) are unit vectors; memory stays
    below two copies of them and 250 MB. Raises ValueError on unequal lengths.
    """
    if not len(signal_ids) == len(texts) == len(vectors):
        raise ValueError(f"{len(signal_ids)} ids, {len(texts)} texts and {len(vectors)} vectors: give one per signal.")
    first, of_row = _distinct_texts(texts)
    best, component = _connected(on_lattice(vectors[first]), threshold)
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


def _connected(steps: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The highest similarity of each row to another above the threshold, and the number of its connected component."""
    best = np.full(len(steps), -1.0, dtype=np.float32)
    component = np.arange(len(steps), dtype=np.intp)
    left: list[NDArray[np.intp]] = []
    right: list[NDArray[np.intp]] = []
    waiting = 0
    for rows, columns, values in pairs_above(steps, threshold):
        np.maximum.at(best, rows, values)
        np.maximum.at(best, columns, values)
        apart = component[rows] != component[columns]
        left.append(rows[apart])
        right.append(columns[apart])
        waiting += len(left[-1])
        if waiting > _MAX_EDGES:
            component = _components(component, left, right)
            left, right, waiting = [], [], 0
    return best, _components(component, left, right)


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
