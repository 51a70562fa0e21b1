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
from elmer_pipelines.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from elmer_pipelines.models.protocols import EmbeddingModel


@dataclass(frozen=True)
class ClusterScores:
    """How well groups agree with labels; each unclustered text counts as a group of its own.

    `adjusted_rand` and `adjusted_mutual_information` are 1 for perfect agreement and about 0 for chance.
    """

    file: str
    model: str
    texts: int
    groups_true: int
    groups_found: int
    unclustered: int
    adjusted_rand: float
    adjusted_mutual_information: float
    seconds_embedding: float
    seconds_grouping: float

    def as_json(self) -> dict[str, Any]:
        """JSON values, keys as the fields."""
        return asdict(self)

    def as_table(self) -> str:
        """Two aligned columns for a terminal."""
        rows = {
            "file": self.file,
            "model": self.model,
            "texts": f"{self.texts:,}",
            "groups in the labels": f"{self.groups_true:,}",
            "groups found": f"{self.groups_found:,}",
            "unclustered": f"{self.unclustered:,} ({self.unclustered / self.texts:.1%})",
            "adjusted Rand index": f"{self.adjusted_rand:.3f}",
            "adjusted mutual information": f"{self.adjusted_mutual_information:.3f}",
            "seconds embedding": f"{self.seconds_embedding:.2f}",
            "seconds grouping": f"{self.seconds_grouping:.2f}",
        }
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


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
    rand, information = agreement(labels, found.labels)
    return ClusterScores(
        file=path.name,
        model=model.model,
        texts=len(texts),
        groups_true=len(set(labels)),
        groups_found=found.size,
        unclustered=int(np.count_nonzero(found.labels == UNCLUSTERED)),
        adjusted_rand=rand,
        adjusted_mutual_information=information,
        seconds_embedding=embedded - started,
        seconds_grouping=grouped - embedded,
    )


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
