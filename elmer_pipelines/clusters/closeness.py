"""How near words are to what a cluster is about, and how much nearer than to what its siblings are about.

By vectors of the model that runs here, whatever model clusters were made by: thousands of phrases are compared, and
that must cost nothing. Which phrases are, and which becomes a name, is `naming.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.vectors.unit import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

Closeness = Callable[[Sequence[str]], "NDArray[np.float64]"]
_APART = 0.6  # of what phrases have in common with the sibling they are nearest to counts against them


def closeness(clusters: Sequence[Sequence[str]]) -> list[Closeness]:
    """For each cluster, given by texts, a function from phrases to how well each says what sets it apart, (n,).

    The cosine of a phrase to the mean of the cluster's texts less 0.6 of the highest to a sibling's, all less what the
    siblings share (KeyBERT, Grootendorst 2020, made contrastive); from -1.6 to 1.6, rounded to four places. An empty
    cluster is near to nothing.
    """
    if not clusters:
        return []
    model = LocalEmbeddings()
    vectors = model.embed([text for texts in clusters for text in texts]).astype(np.float64)
    ends = np.cumsum([0, *map(len, clusters)])
    centres = unit_rows(np.array([vectors[start:end].sum(axis=0) for start, end in pairwise(ends)]))
    shared = centres.mean(axis=0) if len(centres) > 1 else np.zeros(vectors.shape[1])
    own = unit_rows(centres - shared)

    def of(row: int) -> Closeness:
        def near(phrases: Sequence[str]) -> NDArray[np.float64]:
            found = unit_rows(model.embed(list(phrases)) - shared) @ own.T
            nearest_sibling = np.delete(found, row, axis=1).max(axis=1, initial=0.0)
            rounded: NDArray[np.float64] = np.round(found[:, row] - _APART * nearest_sibling, 4)
            return rounded

        return near

    return [of(row) for row in range(len(clusters))]
