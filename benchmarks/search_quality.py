"""How good search answers are: words alone, meaning alone, and both, for questions and for keywords.

banking77's test part is searched, 3,080 texts of 77 intents, with the embedded model's vectors. Questions are texts of
the training part: a right answer is of the same intent. Keywords are one or two words of a text that 3 to 60 texts
have: a right answer has all of them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from benchmarks.clusters import banking, has_banking
from benchmarks.result import Result
from benchmarks.search import database, fill
from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.store import search
from elmer_pipelines.store.search import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

_SEED = 20_261_123
_QUESTIONS, _KEYWORDS = 400, 400
_SHOWN = 10
_WORD = re.compile(r"[a-z]{4,}")
_WAYS: dict[str, Callable[[str, list[float], str], Query]] = {
    "words": lambda words, _, __: Query(words),
    "meaning": lambda _, vector, model: Query("", vector, model),
    "both": lambda words, vector, model: Query(words, vector, model),
}


def run() -> list[Result]:
    """Of the first ten answers the share that is right, of as many as there are right ones."""
    if not has_banking("answers are not measured"):
        return []
    embedder, chance = LocalEmbeddings(), random.Random(_SEED)
    texts, labels = banking("test")
    asked = chance.sample(list(zip(*banking("train"), strict=True)), _QUESTIONS)
    questions = [(words, {row for row, own in enumerate(labels) if own == label}) for words, label in asked]
    results = []
    with database() as own:
        fill(own, "bench", texts, embedder.embed(texts), embedder.model, chance)
        own.analyse()
        with own.begin() as connection:
            ids = connection.execute(text("SELECT id, start FROM elmer.signals")).all()
            row_of = {row.id: row.start for row in ids}
            for what, queries in (("questions", questions), ("keywords", _keywords(texts, chance))):
                vectors = embedder.embed([words for words, _ in queries])
                for way, query in _WAYS.items():
                    shares = [
                        _right(connection, query(words, vector.tolist(), embedder.model), row_of, right)
                        for (words, right), vector in zip(queries, vectors, strict=True)
                    ]
                    on = f"banking77 test, {len(texts):,} texts, {len(queries)} {what}"
                    results.append(
                        Result(f"right among the first {_SHOWN}, by {way}", on, float(np.mean(shares)), "share")
                    )
    return results


def _keywords(texts: Sequence[str], chance: random.Random) -> list[tuple[str, set[int]]]:
    """One or two words of a text, by turns, and the rows that have all of them."""
    words = [set(_WORD.findall(one.lower())) for one in texts]
    common = Counter(word for own in words for word in own)
    found: list[tuple[str, set[int]]] = []
    while len(found) < _KEYWORDS:
        telling = sorted(word for word in chance.choice(words) if 3 <= common[word] <= 60)
        number = 1 + len(found) % 2
        if len(telling) >= number:
            chosen = chance.sample(telling, number)
            found.append((" ".join(chosen), {row for row, own in enumerate(words) if own.issuperset(chosen)}))
    return found


def _right(connection: Connection, query: Query, row_of: dict[str, int], right: set[int]) -> float:
    rows = search.hybrid(connection, "bench", query, limit=_SHOWN)
    most = min(_SHOWN, len(right))
    return sum(row_of[one["signal_id"]] in right for one in rows[:most]) / most
