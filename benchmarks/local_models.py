"""How fast the local models are: texts embedded a second, and signals grouped."""

from __future__ import annotations

import random
import time

from benchmarks.result import Result
from elmer_pipelines.clusters.grouping import group
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

_SEED = 20_261_123
_TEXTS = 10_000
_NEEDS = 200
_SYLLABLES = ["ba", "den", "ki", "lor", "mu", "nes", "pra", "sto", "tri", "vel"]


def run() -> list[Result]:
    """Made texts about a known number of needs, embedded after a warm-up, then grouped."""
    model = LocalEmbeddings()
    began = time.perf_counter()
    model.embed(["warm up"])
    loading = time.perf_counter() - began
    texts = _texts(random.Random(_SEED))
    began = time.perf_counter()
    vectors = model.embed(texts)
    embedding = time.perf_counter() - began
    began = time.perf_counter()
    grouping = group(vectors, [f"S-{number}" for number in range(_TEXTS)], unrelated=model.scale.unrelated)
    seconds = time.perf_counter() - began
    return [
        Result("load the embedding model", model.model, loading, "s"),
        Result("embed", f"{_TEXTS:,} short texts", _TEXTS / embedding, "texts a second"),
        Result("group", f"{_TEXTS:,} signals", seconds, "s"),
        Result("groups found", f"{_NEEDS} made needs", float(len(set(grouping.labels.tolist()) - {-1})), "groups"),
    ]


def _texts(chance: random.Random) -> list[str]:
    """Sentences of words made up per need, with words all share between them."""
    needs = [["".join(chance.choices(_SYLLABLES, k=3)) for _ in range(8)] for _ in range(_NEEDS)]
    common = ["please", "we", "need", "the", "report", "every", "week", "but", "it", "never", "works"]
    return [" ".join(chance.sample(needs[number % _NEEDS], 5) + chance.sample(common, 5)) for number in range(_TEXTS)]
