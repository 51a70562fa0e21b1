"""How long placing takes: 100 new signals among 100,000, on a real PostgreSQL, the whole step from start to end."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from benchmarks.result import Result
from elmer_pipelines.clusters import newcomers
from elmer_pipelines.clusters.clustering import cluster_signals
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.protocols import SimilarityScale
from elmer_pipelines.store import clusterings, embeddings, workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

_SIZES = (10_000, 100_000)
_NEW = 100
_TOPICS = 300
_WORKSPACE = "bench"


class _Embedder:
    """Made-up vectors, as wide as the embedded model's, around 300 topics."""

    model, dimensions = "bench/topics", 256
    scale = SimilarityScale(link=0.7, unrelated=0.4, duplicate=0.95)

    def __init__(self) -> None:
        self._chance = np.random.default_rng(20_261_123)
        self._topics = self._unit(self._chance.normal(size=(_TOPICS, self.dimensions)))

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """A vector near to a random topic for each text."""
        about = self._topics[self._chance.integers(0, _TOPICS, len(texts))]
        return self._unit(about + 0.04 * self._chance.normal(size=about.shape))

    @staticmethod
    def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def run() -> list[Result]:
    """Seconds of a full clustering, of placing 100 by the index, and of a step with nothing to do, per size."""
    folder = Path(tempfile.mkdtemp(prefix="elmer-bench-"))
    folder.chmod(0o755)
    own = EmbeddedServer(folder, fast=True)
    try:
        own.start()
        database = Database(own.url())
        database.migrate()
        try:
            return _measured(database, folder)
        finally:
            database.close()
    finally:
        own.stop()
        own.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _measured(database: Database, folder: Path) -> list[Result]:
    embedder, found, there = _Embedder(), [], 0
    with database.begin() as connection:
        workspaces.register(connection, _WORKSPACE, "Bench", str(folder))
        _document(connection)
    for size in _SIZES:
        with database.begin() as connection:
            _add(connection, embedder, there, size - there)
            embeddings.ensure_index(connection, embedder.model, embedder.dimensions)
        database.analyse()
        on = f"{size:,} signals"
        found.append(Result("full clustering, step", on, _step(database, embedder), "s"))
        with database.begin() as connection:
            _add(connection, embedder, size, _NEW)
        there = size + _NEW
        found.append(Result(f"placing {_NEW} new, step", on, _step(database, embedder), "s"))
        found.append(Result("nothing to do, step", on, _step(database, embedder), "s"))
        found.append(Result(f"{_NEW} placed in a cluster", on, _share(database), "share"))
        found.append(Result(f"placing {_NEW}, of which neighbours and writing", on, _inner(database, embedder), "s"))
    return found


def _step(database: Database, embedder: _Embedder) -> float:
    began = time.perf_counter()
    cluster_signals(database, _WORKSPACE, embedder)
    return time.perf_counter() - began


def _inner(database: Database, embedder: _Embedder) -> float:
    """Placing the same signals again, rolled back: without looking through the workspace for what is new."""
    with database.engine.connect() as connection:
        connection.execute(text("DELETE FROM elmer.cluster_members WHERE placed_by = 'neighbours'"))
        last = clusterings.last(connection, _WORKSPACE)
        assert last is not None
        began = time.perf_counter()
        newcomers.place_new(connection, _WORKSPACE, embedder, last)
        return time.perf_counter() - began


def _share(database: Database) -> float:
    with database.begin() as connection:
        return float(
            connection.execute(
                text(
                    "SELECT avg((cluster_id IS NOT NULL)::int) FROM elmer.cluster_members "
                    "WHERE placed_by = 'neighbours'"
                )
            ).scalar_one()
        )


def _document(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO elmer.documents (workspace_id, id, address, source_path, content_hash) "
            "VALUES (:w, 'D-1', 'a', 'a', 'x')"
        ),
        {"w": _WORKSPACE},
    )
    connection.execute(
        text(
            "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, "
            "format, title, text, segments, people, metadata) "
            "VALUES (:w, 'D-1', 'x', 'x', 'interview', 'text', 'A', '', '[]', '[]', '{}')"
        ),
        {"w": _WORKSPACE},
    )


def _add(connection: Connection, embedder: _Embedder, start: int, count: int) -> None:
    """Signals numbered from `start`, with their vectors."""
    words = [f"signal {number}" for number in range(start, start + count)]
    hashes = [text_hash(one) for one in words]
    connection.execute(
        text(
            'INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, "end", verbatim, '
            "text_hash, match, severity, extractor) SELECT :w, 'S-' || lpad(n::text, 9, '0'), 'D-1', 'x', n, n + 1, "
            "'signal ' || n, h, 'exact', 'low', 'bench' "
            "FROM unnest(CAST(:numbers AS int[]), CAST(:hashes AS text[])) AS r (n, h)"
        ),
        {"w": _WORKSPACE, "numbers": list(range(start, start + count)), "hashes": hashes},
    )
    vectors = embedder.embed(words)
    embeddings.insert(connection, _WORKSPACE, embedder.model, dict(zip(hashes, vectors, strict=True)))
