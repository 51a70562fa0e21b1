"""Do clusters keep their ids when a tenth of the signals goes or a twentieth comes; is placing like clustering?

On real texts with the embedded model's vectors: banking77 and labelled review sentences, from the folder that
ELMER_BENCH_DATA names (by default `../shared/data`), and the sample workspace's documents. The share is over all kept
signals, unclustered being a place like any other. `match` and `group` are the product's own; no database.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.clusters import DATA
from benchmarks.result import Result
from elmer_pipelines.clusters.grouping import centroids
from elmer_pipelines.clusters.identity import match
from elmer_pipelines.clusters.levels import group_sums
from elmer_pipelines.clusters.placing import NOWHERE, calibrate, near_enough, nearest_of, once_joined, vote
from elmer_pipelines.clusters.reclustering import regroup
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from elmer_pipelines.store.clusters import Level

_SEEDS = 4
_LARGE, _LARGE_SEEDS = 5_000, 1  # five clusterings of 13,000 texts take a minute
_GONE, _NEW, _HELD_OUT = 0.10, 0.05, 0.10
_SIZES = (500, 1_000, 3_000, 13_083)
_LEVELS: tuple[Level, ...] = ("theme", "need", "area")
_FIGURES = (
    "placed like a full clustering would",
    *(f"{level}s: under the same id after {change}" for change in ("10 % left", "5 % came") for level in _LEVELS),
)


@dataclass(frozen=True)
class Clustered:
    """Rows of a set and on each level the durable id of each, None where it has none; `labels` are the themes'."""

    rows: NDArray[np.intp]
    levels: dict[Level, dict[int, str | None]]
    labels: NDArray[np.int32]

    @property
    def ids(self) -> dict[int, str | None]:
        """The theme of each row."""
        return self.levels["theme"]


def run() -> list[Result]:
    """Mean shares over seeds, per set and size, with the lowest of the seeds."""
    found: list[Result] = []
    for name, texts in texts_by_set().items():
        vectors = LocalEmbeddings().embed(texts)
        for size in sorted({min(size, len(texts)) for size in _SIZES}):
            if size * 2 < _SIZES[0]:
                continue
            seeds = _LARGE_SEEDS if size > _LARGE else _SEEDS
            shares = np.array([_shares(vectors, size, seed) for seed in range(seeds)])
            on = f"{name}, {size:,} texts"
            for column, what in enumerate(_FIGURES):
                found.append(Result(what, on, float(shares[:, column].mean()), "share"))
                found.append(Result(f"{what}, worst of {seeds}", on, float(shares[:, column].min()), "share"))
    return found


def _shares(vectors: NDArray[np.float32], size: int, seed: int) -> list[float]:
    """In the order of `_FIGURES`."""
    chance = np.random.default_rng(seed)
    everything = np.sort(chance.permutation(len(vectors))[:size])
    kept = everything[chance.random(size) >= _GONE]
    first = _cluster(vectors, everything, None)
    gone = _cluster(vectors, kept, first)
    before = everything[chance.random(size) >= _NEW]
    smaller = _cluster(vectors, before, None)
    grown = _cluster(vectors, everything, smaller)
    agreed = _agreement(vectors, everything, chance)
    return [agreed, *(_same(*two, level) for two in ((first, gone), (smaller, grown)) for level in _LEVELS)]


def _cluster(vectors: NDArray[np.float32], rows: NDArray[np.intp], before: Clustered | None) -> Clustered:
    """A full clustering of these rows, matched to the one before."""
    names = [f"S-{row:06}" for row in rows]
    was = before.levels if before else {}
    previous = {level: [ids.get(int(row)) for row in rows] for level, ids in was.items()}
    grouping = regroup(vectors[rows], names, LocalEmbeddings().scale.unrelated, previous)
    labels = {"theme": grouping.labels, "need": grouping.needs, "area": grouping.area_of_each()}
    found: dict[Level, dict[int, str | None]] = {}
    for level in _LEVELS:
        earlier = {f"S-{row:06}": one for row, one in was.get(level, {}).items() if one is not None}
        now = labels[level].tolist()
        ids = match(earlier, dict(zip(names, now, strict=True)), workspace_id="bench", level=level).ids
        found[level] = {int(row): ids.get(label) for row, label in zip(rows, now, strict=True)}
    return Clustered(rows, found, grouping.labels)


def _same(before: Clustered, after: Clustered, level: Level) -> float:
    was, now = before.levels[level], after.levels[level]
    kept = was.keys() & now.keys()
    return sum(was[row] == now[row] for row in kept) / len(kept)


def _agreement(vectors: NDArray[np.float32], everything: NDArray[np.intp], chance: np.random.Generator) -> float:
    """Of held-out rows, the share that is placed where the next full clustering of all puts them."""
    out = chance.random(len(everything)) < _HELD_OUT
    base = _cluster(vectors, everything[~out], None)
    placed = _placed(vectors, base, everything[out])
    full = _cluster(vectors, everything, base)
    return sum(placed[row] == full.ids[row] for row in placed) / len(placed)


def _placed(vectors: NDArray[np.float32], base: Clustered, rows: NDArray[np.intp]) -> dict[int, str | None]:
    known, new = vectors[base.rows], vectors[rows]
    centres = centroids(known, base.labels)
    bounds = calibrate(known, base.labels, centres, LocalEmbeddings().scale.unrelated)
    if bounds is None:
        return dict.fromkeys(rows.tolist())
    clustered = base.labels != NOWHERE
    near = nearest_of(new, known[clustered], base.labels[clustered], mutual=True)
    votes = vote(near, bounds.neighbour)
    pull = np.linalg.norm(group_sums(known, base.labels), axis=1).astype(np.float32)
    winner = np.maximum(votes.winner, 0)
    fits = near_enough(votes, once_joined(np.einsum("ij,ij->i", new, centres[winner]), pull[winner]), bounds)
    name = {int(label): base.ids[int(row)] for row, label in zip(base.rows, base.labels, strict=True)}
    winners = zip(rows, votes.winner, fits, strict=True)
    return {int(row): name[int(winner)] if fit else None for row, winner, fit in winners}


def texts_by_set() -> dict[str, list[str]]:
    """Distinct texts by the name of their set; a set whose file is not there is left out."""
    files = {
        "banking77": ([DATA / "banking77" / "train.csv", DATA / "banking77" / "test.csv"], "text"),
        "review sentences": ([DATA / "reviews" / "labelled_sentences.csv"], "content"),
    }
    found = {name: _column(paths, column) for name, (paths, column) in files.items() if paths[0].exists()}
    return {**found, "sample workspace": _sample()}


def _column(paths: list[Path], column: str) -> list[str]:
    texts: dict[str, None] = {}
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            texts |= dict.fromkeys(words for row in csv.DictReader(file) if (words := (row[column] or "").strip()))
    return list(texts)


def _sample() -> list[str]:
    """The sample's documents that are plain text, a line each: real words of many subjects in three languages."""
    folder = Path(__file__).parents[1] / "examples"
    lines = [
        line.strip()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".md", ".txt"}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    return list(dict.fromkeys(line for line in lines if len(line) > 30))
