"""How well and how fast signals are grouped, beside UMAP with HDBSCAN (BERTopic's default), EVoC and the greedy rule.

Every method gets the same vectors in the same run. Sets: banking77, samples of it, made mixtures. Peers run in
`.venv-bench`, which `make bench-compare` fills; without it they are left out. ELMER_BENCH_LARGE=1 adds a million.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.result import Result
from elmer_pipelines.clusters.centring import centred
from elmer_pipelines.clusters.grouping import group
from elmer_pipelines.clusters.neighbours import nearest, recall
from elmer_pipelines.evaluation.clusters import greedy, layers, read_labelled, score
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ELMER_BENCH_DATA", ROOT.parent / "shared" / "data"))
_BANKING = DATA / "banking77"
PEERS = ROOT / ".venv-bench" / "bin" / "python"
DIMENSIONS = 384
SPEED_AT = (5_000, 13_000, 30_000, 100_000)
LARGE = 1_000_000
RECALL_SAMPLE = 500
_SEED = 20_261_123

Set = tuple[np.ndarray, list[str]]


def run() -> list[Result]:
    """Agreement with labels per set and method and on the mean, then seconds and memory by size."""
    results, totals = [], {}
    for name, (vectors, labels) in sets().items():
        for method, groups in {**ours(vectors), **peers(vectors)}.items():
            scores = score(method, labels, groups)
            totals.setdefault(method, []).append((scores.adjusted_rand, scores.adjusted_mutual_information))
            on = f"{name}: {len(labels):,} in {len(set(labels))}"
            results += _agreement(method, on, *totals[method][-1])
            results.append(Result(f"{method}: left out", on, scores.unclustered / len(labels), "share"))
    for method, found in totals.items():
        results += _agreement(method, f"mean over {len(found)} sets", *np.mean(found, axis=0))
    for count in (*SPEED_AT, LARGE) if os.environ.get("ELMER_BENCH_LARGE") else SPEED_AT:
        results += _at_size(count)
    return results


def _agreement(method: str, on: str, rand: float, information: float) -> list[Result]:
    return [Result(f"{method}: ARI", on, rand, ""), Result(f"{method}: AMI", on, information, "")]


def ours(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """The three layers and the greedy rule."""
    found = group(vectors, [f"{row:09}" for row in range(len(vectors))], unrelated=LocalEmbeddings().scale.unrelated)
    return {**layers(found), "greedy": greedy(vectors)}


def peers(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """The groups of the peers that are installed."""
    if not PEERS.exists():
        sys.stderr.write("UMAP with HDBSCAN and EVoC are not installed: make bench-compare installs them.\n")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "vectors.npy", Path(folder) / "groups.npz"
        np.save(given, vectors)
        subprocess.run([PEERS, ROOT / "benchmarks" / "clusters_peers.py", given, found], check=True)
        with np.load(found) as groups:
            return {name: groups[name] for name in groups}


def sets() -> dict[str, Set]:
    """Labelled vectors by name."""
    made = {"made, 50 of 150 to 14": overlapping(50, 150), "made, 120 of 120 to 8": overlapping(120, 120)}
    if not has_banking("only made sets are measured"):
        return made
    test, test_labels = banking("test")
    train, train_labels = banking("train")
    vectors = LocalEmbeddings().embed(test + train)
    labels = test_labels + train_labels
    return {
        "banking77 test": (vectors[: len(test)], test_labels),
        "banking77 train": (vectors[len(test) :], train_labels),
        "banking77": (vectors, labels),
        "18 intents, 25 each": sample(vectors, labels, [25] * 18, 1),
        "20 intents, 100 each": sample(vectors, labels, [100] * 20, 2),
        "40 intents, 30 each": sample(vectors, labels, [30] * 40, 3),
        "77 intents, 12 each": sample(vectors, labels, [12] * 77, 4),
        "77 intents, uneven": sample(vectors, labels, [max(4, int(170 * rank**-0.7)) for rank in range(1, 78)], 5),
        **made,
    }


def has_banking(otherwise: str) -> bool:
    """Whether banking77 is there; where it is not, a line says what then is or is not measured."""
    if not _BANKING.exists():
        sys.stderr.write(f"No {_BANKING}: {otherwise}. ELMER_BENCH_DATA names another folder.\n")
    return _BANKING.exists()


def banking(part: Literal["test", "train"]) -> tuple[list[str], list[str]]:
    """The texts of a part of banking77 and the intent of each."""
    return read_labelled(_BANKING / f"{part}.csv", "text", "category")


def sample(vectors: np.ndarray, labels: list[str], sizes: list[int], seed: int) -> Set:
    """Some of the groups, at most so many of each."""
    draw = np.random.default_rng(seed)
    own = np.array(labels)
    names = draw.permutation(np.unique(own))
    rows = [draw.permutation(np.flatnonzero(own == name))[:size] for name, size in zip(names, sizes, strict=False)]
    chosen = draw.permutation(np.concatenate(rows))
    return vectors[chosen], own[chosen].tolist()


def overlapping(groups: int, largest: int) -> Set:
    """Groups that run into each other as intents do: families, differing tightness and sizes, a twentieth noise.

    Centres and what lies around them share few directions (axis i by its rank to the power -1/2). Tightness was set by
    the peers' scores alone: at 0.3 to 0.6 theirs are .4 to .66 by the Rand index, at 0.4 to 0.7 up to .93.
    """
    draw = np.random.default_rng(_SEED + groups)
    sizes = np.maximum(8, largest * np.arange(1, groups + 1) ** -0.6).astype(int)
    axes = (1 + np.arange(DIMENSIONS)) ** -0.5
    families = unit(axes * draw.standard_normal((groups // 8 + 1, DIMENSIONS)))
    own = unit(axes * draw.standard_normal((groups, DIMENSIONS)))
    centres = np.vstack([unit(own + families[np.arange(groups) % len(families)]), np.zeros((1, DIMENSIONS))])
    label = np.concatenate([np.repeat(np.arange(groups), sizes), groups + np.arange(sizes.sum() // 20)])
    group_or_none = np.minimum(label, groups)
    share = np.append(draw.uniform(0.3, 0.6, groups), 0.0)[group_or_none][:, None]
    around = unit(axes * draw.standard_normal((len(label), DIMENSIONS)))
    order = draw.permutation(len(label))
    vectors = unit(np.sqrt(1 - share) * around + np.sqrt(share) * centres[group_or_none])
    return vectors[order], [str(one) for one in label[order]]


def mixture(groups: int, largest: int, count: int) -> Set:
    """`count` vectors for timing: groups of differing tightness that come in families, a twentieth noise."""
    draw = np.random.default_rng(_SEED + groups)
    sizes = np.maximum(4, largest * np.arange(1, groups + 1) ** -0.8)
    sizes = (sizes * (count / sizes.sum())).astype(int)
    families = unit(draw.standard_normal((groups // 8 + 1, DIMENSIONS)))
    centres = unit(unit(draw.standard_normal((groups, DIMENSIONS))) + 0.8 * families[np.arange(groups) % len(families)])
    label = np.concatenate([np.repeat(np.arange(groups), sizes), groups + np.arange(sizes.sum() // 20)])
    share = draw.uniform(0.3, 0.6, groups).astype(np.float32)
    vectors = unit(draw.standard_normal((len(label), DIMENSIONS), dtype=np.float32))
    for row in range(groups):
        vectors[label == row] *= np.sqrt(1 - share[row])
        vectors[label == row] += np.sqrt(share[row]) * centres[row]
    order = draw.permutation(len(label))
    return unit(vectors[order]), [str(one) for one in label[order]]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _at_size(count: int) -> list[Result]:
    """Measured in a process of its own, so that its memory is only its own."""
    asked = [sys.executable, "-c", f"import benchmarks.clusters as it; it.print_at_size({count})"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    units = {"grouping": "s", "peak memory": "GB", "neighbours found": "share"}
    on = f"{count:,} x {DIMENSIONS}"
    return [Result(what, on, float(value), unit) for (what, unit), value in zip(units.items(), said, strict=True)]


def print_at_size(count: int) -> None:
    """Seconds of grouping, peak memory of the process with its vectors in GB, and recall of the neighbours."""
    vectors, labels = mixture(max(20, int(count**0.5)), 100, count)
    keys = [f"{row:09}" for row in range(len(labels))]
    began = time.perf_counter()
    group(vectors, keys, unrelated=0.3)
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    around = centred(vectors, len(vectors) / (len(vectors) + 100))
    sys.stdout.write(f"{seconds} {memory} {recall(around, nearest(around, 15)[0], sample=RECALL_SAMPLE)}\n")
