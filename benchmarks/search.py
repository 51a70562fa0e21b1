"""Search over 100,000 signals: how fast, and how much of the exact answer it finds, with and without filters.

Texts are put together from phrases, so that many are near each other, and embedded by the local model. Everything is
in an embedded database of its own, removed at the end.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from benchmarks.result import Result
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.store import embeddings, search, workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer
from elmer_pipelines.store.search import Query
from elmer_pipelines.store.search_filters import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from elmer_pipelines.models.protocols import EmbeddingModel

_SEED = 20_261_123
_SIGNALS, _SMALL = 100_000, 3_000
_QUERIES = 200
_THINGS = """invoice export;calendar sync;offline notes;search results;mobile app;password reset;dashboard filters;
email notifications;file upload;team permissions;billing page;report builder;login screen;dark mode;data import;
customer list;audit log;api tokens;webhooks;map view;time tracking;photo gallery;chat history;road map;checkout;
address book;appointment reminders;price list;barcode scanner;signature field;route planning;stock levels;
payment terminal;work orders;service contracts;spare parts;device settings;backup restore;language settings;
user onboarding"""
_TROUBLES = """loses rows every month;crashes after the update;is far too slow in the morning;shows everything twice;
asks me to sign in again and again;does not work without network;forgets what I typed;is hard to find;
needs one click too many;prints the wrong totals;ignores the filter I set;takes minutes to open;
cannot be shared with colleagues;has no undo;sends the same message three times;mixes up time zones;
rejects valid files;hides the button I need;breaks on small screens;is impossible to explain to new people;
saved us two hours a week;should work with our accounting;needs a bulk edit;costs us customers"""
_WHO = """dispatchers;our technicians;the accounting team;new hires;office staff;my manager;field workers;two customers;
the night shift;support;our partners in Lyon;people on tablets;the warehouse;sales;nurses;teachers"""
_WHEN = [
    "every morning", "since March", "on Mondays", "twice a week", "after lunch", "at month end", "when it rains",
    "during audits", "on the train", "all the time", "before every release", "whenever we are in a hurry",
]  # fmt: skip
_SEGMENTS = [("one in a hundred", 0.01), ("one in ten", 0.10), ("the others", 0.89)]


def run() -> list[Result]:
    """Building the index; milliseconds of a search, warm; and recall at 10 against comparing everything."""
    embedder = LocalEmbeddings()
    chance = random.Random(_SEED)
    texts = _texts(chance, _SIGNALS + _SMALL)
    queries = [f"{_one(chance, _THINGS)} {_one(chance, _TROUBLES)}" for _ in range(_QUERIES)]
    on = f"{_SIGNALS:,} signals × {embedder.dimensions}"
    with database() as own:
        vectors = embedder.embed(texts)
        fill(own, "large", texts[:_SIGNALS], vectors[:_SIGNALS], embedder.model, chance)
        fill(own, "small", texts[_SIGNALS:], vectors[_SIGNALS:], embedder.model, chance)
        began = time.perf_counter()
        with own.begin() as connection:
            embeddings.ensure_index(connection, embedder.model, embedder.dimensions)
        results = [Result("vector index built", on, time.perf_counter() - began, "s")]
        own.analyse()
        for what, workspace, scope in (
            ("no filter", "large", Scope()),
            ("a filter that keeps 10 %", "large", Scope(segment=[_SEGMENTS[1][0]])),
            ("a filter that keeps 1 %", "large", Scope(segment=[_SEGMENTS[0][0]])),
            (f"a workspace of {_SMALL:,} beside it", "small", Scope()),
        ):
            results += _measured(own, embedder, workspace, scope, queries, f"{on}, {what}")
    return results


def _texts(chance: random.Random, number: int) -> list[str]:
    """Different sentences, each about one thing and one trouble."""
    found: dict[str, None] = {}
    while len(found) < number:
        hours = chance.randint(2, 60)
        found[
            f"The {_one(chance, _THINGS)} {_one(chance, _TROUBLES)} {chance.choice(_WHEN)}, and "
            f"{_one(chance, _WHO)} lose {hours} minutes over it."
        ] = None
    return list(found)


def _one(chance: random.Random, phrases: str) -> str:
    return chance.choice(phrases.replace("\n", "").split(";"))


@contextmanager
def database() -> Iterator[Database]:
    """A database of its own, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="elmer-bench-"))
    folder.chmod(0o755)  # run as root, the server's own user must be able to enter
    server = EmbeddedServer(folder, fast=True)
    try:
        server.start()
        own = Database(server.url())
        own.migrate()
        yield own
        own.close()
    finally:
        server.stop()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def fill(
    database: Database,
    workspace_id: str,
    texts: Sequence[str],
    vectors: np.ndarray,
    model: str,
    chance: random.Random,
) -> None:
    """A workspace whose one document holds all the sentences."""
    segments = chance.choices([one for one, _ in _SEGMENTS], [share for _, share in _SEGMENTS], k=len(texts))
    with database.begin() as connection:
        workspaces.register(connection, workspace_id, workspace_id, "/nowhere")
        connection.execute(
            text(
                "INSERT INTO elmer.documents (workspace_id, id, address, source_path, content_hash) "
                "VALUES (:w, 'D-1', 'a.txt', 'a.txt', 'h')"
            ),
            {"w": workspace_id},
        )
        connection.execute(
            text(
                "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, "
                "format, title, text, segments, people, metadata) "
                "VALUES (:w, 'D-1', 'h', 'h', 'review', 'text', 'All', :t, '[]', '[]', '{}')"
            ),
            {"w": workspace_id, "t": " ".join(texts[:50])},
        )
        _copy_signals(connection, workspace_id, texts, segments)
        embeddings.insert(connection, workspace_id, model, dict(zip(map(text_hash, texts), vectors, strict=True)))


def _copy_signals(connection: object, workspace_id: str, texts: Sequence[str], segments: Sequence[str]) -> None:
    raw = connection.connection.driver_connection  # type: ignore[attr-defined]
    severities = ["critical", "high", "medium", "low"]
    with (
        raw.cursor() as cursor,
        cursor.copy(
            'COPY elmer.signals (workspace_id, id, document_id, content_hash, start, "end", verbatim, text_hash, '
            "match, severity, segment, extractor) FROM STDIN"
        ) as copy,
    ):
        for number, (words, segment) in enumerate(zip(texts, segments, strict=True)):
            copy.write_row(
                (workspace_id, f"S-{number:08}", "D-1", "h", number, number + 1, words, text_hash(words), "exact",
                 severities[number % 4], segment, "benchmark")
            )  # fmt: skip


def _measured(
    database: Database, embedder: EmbeddingModel, workspace_id: str, scope: Scope, queries: Sequence[str], on: str
) -> list[Result]:
    asked = [Query(words, embedder.embed([words])[0].tolist(), embedder.model) for words in queries]
    meant = [Query("", one.vector, one.model) for one in asked]
    for query in asked[:20]:
        _ids(database, workspace_id, query, scope)
    milliseconds = []
    found = []
    for query in asked:
        began = time.perf_counter()
        found.append(_ids(database, workspace_id, query, scope))
        milliseconds.append((time.perf_counter() - began) * 1_000)
    sample = range(0, len(asked), 4)
    exact = [_ids(database, workspace_id, asked[one], scope, exact=True) for one in sample]
    near = [_ids(database, workspace_id, meant[one], scope) for one in sample]
    nearest = [_ids(database, workspace_id, meant[one], scope, exact=True) for one in sample]
    return [
        Result("search p50, warm", on, float(np.percentile(milliseconds, 50)), "ms"),
        Result("search p95, warm", on, float(np.percentile(milliseconds, 95)), "ms"),
        Result("recall@10 of the fused answer", on, _recall([found[one] for one in sample], exact), "share"),
        Result("recall@10 of the nearest vectors", on, _recall(near, nearest), "share"),
    ]


def _ids(database: Database, workspace_id: str, query: Query, scope: Scope, *, exact: bool = False) -> list[str]:
    with database.begin() as connection:
        rows = search.hybrid(connection, workspace_id, query, scope, 10, exact=exact)
    return [row["signal_id"] for row in rows]


def _recall(found: Sequence[Sequence[str]], exact: Sequence[Sequence[str]]) -> float:
    shares = [len(set(ours) & set(theirs)) / len(theirs) for ours, theirs in zip(found, exact, strict=True) if theirs]
    return float(np.mean(shares))
