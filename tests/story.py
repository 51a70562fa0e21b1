"""A small world for tests: a workspace with documents, signals, vectors, clusters and projects put straight into rows.

Vectors have four numbers, chosen by the test, so that similarities are known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from elmer_pipelines.ids import stable_id, text_hash
from elmer_pipelines.models.protocols import SimilarityScale
from elmer_pipelines.store import embeddings, projects, workspaces
from elmer_pipelines.store.projects import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydantic import BaseModel

    from elmer_pipelines.models.protocols import Prompt
    from elmer_pipelines.store.database import Database

SCALE = SimilarityScale(link=0.75, unrelated=0.5, duplicate=0.9)
HEARD = datetime(2026, 5, 3, 9, 30, tzinfo=UTC)


class FixedEmbedder:
    """An embedding model whose vectors were put into the database by the test."""

    model = "test/four"
    dimensions = 4
    scale = SCALE

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        raise AssertionError("classification must not embed anything itself")


@dataclass
class ScriptedModel:
    """A text model that answers what `reply` says and counts its calls; an exception as reply is raised."""

    reply: Any
    model: str = "claude-test"
    prompts: list[Prompt] = field(default_factory=list)

    def answer(self, prompt: Prompt, schema: type[BaseModel]) -> Any:
        self.prompts.append(prompt)
        reply = self.reply(prompt) if callable(self.reply) else self.reply
        if isinstance(reply, Exception):
            raise reply
        return schema.model_validate(reply)


def at_angle(similarity: float) -> list[float]:
    """A unit vector whose cosine with (1, 0, 0, 0) is this."""
    return [similarity, float(np.sqrt(max(0.0, 1 - similarity**2))), 0.0, 0.0]


class Story:
    """Puts rows into one workspace."""

    def __init__(self, database: Database, workspace_id: str = "acme") -> None:
        self.database, self.workspace_id = database, workspace_id
        with database.begin() as connection:
            workspaces.register(connection, workspace_id, workspace_id.title(), "/nowhere")

    def run(self, statement: str, **arguments: Any) -> list[Any]:
        """Rows of a statement; `:w` is the workspace."""
        with self.database.begin() as connection:
            found = connection.execute(text(statement), {"w": self.workspace_id, **arguments})
            return list(found) if found.returns_rows else []

    def project(
        self, name: str, description: str = "", vector: Sequence[float] | None = None, *, origin: str = "named"
    ) -> str:
        """A project, named unless said otherwise."""
        one = Project(stable_id("P", self.workspace_id, name), name, description, "discovery", origin)
        with self.database.begin() as connection:
            projects.save(connection, self.workspace_id, [one])
        if vector is not None:
            self.vector(one.text, vector)
        return one.id

    def vector(self, words: str, vector: Sequence[float]) -> None:
        """The vector of a text under the test's model."""
        with self.database.begin() as connection:
            array = np.asarray(vector, dtype=np.float32)
            embeddings.insert(connection, self.workspace_id, FixedEmbedder.model, {text_hash(words): array})

    def document(self, address: str, words: str, segments: Sequence[dict[str, Any]] = (), **version: Any) -> str:
        """A document with one version."""
        document_id, content = stable_id("D", self.workspace_id, address), text_hash(words)
        self.run(
            "INSERT INTO elmer.documents (workspace_id, id, address, source_path, content_hash) "
            "VALUES (:w, :id, :address, :address, :content) ON CONFLICT DO NOTHING",
            id=document_id, address=address, content=content,
        )  # fmt: skip
        self.run(
            "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, "
            "format, title, text, segments, people, metadata, occurred_at) VALUES (:w, :id, :content, :content, :kind, "
            "'text', :title, :text, :segments, '[]', '{}', :heard) ON CONFLICT DO NOTHING",
            id=document_id, content=content, text=words, segments=json.dumps(list(segments)), heard=HEARD,
            kind=version.get("kind", "interview"), title=version.get("title", address),
        )  # fmt: skip
        return document_id

    def signal(
        self,
        words: str,
        *,
        vector: Sequence[float] | None = None,
        address: str | None = None,
        title: str | None = None,
        kind: str = "interview",
        segments: Sequence[dict[str, Any]] | None = None,
        **values: Any,
    ) -> str:
        """A signal that is the whole text of a document of its own (or of the one at `address`)."""
        address = address or f"notes/{text_hash(words)[:8]}.md"
        segments = [{"start": 0, "end": len(words)}] if segments is None else segments
        document_id = self.document(address, words, segments, kind=kind, title=title or address)
        signal_id = stable_id("S", self.workspace_id, document_id, words)
        row = {
            "interpretation": None, "severity": None, "frequency": None, "segment": None, "speaker": None,
            "status": "new", "occurred_at": HEARD, "edits": "{}",
        } | values  # fmt: skip
        self.run(
            "INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, \"end\", verbatim, "
            "text_hash, match, interpretation, severity, frequency, segment, speaker, occurred_at, extractor, status, "
            "edits) VALUES (:w, :id, :document, :content, 0, :end, :verbatim, :hash, 'exact', :interpretation, "
            ":severity, :frequency, :segment, :speaker, :occurred_at, 'test', :status, :edits) ON CONFLICT DO NOTHING",
            id=signal_id, document=document_id, content=text_hash(words), end=len(words), verbatim=words,
            hash=text_hash(words), **row,
        )  # fmt: skip
        if vector is not None:
            self.vector(words, vector)
        return signal_id

    def link(self, signal_id: str, project_id: str, method: str = "similarity") -> None:
        """A link, as a step or a person would have made it."""
        self.run(
            "INSERT INTO elmer.signal_links (workspace_id, signal_id, project_id, method) VALUES (:w, :s, :p, :m)",
            s=signal_id, p=project_id, m=method,
        )  # fmt: skip

    def links(self) -> set[tuple[str, str, str]]:
        """(signal, project, method) of every link."""
        return {tuple(row) for row in self.run(
            "SELECT signal_id, project_id, method FROM elmer.signal_links WHERE workspace_id = :w")}  # fmt: skip

    def status(self, signal_id: str) -> str:
        """A signal's status."""
        return str(self.run("SELECT status FROM elmer.signals WHERE workspace_id = :w AND id = :i", i=signal_id)[0][0])

    def cluster(self, name: str, members: Sequence[str], **values: Any) -> str:
        """A cluster of these signals."""
        row = {
            "severity": "high", "confidence": 0.8, "action": "new_project", "theme": name,
            "summary": f"Customers talk about {name}.",
        } | values  # fmt: skip
        self.run(
            "INSERT INTO elmer.clusters (workspace_id, id, size, severity, frequency, confidence, suggested_action, "
            "theme, summary, terms) VALUES (:w, :id, :size, :severity, 'common', :confidence, :action, :theme, "
            ":summary, "
            "'[\"alpha\", \"beta\"]') ON CONFLICT (workspace_id, id) DO UPDATE SET size = excluded.size",
            id=f"C-{name}", size=len(members), **row,
        )  # fmt: skip
        self.run("DELETE FROM elmer.cluster_members WHERE workspace_id = :w AND cluster_id = :c", c=f"C-{name}")
        for signal_id in members:
            self.run(
                "INSERT INTO elmer.cluster_members (workspace_id, signal_id, cluster_id, similarity) "
                "VALUES (:w, :s, :c, 0.8) ON CONFLICT (workspace_id, signal_id) DO UPDATE "
                "SET cluster_id = excluded.cluster_id",
                s=signal_id, c=f"C-{name}",
            )  # fmt: skip
        return f"C-{name}"
