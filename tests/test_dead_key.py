"""A key the service refuses costs as many requests as were under way, leaves the records as they were, and is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.model_server import ModelServer
from sqlalchemy import text

from elmer_pipelines.models.concurrency import START
from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.steps import StepResult, listening
from elmer_pipelines.store.database import Database


def _write(served: Pipeline, workspace: str, documents: int) -> None:
    for number in range(documents):
        Path(served.root(workspace), f"{number:03}.txt").write_text(f"The export of report {number} fails weekly.\n")
    served.documents(workspace)


@pytest.fixture
def refusing() -> Iterator[ModelServer]:
    own = ModelServer(latency_s=0.05).start()
    yield own
    own.stop()


@pytest.fixture
def served(
    database: Database, workspace: str, tmp_path: Path, refusing: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-dead")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", refusing.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-dead")
    monkeypatch.setenv("OPENAI_BASE_URL", refusing.openai_url)
    monkeypatch.setenv("ELMER_BUDGET_USD", "20")
    own = Pipeline(load_settings(tmp_path), database)
    yield own
    own.close()


@pytest.mark.parametrize(("name", "documents"), [("auth", 200), ("permission", 70), ("no_model", 70), ("quota", 70)])
def test_a_dead_key_is_asked_about_by_the_calls_under_way_only(
    served: Pipeline, workspace: str, refusing: ModelServer, name: str, documents: int
) -> None:
    _write(served, workspace, documents)
    refusing.choose = lambda call: name
    stops: list[StepResult] = []
    with listening(lambda *_: None, stops):
        first = served.signals(workspace, run_id="run-1")
    asked = refusing.count("messages")
    assert 1 <= asked <= START  # as many as the limiter lets under way before the first answer
    assert (first.done, first.failed, first.counts["left"]) == (0, asked, documents - asked)
    assert stops == [first]
    assert "refused the call" in str(first.counts["reason"])
    assert "The next run goes on by itself, after one call to see." in str(first.counts["reason"])
    with served.database.begin() as connection:
        waiting = connection.execute(
            text(
                "SELECT count(*) FROM elmer.outcomes WHERE step = 'signals' AND state = 'pending' AND attempts = 0 "
                "AND claimed_by IS NULL AND error_kind IS NULL"
            )
        ).scalar_one()
        rows = connection.execute(text("SELECT count(*) FROM elmer.model_calls")).scalar_one()
        assert connection.execute(text("SELECT count(*) FROM elmer.spend_reservations")).scalar_one() == 0
    assert (waiting, rows) == (documents - asked, asked)

    assert served.signals(workspace, run_id="run-2").counts["left"] == documents - 1
    assert refusing.count("messages") == asked + 1
    if name == "auth":
        refusing.choose = lambda call: "ok"
        assert served.signals(workspace, run_id="run-3").done == documents
        assert refusing.count("messages") == asked + 1 + documents


def test_vectors_and_later_steps_of_the_run_are_not_asked_for_either(
    served: Pipeline, workspace: str, refusing: ModelServer
) -> None:
    _write(served, workspace, 20)
    served.signals(workspace, run_id="run-1")
    refusing.choose = lambda call: "auth"
    for _ in range(3):
        result = served.signal_embeddings(workspace, run_id="run-1")
        assert result.done == 0
    assert refusing.count("embeddings") == 1
    assert result.counts["stopped_by"] == "auth"
