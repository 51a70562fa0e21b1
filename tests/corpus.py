"""Many signals with vectors of known topics, put straight into rows: what clustering is tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from elmer_pipelines.ids import stable_id, text_hash
from elmer_pipelines.models.protocols import SimilarityScale
from elmer_pipelines.store import embeddings, workspaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from elmer_pipelines.store.database import Database


class TopicEmbedder:
    """An embedding model whose vectors are in the database already."""

    dimensions = 16
    scale = SimilarityScale(link=0.8, unrelated=0.5, duplicate=0.99, coherent=0.6)

    def __init__(self, model: str = "test/topics") -> None:
        self.model = model

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        raise AssertionError("clustering must not embed anything itself")


def near(topic: int, words: str, spread: float = 0.12) -> NDArray[np.float32]:
    """A unit vector about the topic's axis, the same for the same words."""
    noise = np.random.default_rng(int(text_hash(words)[:8], 16)).normal(size=TopicEmbedder.dimensions)
    vector = np.eye(TopicEmbedder.dimensions)[topic] + spread * noise
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class Corpus:
    """One workspace of one document, with as many signals as wanted."""

    def __init__(self, database: Database, workspace_id: str = "acme", root: str = "/nowhere") -> None:
        self.database, self.workspace_id, self.embedder = database, workspace_id, TopicEmbedder()
        self._count = 0
        with database.begin() as connection:
            workspaces.register(connection, workspace_id, workspace_id.title(), root)
        self.run(
            "INSERT INTO elmer.documents (workspace_id, id, address, source_path, content_hash) "
            "VALUES (:w, 'D-1', 'a.md', 'a.md', 'x')"
        )
        self.run(
            "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, "
            "format, title, text, segments, people, metadata) "
            "VALUES (:w, 'D-1', 'x', 'x', 'interview', 'text', 'A', '', '[]', '[]', '{}')"
        )

    def run(self, statement: str, **arguments: Any) -> list[Any]:
        """Rows of a statement; `:w` is the workspace."""
        with self.database.begin() as connection:
            found = connection.execute(text(statement), {"w": self.workspace_id, **arguments})
            return list(found) if found.returns_rows else []

    def add(self, topic: int, count: int = 1, *, words: Sequence[str] = (), spread: float = 0.12) -> list[str]:
        """Signals about a topic (of 16), with their vectors; returns their ids."""
        said = list(words) or [f"topic {topic} signal {self._count + one}" for one in range(count)]
        rows = []
        for one in said:
            self._count += 1
            signal_id = stable_id("S", self.workspace_id, str(self._count), one)
            rows.append({"w": self.workspace_id, "id": signal_id, "n": self._count, "v": one, "h": text_hash(one)})
        with self.database.begin() as connection:
            connection.execute(
                text(
                    'INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, "end", verbatim, '
                    "text_hash, match, severity, extractor) "
                    "VALUES (:w, :id, 'D-1', 'x', :n, :n + 1, :v, :h, 'exact', 'low', 'test')"
                ),
                rows,
            )
            embeddings.insert(
                connection, self.workspace_id, self.embedder.model,
                {text_hash(one): near(topic, one, spread) for one in said},
            )  # fmt: skip
        return [row["id"] for row in rows]

    def retire(self, signal_ids: Sequence[str]) -> None:
        """The signals' source is gone."""
        self.run(
            "UPDATE elmer.signals SET retired_at = now(), updated_at = now() "
            "WHERE workspace_id = :w AND id = ANY(:ids)",
            ids=list(signal_ids),
        )  # fmt: skip

    def cluster_of(self, signal_ids: Sequence[str]) -> list[str | None]:
        """The theme of each signal."""
        rows = self.run("SELECT signal_id, cluster_id FROM elmer.cluster_members WHERE workspace_id = :w")
        found = {row[0]: row[1] for row in rows}
        return [found.get(one) for one in signal_ids]

    def events(self) -> list[tuple[str, str]]:
        """(cluster, event) of all that happened, the oldest first."""
        rows = self.run("SELECT cluster_id, event FROM elmer.cluster_events WHERE workspace_id = :w ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    def everything(self) -> list[str]:
        """All that is kept about clusters, as text."""
        tables = ("clusters", "cluster_members", "cluster_events", "clusterings", "cluster_pins", "clustering_requests")
        return [
            row[0] for table in tables for row in self.run(f"SELECT to_jsonb(t)::text FROM elmer.{table} t ORDER BY 1")
        ]
