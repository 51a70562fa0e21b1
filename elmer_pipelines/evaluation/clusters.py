"""Scores grouping on any labelled CSV: do texts that belong together land together?

Embedding and grouping are the product's own; nothing is read from or written to a database.
"""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters.grouping import UNCLUSTERED, group
from elmer_pipelines.clusters.neighbours import nearest
from elmer_pipelines.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from elmer_pipelines.clusters.grouping import Grouping
    from elmer_pipelines.models.protocols import EmbeddingModel


GREEDY_NEIGHBOURS = 10
GREEDY_SIMILARITY = 0.7
DEFAULT_LEVEL = "themes"


@dataclass(frozen=True)
class LevelScores:
    """How well one way of grouping agrees with labels; each unclustered text counts as a group of its own.

    `adjusted_rand` and `adjusted_mutual_information` are 1 for perfect agreement and about 0 for chance.
    """

    name: str
    groups: int
    unclustered: int
    adjusted_rand: float
    adjusted_mutual_information: float


@dataclass(frozen=True)
class ClusterScores:
    """The layers of one clustering, the default one among them, and other methods on the same vectors."""

    file: str
    model: str
    texts: int
    groups_true: int
    levels: tuple[LevelScores, ...]
    beside: tuple[LevelScores, ...]
    seconds_embedding: float
    seconds_grouping: float

    @property
    def default(self) -> LevelScores:
        """The layer people see first."""
        return next(level for level in self.levels if level.name == DEFAULT_LEVEL)

    @property
    def best(self) -> LevelScores:
        """The layer that agrees most, by both indices."""
        return max(self.levels, key=lambda level: level.adjusted_rand + level.adjusted_mutual_information)

    def as_json(self) -> dict[str, Any]:
        """JSON values, keys as the fields, with the names of the default and the best layer."""
        return {**asdict(self), "default": self.default.name, "best": self.best.name}

    def as_table(self) -> str:
        """The layers and the other methods a line each, then where the figures are from."""
        lines = [f"{'':32}{'groups':>8}{'left out':>10}{'ARI':>8}{'AMI':>8}"]
        for level in (*self.levels, *self.beside):
            notes = [word for word, one in (("default", self.default), ("best", self.best)) if one is level]
            name = f"{level.name} ({', '.join(notes)})" if notes else level.name
            share = level.unclustered / self.texts
            lines.append(
                f"{name:32}{level.groups:>8,}{share:>10.1%}{level.adjusted_rand:>8.3f}"
                f"{level.adjusted_mutual_information:>8.3f}"
            )
        lines.append("")
        lines.append(f"{self.file}: {self.texts:,} texts in {self.groups_true:,} groups; vectors by {self.model}")
        lines.append(f"embedded in {self.seconds_embedding:.2f} s, grouped in {self.seconds_grouping:.2f} s")
        return "\n".join(lines)


def evaluate_clusters(
    path: Path, *, text: str = "text", label: str = "category", model: EmbeddingModel
) -> ClusterScores:
    """Embed and group the texts of a CSV file and compare with its labels; rows without text or label are left out.

    Raises SettingsError when the file can't be read, lacks a column, or has fewer than two rows to compare.
    """
    texts, labels = read_labelled(path, text, label)
    started = time.perf_counter()
    vectors = model.embed(texts)
    embedded = time.perf_counter()
    found = group(vectors, [f"{row:09d}" for row in range(len(texts))], unrelated=model.scale.unrelated)
    grouped = time.perf_counter()
    return ClusterScores(
        file=path.name,
        model=model.model,
        texts=len(texts),
        groups_true=len(set(labels)),
        levels=tuple(score(name, labels, groups) for name, groups in layers(found).items()),
        beside=(score("greedy, 10 nearest above 0.7", labels, greedy(vectors)),),
        seconds_embedding=embedded - started,
        seconds_grouping=grouped - embedded,
    )


def layers(found: Grouping) -> dict[str, NDArray[np.int32]]:
    """The group of each signal in each layer, the coarsest first."""
    return {"areas": found.area_of_each(), DEFAULT_LEVEL: found.labels, "needs": found.needs}


def score(name: str, labels: list[str], groups: NDArray[np.int32]) -> LevelScores:
    """One way of grouping against the labels; negative groups are unclustered."""
    rand, information = agreement(labels, groups)
    alone = int(np.count_nonzero(groups == UNCLUSTERED))
    return LevelScores(name, int(groups.max(initial=UNCLUSTERED)) + 1, alone, rand, information)


def greedy(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """The rule clusters were once made by: each text not yet taken takes those of its ten nearest above 0.7."""
    indices, similarities = nearest(vectors, GREEDY_NEIGHBOURS)
    groups = np.full(len(vectors), UNCLUSTERED, dtype=np.int32)
    number = 0
    for row in range(len(vectors)):
        near = indices[row][similarities[row] >= GREEDY_SIMILARITY]
        free = near[groups[near] == UNCLUSTERED]
        if groups[row] == UNCLUSTERED and len(free):
            groups[row] = groups[free] = number
            number += 1
    return groups


def agreement(labels: list[str], groups: NDArray[np.int32]) -> tuple[float, float]:
    """Adjusted Rand index and adjusted mutual information, each unclustered text as a group of its own."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    own = groups.astype(np.int64)
    alone = own == UNCLUSTERED
    own[alone] = len(own) + np.arange(np.count_nonzero(alone))
    return float(adjusted_rand_score(labels, own)), float(adjusted_mutual_info_score(labels, own))


def read_labelled(path: Path, text: str, label: str) -> tuple[list[str], list[str]]:
    """Texts and labels of a UTF-8 CSV file with a header; rows lacking either are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in (text, label) if column not in (reader.fieldnames or [])]
            rows = [] if missing else [((row[text] or "").strip(), (row[label] or "").strip()) for row in reader]
            columns = ", ".join(reader.fieldnames or []) or "no columns"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path.name} can't be read as CSV: {error}. Give a UTF-8 file with a header.") from error
    if missing:
        raise SettingsError(
            f"{path.name} has no column {' and no column '.join(missing)}; it has {columns}. Name the columns to use."
        )
    kept = [(words, group_name) for words, group_name in rows if words and group_name]
    if len(kept) < 2:
        raise SettingsError(f"{path.name} has {len(kept)} rows with text and label; give at least two.")
    return [words for words, _ in kept], [group_name for _, group_name in kept]
