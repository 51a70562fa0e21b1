"""An installation that sends message batches to the loopback server: two workspaces' worth of small documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store import batches as store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.model_server import ModelServer

    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

WORDS = (
    "The export of invoices loses a third of the rows every month.",
    "Deleting an appointment always deletes the job as well.",
    "We need the offline notes to survive a restart of the phone.",
    "Calendar sync creates duplicate appointments every morning.",
)


@dataclass
class Batched:
    """A pipeline that sends batches, the server it sends them to, and a look at the tables."""

    pipeline: Pipeline
    server: ModelServer
    folder: Path
    workspace: str = "acme"

    @property
    def database(self) -> Database:
        return self.pipeline.database

    def write(self, documents: int) -> None:
        """So many documents, each with a need of its own."""
        for number in range(documents):
            (self.folder / f"note-{number:03}.txt").write_text(f"Note {number}. {WORDS[number % 4]}")
        self.pipeline.documents(self.workspace)

    def signals(self, run_id: str | None = "run-1") -> StepResult:
        """The step that asks about documents."""
        return self.pipeline.signals(self.workspace, run_id=run_id)

    def rows(self, statement: str, **arguments: Any) -> list[Any]:
        """Rows of a statement; `:w` is the workspace."""
        with self.database.begin() as connection:
            found = connection.execute(text(statement), {"w": self.workspace, **arguments})
            return list(found) if found.returns_rows else []

    def found(self) -> list[Any]:
        """What the documents' signals are, ids included."""
        return self.rows(
            "SELECT id, document_id, start, verbatim, severity, frequency, interpretation FROM elmer.signals "
            "WHERE workspace_id = :w AND retired_at IS NULL ORDER BY 1"
        )

    def batches(self) -> list[dict[str, Any]]:
        """Every batch, the newest first."""
        with self.database.begin() as connection:
            return store.listing(connection, self.workspace)

    def states(self) -> dict[str, int]:
        """How many records of the step `signals` are in which state."""
        return dict(
            self.rows(
                "SELECT coalesce(error_kind, state), count(*) FROM elmer.outcomes "
                "WHERE workspace_id = :w AND step = 'signals' GROUP BY 1"
            )
        )

    def spent(self) -> float:
        """US dollars in the ledger."""
        statement = "SELECT coalesce(sum(cost_usd), 0) FROM elmer.model_calls WHERE workspace_id = :w"
        return float(self.rows(statement)[0][0])

    def requests(self) -> str:
        """What the rows still hold of requests."""
        return "".join(row[0] for row in self.rows("SELECT request::text FROM elmer.model_batch_items"))

    def answers(self) -> str:
        """Every stored answer."""
        return "".join(row[0] for row in self.rows("SELECT answer::text FROM elmer.model_answers"))

    def again(self, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Batched:
        """Another process on the same installation, with other settings."""
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return Batched(Pipeline(load_settings(self.folder.parent), self.database), self.server, self.folder)


@pytest.fixture
def batched(
    database: Database, workspace: str, model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Batched]:
    """A pipeline with ELMER_BATCH=always whose models are behind the loopback server."""
    for name, value in {
        "ELMER_HOME": str(tmp_path / "home"),
        "ELMER_BATCH": "always",
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "ANTHROPIC_BASE_URL": model_server.url,
    }.items():
        monkeypatch.setenv(name, value)
    own = Batched(Pipeline(load_settings(tmp_path), database), model_server, tmp_path / workspace)
    yield own
    own.pipeline.close()
