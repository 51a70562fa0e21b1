"""Areas, themes and needs of one clustering, as numbers by row, and what each of them amounts to.

Pure. A theme that is one need has no need of its own, an area with one theme is none: no cluster has a twin.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters.grouping import UNCLUSTERED, Grouping, centroids, place
from elmer_pipelines.clusters.summary import Member as Voice
from elmer_pipelines.clusters.summary import summarise
from elmer_pipelines.store.clusters import ClusterRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from elmer_pipelines.models.protocols import SimilarityScale
    from elmer_pipelines.store.clusters import Level

    Labels = NDArray[np.int32]

LEVELS: tuple[Level, ...] = ("theme", "need", "area")


@dataclass(frozen=True)
class Levels:
    """The theme of each row and its leaf inside that theme (UNCLUSTERED: none), and the area of each theme."""

    themes: Labels
    leaves: Labels
    area_of: Mapping[int, int]

    @classmethod
    def of(cls, grouping: Grouping) -> Levels:
        """The levels of a grouping."""
        return cls(grouping.labels, grouping.needs, dict(enumerate(grouping.areas.tolist())))

    def labels(self, level: Level) -> Labels:
        """The group of each row at a level, UNCLUSTERED where it has none of its own there."""
        if level == "theme":
            return self.themes
        if level == "need":
            pairs = {(theme, leaf) for theme, leaf in zip(self.themes.tolist(), self.leaves.tolist(), strict=True)}
            parts = Counter(theme for theme, _ in pairs)
            split = np.array([parts[theme] > 1 for theme in self.themes.tolist()], dtype=bool)
            return np.where(split & (self.themes != UNCLUSTERED), self.leaves, UNCLUSTERED).astype(np.int32)
        alive = set(self.themes.tolist()) - {UNCLUSTERED}
        themes_in = Counter(self.area_of[theme] for theme in alive if theme in self.area_of)
        area = {theme: self.area_of[theme] for theme in alive if themes_in[self.area_of.get(theme, -1)] > 1}
        return np.array([area.get(theme, UNCLUSTERED) for theme in self.themes.tolist()], dtype=np.int32)

    def moved(self, targets: Mapping[int, int], vectors: NDArray[np.float32]) -> Levels:
        """The same with some rows in other themes: each joins the need of its new theme that it is nearest to.

        A theme not seen before gets one need, and an area of its own.
        """
        if not targets:
            return self
        themes, leaves = self.themes.copy(), self.leaves.copy()
        rows = np.array(sorted(targets), dtype=np.intp)
        themes[rows] = [targets[row] for row in rows.tolist()]
        leaves[rows] = UNCLUSTERED
        centres = centroids(vectors, leaves)
        following = int(self.leaves.max(initial=UNCLUSTERED)) + 1
        fresh: dict[int, int] = {}
        for row in rows[themes[rows] != UNCLUSTERED].tolist():
            theme = int(themes[row])
            inside = np.unique(leaves[(themes == theme) & (leaves != UNCLUSTERED) & (leaves < following)])
            if len(inside):
                leaves[row] = inside[np.argmax(centres[inside] @ vectors[row])]
            else:
                leaves[row] = fresh.setdefault(theme, following + len(fresh))
        area = max(self.area_of.values(), default=-1) + 1
        new = sorted(set(themes.tolist()) - {UNCLUSTERED} - self.area_of.keys())
        return replace(
            self, themes=themes, leaves=leaves,
            area_of={**self.area_of, **{theme: area + number for number, theme in enumerate(new)}},
        )  # fmt: skip

    def parents(self, level: Level, ids: Mapping[Level, Mapping[int, str]]) -> dict[int, str]:
        """The id of the cluster above each group of a level, where there is one."""
        above: Mapping[Level, Level] = {"need": "theme", "theme": "area"}
        if level not in above:
            return {}
        pairs = zip(self.labels(level).tolist(), self.labels(above[level]).tolist(), strict=True)
        return {own: ids[above[level]][parent] for own, parent in set(pairs) if own >= 0 and parent >= 0}


def cluster_rows(
    rows: Sequence[Mapping[str, Any]],
    vectors: NDArray[np.float32],
    levels: Levels,
    ids: Mapping[Level, Mapping[int, str]],
    scale: SimilarityScale,
) -> list[ClusterRow]:
    """Every cluster of every level, summed up; its members are measured against its own centre."""
    found: list[ClusterRow] = []
    for level in LEVELS:
        labels = levels.labels(level)
        centres = centroids(vectors, labels)
        _, similarities = place(vectors, labels, centres)
        parents = levels.parents(level, ids)
        voices: dict[int, list[Voice]] = defaultdict(list)
        for row, label, similarity in zip(rows, labels.tolist(), similarities.tolist(), strict=True):
            if label != UNCLUSTERED:
                voices[label].append(Voice(row["id"], similarity, row["severity"], row["frequency"]))
        for label in sorted(voices):
            found.append(
                replace(
                    summed_up(ids[level][label], voices[label], scale),
                    level=level,
                    parent_id=parents.get(label),
                    centre=centres[label],
                )
            )
    return found


def summed_up(cluster_id: str, voices: Sequence[Voice], scale: SimilarityScale) -> ClusterRow:
    """What one cluster amounts to, as it is stored."""
    summed = summarise(voices, link=scale.link, coherent=scale.coherent)
    return ClusterRow(cluster_id, summed.size, summed.severity, summed.frequency, summed.confidence, summed.action)
