"""`elmer batches`: what is under way and past, and taking in what ended."""

from __future__ import annotations

import json

import pytest
from batched import Batched
from typer.testing import CliRunner

from elmer_pipelines import cli
from elmer_pipelines.console import batches as command
from elmer_pipelines.console import terminal
from elmer_pipelines.workbench import Workbench


@pytest.fixture
def run(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    bench = Workbench("acme", pipeline=batched.pipeline)
    monkeypatch.setattr(bench, "close", lambda: None)
    monkeypatch.setattr(command, "open_workbench", lambda _: bench)
    monkeypatch.setattr(terminal.out, "_width", 250)
    return CliRunner()


def test_batches_are_listed_and_collected(batched: Batched, run: CliRunner) -> None:
    assert "no message batches" in run.invoke(cli.app, ["batches"]).output
    batched.write(3)
    batched.signals()
    shown = run.invoke(cli.app, ["batches"])
    assert shown.exit_code == 0
    assert all(word in shown.output for word in ("submitted", "signals", "claude-sonnet-5-5", "B-", "at worst"))
    (row,) = json.loads(run.invoke(cli.app, ["batches", "--json"]).output)
    assert (row["state"], row["items"], row["waiting"]) == ("submitted", 3, 3)
    assert row["owed_usd"] > 0
    batched.server.batches.end()
    assert "3 answers came in" in run.invoke(cli.app, ["batches", "--collect"]).output
    found = json.loads(run.invoke(cli.app, ["batches", "--collect", "--json"]).output)
    assert found["collected"]["answers"] == 0
    assert [(one["state"], one["answered"]) for one in found["batches"]] == [("collected", 3)]
    assert batched.signals().done == 3
