"""Sub-themes inside one project's evidence, for the artifacts composed locally.

At most a few dozen signals, grouped by their vectors where they have them, else by severity. The workspace's clusters
are made elsewhere (`clusters/`); here only their names are read, and groups named as they are.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.themes import group_names
from elmer_pipelines.store import artifacts as store
from elmer_pipelines.store import embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.artifacts.evidence import Case, Evidence

MAX_GROUPS = 6
_SMALLEST_TO_SPLIT = 5
_MOSTLY = 0.6  # a group takes a cluster's theme for its name when at least this share of it is in that cluster


@dataclass(frozen=True)
class Group:
    """Evidence about one need, the weightiest first."""

    label: str
    evidence: tuple[Evidence, ...]


def vectors_of(
    connection: Connection, workspace_id: str, evidence: Sequence[Evidence], model: str | None
) -> dict[str, NDArray[np.float32]]:
    """The evidence's vectors by text hash, of the model in use; those of another would group by its idea of likeness.

    Where nobody says which model that is, the one that has most of them.
    """
    hashes = [one.text_hash for one in evidence]
    model = model or store.vectors_model(connection, workspace_id, hashes)
    if model is None:
        return {}
    found, matrix = embeddings.load(connection, workspace_id, model, hashes)
    return dict(zip(found, matrix, strict=True))


def group(case: Case, vectors: dict[str, NDArray[np.float32]]) -> list[Group]:
    """Between one and six groups that together hold all evidence, the weightiest first."""
    evidence = case.evidence
    if not evidence:
        return []
    if len(evidence) < _SMALLEST_TO_SPLIT:
        parts = [list(evidence)]
    elif all(one.text_hash in vectors for one in evidence):
        parts = _by_vectors(evidence, vectors)
    else:
        parts = _by_severity(evidence)
    return [Group(label, tuple(part)) for label, part in zip(_labels(parts, case.project.name), parts, strict=True)]


def _by_vectors(evidence: Sequence[Evidence], vectors: dict[str, NDArray[np.float32]]) -> list[list[Evidence]]:
    """Ward's method on unit vectors: groups of even size, and the same ones on every machine."""
    import numpy as np
    from sklearn.cluster import AgglomerativeClustering

    matrix = np.vstack([vectors[one.text_hash] for one in evidence])
    number = min(MAX_GROUPS, max(2, round(math.sqrt(len(evidence) / 2))))
    labels = AgglomerativeClustering(n_clusters=number, linkage="ward").fit_predict(matrix)
    parts: dict[int, list[Evidence]] = {}
    for one, label in zip(evidence, labels, strict=True):  # in order of weight, so the first group holds the weightiest
        parts.setdefault(int(label), []).append(one)
    return list(parts.values())


def _by_severity(evidence: Sequence[Evidence]) -> list[list[Evidence]]:
    parts: dict[str | None, list[Evidence]] = {}
    for one in evidence:
        parts.setdefault(one.severity, []).append(one)
    return list(parts.values())


def _labels(parts: list[list[Evidence]], project: str) -> list[str]:
    """A name for each group, no two alike: its cluster's theme, else what its signals say, as themes are named."""
    themes = [_theme(part) for part in parts]
    names = group_names(
        [[(one.verbatim, one.address) for one in part] for part in parts],
        people={one.speaker for part in parts for one in part if one.speaker},
    )
    found: list[str] = []
    for number, (part, theme, name) in enumerate(zip(parts, themes, names, strict=True), start=1):
        own = theme if theme and themes.count(theme) == 1 and theme != project else name
        label = own if own and own != project else f"Need {number}"
        found.append(label if label not in found else f"{label} ({len(part)})")
    return found


def _theme(part: list[Evidence]) -> str | None:
    themes = Counter(one.theme for one in part if one.theme)
    if not themes:
        return None
    theme, number = themes.most_common(1)[0]
    return theme if number >= _MOSTLY * len(part) else None
