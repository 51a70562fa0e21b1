"""What a local name tells: from the name alone, which of 77 intents are texts about that the namer never saw?

banking77's test part is named, intent by intent; its training part is what the names are held against, by the words
alone (TF-IDF), not by the vectors names are made with. Beside it: the term that weighs most, the three that do, the
most central quote, which tells most but is no name, and the labels people gave.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.clusters import banking, has_banking
from benchmarks.result import Result
from elmer_pipelines.clusters.themes import ClusterTexts, local_themes
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

if TYPE_CHECKING:
    from collections.abc import Iterable


def run() -> list[Result]:
    """Share of names whose own intent is told first, and the mean reciprocal rank; words of a name, seconds for all."""
    if not has_banking("names are not measured"):
        return []
    clusters = _clusters()
    began = time.perf_counter()
    themes = local_themes(clusters)
    seconds = time.perf_counter() - began
    told = {
        "names": [themes[one.cluster_id].name for one in clusters],
        "first term": [themes[one.cluster_id].terms[0] for one in clusters],
        "three terms": [" ".join(themes[one.cluster_id].terms[:3]) for one in clusters],
        "central quote": [_central_quote(one, themes[one.cluster_id].central_signal_ids[0]) for one in clusters],
        "labels": [one.cluster_id.replace("_", " ") for one in clusters],
    }
    unseen = _unseen([one.cluster_id for one in clusters])
    on = f"banking77: {len(clusters)} intents"
    results = [Result("names: seconds", on, seconds, "s")]
    for what, names in told.items():
        ranks = _ranks(names, unseen)
        results += [
            Result(f"{what}: own intent first", on, float(np.mean(ranks == 1)), "share"),
            Result(f"{what}: reciprocal rank", on, float(np.mean(1 / ranks)), ""),
            Result(f"{what}: length", on, float(np.mean([len(name.split()) for name in names])), "words"),
        ]
    return results


def _clusters() -> list[ClusterTexts]:
    texts, labels = banking("test")
    vectors = LocalEmbeddings().embed(texts)
    rows = {label: np.flatnonzero(np.array(labels) == label) for label in sorted(set(labels))}
    return [
        ClusterTexts(label, tuple(f"S-{row:05}" for row in own), tuple(texts[row] for row in own), vectors[own])
        for label, own in rows.items()
    ]


def _central_quote(cluster: ClusterTexts, signal_id: str) -> str:
    return cluster.texts[cluster.signal_ids.index(signal_id)]


def _unseen(intents: list[str]) -> list[str]:
    """All training texts of each intent as one."""
    texts, labels = banking("train")
    joined: dict[str, list[str]] = {intent: [] for intent in intents}
    for text, label in zip(texts, labels, strict=True):
        joined[label].append(text)
    return [" ".join(joined[intent]) for intent in intents]


def _ranks(names: Iterable[str], unseen: list[str]) -> np.ndarray:
    """The place of each name's own intent among all, from 1; a tie counts against the name."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit(unseen)
    alike = (words.transform(list(names)) @ words.transform(unseen).T).toarray()
    ranks: np.ndarray = (alike >= np.diag(alike)[:, None]).sum(axis=1)
    return ranks
