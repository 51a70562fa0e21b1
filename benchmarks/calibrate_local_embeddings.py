"""Prints what the local embeddings' similarities mean on labelled texts: the figures behind `LocalEmbeddings.scale`.

    python benchmarks/calibrate_local_embeddings.py FILE.csv [FILE.csv ...] --text text --label category

Several labels in one cell are divided by `;`. No database, no network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from elmer_pipelines.evaluation.clusters import read_labelled
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

STEPS = np.arange(0.30, 1.0, 0.05)
MAX_TEXTS = 5_000
EXAMPLES = 2
PROJECTS = 8
ROUNDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="category")
    options = parser.parse_args()
    for path in options.files:
        texts, cells = read_labelled(path, options.text, options.label)
        rows = np.sort(np.random.default_rng(0).permutation(len(texts))[:MAX_TEXTS])
        texts = [texts[row] for row in rows]
        labels = [frozenset(part.strip().lower() for part in cells[row].split(";")) for row in rows]
        print(f"\n{path.name}: {len(texts):,} texts, {len({one for each in labels for one in each}):,} labels")
        vectors = LocalEmbeddings().embed(texts)
        print_pairs(vectors, labels)
        print_projects(vectors, texts, labels)


def print_pairs(vectors: np.ndarray, labels: list[frozenset[str]]) -> None:
    """Similarities of pairs that share a label and of those that don't, and what each bound would let through."""
    names = sorted({one for each in labels for one in each})
    marks = np.array([[name in each for name in names] for each in labels], dtype=np.float32)
    upper = np.triu_indices(len(vectors), 1)
    similarity = (vectors @ vectors.T)[upper]
    same = (marks @ marks.T)[upper] > 0
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    for word, chosen in (("sharing a label", same), ("sharing none", ~same)):
        values = " ".join(f"{value:.3f}" for value in np.quantile(similarity[chosen], shares))
        print(f"  pairs {word:<16} quantiles 1 5 25 50 75 95 99 %: {values}")
    print("  bound  pairs at or above that share a label  of those sharing a label, at or above")
    for bound in STEPS:
        above = similarity >= bound
        print(f"   {bound:.2f}  {same[above].mean() if above.any() else np.nan:>36.3f}  {above[same].mean():>40.4f}")


def print_projects(vectors: np.ndarray, texts: list[str], labels: list[frozenset[str]]) -> None:
    """Eight labels play projects (name and two example texts), most texts belong to none: where do texts go?"""
    owner = np.array([next(iter(each)) if len(each) == 1 else "" for each in labels])
    names = [str(name) for name, count in zip(*np.unique(owner, return_counts=True), strict=True) if name and count > 9]
    if len(names) <= PROJECTS:
        return
    draw = np.random.default_rng(0)
    rounds = [one_round(draw, vectors, texts, owner, names) for _ in range(ROUNDS)]
    best, right, own = (np.concatenate(part) for part in zip(*rounds, strict=True))
    print(
        f"  {PROJECTS} of {len(names)} labels as projects, {ROUNDS} draws, {own.mean():.1%} of the texts belong to one"
    )
    print("  bound  right at or above  own texts linked right  own texts below")
    for bound in STEPS:
        above = best >= bound
        figures = (right[above].mean() if above.any() else np.nan, (above & right)[own].mean(), (~above)[own].mean())
        print(f"   {bound:.2f}  {figures[0]:>17.3f}  {figures[1]:>22.3f}  {figures[2]:>15.3f}")


def one_round(
    draw: np.random.Generator, vectors: np.ndarray, texts: list[str], owner: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similarity of each text to its closest project, whether that is the right one, whether it belongs to any."""
    picked = draw.choice(names, PROJECTS, replace=False)
    examples = [draw.choice(np.flatnonzero(owner == name), EXAMPLES, replace=False) for name in picked]
    projects = [
        f"{name.replace('_', ' ')}. " + " ".join(texts[row] for row in rows)
        for name, rows in zip(picked, examples, strict=True)
    ]
    rest = np.setdiff1d(np.arange(len(texts)), np.concatenate(examples))
    similarity = vectors[rest] @ LocalEmbeddings().embed(projects).T
    right = picked[similarity.argmax(axis=1)] == owner[rest]
    return similarity.max(axis=1), right, np.isin(owner[rest], picked)


if __name__ == "__main__":
    main()
