"""The command as a person runs it, in its own process where that matters: help, errors, output, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from elmer_pipelines import cli
from elmer_pipelines.notifications import notify
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store.embedded import EmbeddedServer

TICKETS = """id,text,date
1,The calendar sync doubled all my appointments again and deleting one deletes the job,2026-05-11
2,Invoice export to accounting fails with an error every month,2026-05-12
3,=cmd|'/c calc'!A1 the app crashes when I upload photos,2026-05-13
"""


class Elmer:
    """The command on an installation of the test's own."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.server = EmbeddedServer(home)

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "elmer_pipelines.cli", *arguments],
            env={**kept, "ELMER_HOME": str(self.home), "COLUMNS": "200", **environment},
            cwd=self.folder, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        self.said = done.stderr
        return done.stdout

    def here(self, *arguments: str) -> str:
        """The command in this process, where a process of its own would show nothing more; it has to succeed."""
        environment = {"ELMER_HOME": str(self.home), "DATABASE_URL": self.server.url()}
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(cli.app, arguments, env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture(scope="module")
def elmer(tmp_path_factory: pytest.TempPathFactory) -> Elmer:  # type: ignore[misc]
    folder = tmp_path_factory.mktemp("acme")
    (folder / "tickets.csv").write_text(TICKETS)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    home = tmp_path_factory.mktemp("home")
    command = Elmer(home, folder)
    command("init", "acme", str(folder))
    assert not command.server.running()  # its last user stopped it
    command.server.attach()  # as `elmer dev` does, so that not every command starts and stops it again
    command("run")
    yield command  # type: ignore[misc]
    command.server.detach()
    command.server.stop()
    command.server.remove()


def test_init_wrote_a_workspace_file_and_keeps_one_that_is_there(elmer: Elmer) -> None:
    file = elmer.folder / "workspace.toml"
    file.write_text(file.read_text() + "\n# mine\n")
    assert "written" not in elmer("init", "acme", str(elmer.folder))
    assert file.read_text().endswith("# mine\n")


def test_status_counts_what_there_is(elmer: Elmer) -> None:
    status = json.loads(elmer("status", "--json"))
    assert status["documents"] == {"files": 2, "files_read": 1, "files_failed": 1, "documents": 3, "retired": 0}
    assert status["signals"]["total"] >= 2
    assert (status["model_calls"], status["cost_usd"]) == (0, 0)
    assert "acme" in elmer("status")


def test_status_tells_what_people_were_told_of_late(elmer: Elmer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMER_HOME", str(elmer.home))
    notify(load_settings(elmer.folder), "cluster_spike", "acme", "Login loop [C-1] is growing.")
    assert "Login loop [C-1] is growing." in elmer("status")
    assert json.loads(elmer("status", "--json"))["notifications"][0]["kind"] == "cluster_spike"


def test_costs_are_told_by_what_one_asks_for(elmer: Elmer) -> None:
    (row,) = json.loads(elmer("costs", "--by", "workspace", "--json"))
    assert (row["workspace"], row["cost_usd"]) == ("acme", 0.0)
    assert {one["asset"] for one in json.loads(elmer("costs", "--by", "asset", "--json"))} >= {"signals"}
    assert "of 2.50 USD" in elmer("costs", ELMER_BUDGET_USD="2.5")


def test_failures_say_why_and_what_next(elmer: Elmer) -> None:
    (failure,) = json.loads(elmer("failures", "--json"))
    assert (failure["step"], failure["record_id"]) == ("documents", "broken.pdf")
    assert failure["message"]
    assert failure["next_step"]
    assert "broken.pdf" in elmer("failures")
    assert "pending again" in elmer("failures", "--retry")
    elmer("run")
    assert len(json.loads(elmer("failures", "--json"))) == 1


def test_plan_says_what_a_run_would_do(elmer: Elmer) -> None:
    plans = {one["step"]: one for one in json.loads(elmer("plan", "--json"))}
    assert (plans["documents"]["to_do"], plans["documents"]["failed"], plans["documents"]["fresh"]) == (0, 1, 1)
    assert "1 failed, left to you" in elmer("plan")
    assert "Everything is fresh" in elmer("plan", "--select", "signals+")
    elmer("plan", "--select", "signal", code=2)
    assert "selects no assets" in elmer.said


def test_explain_says_why_a_record_is_as_it_is(elmer: Elmer) -> None:
    (step,) = json.loads(elmer("explain", "broken.pdf", "--json"))["steps"]
    assert (step["step"], step["verdict"], step["error_kind"]) == ("documents", "failed", "broken")
    shown = elmer("explain", "tickets.csv")
    assert "documents" in shown and "fresh" in shown
    elmer("explain", "nothing.csv", code=2)
    assert "no record" in elmer.said


def test_search_then_trace_ends_at_the_words(elmer: Elmer) -> None:
    found = json.loads(elmer("search", "appointments twice", "--json"))
    assert "doubled all my appointments" in found[0]["verbatim"]
    (quote,) = json.loads(elmer("trace", f"[{found[0]['id']}]", "--json"))["quotes"]
    assert quote["verbatim"] == found[0]["verbatim"]
    assert quote["document"]["address"] == "tickets.csv#1"
    assert found[0]["id"] in elmer("trace", found[0]["id"])
    assert json.loads(elmer("trace", "tickets.csv#1", "--json"))["id"] == quote["document"]["id"]


@pytest.mark.parametrize("what", ["documents", "signals", "clusters", "links", "artifacts"])
def test_every_export_is_the_same_in_every_format(elmer: Elmer, what: str, tmp_path: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        elmer.here("export", what, "--format", form, "--output", str(tmp_path / f"x.{form}"))
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    parquet = pd.read_parquet(tmp_path / "x.parquet")
    assert len(parquet) == len(rows)
    if rows:
        csv = pd.read_csv(tmp_path / "x.csv")
        assert list(csv.columns) == list(parquet.columns) == list(rows[0])


def test_an_exported_signal_points_at_its_words(elmer: Elmer) -> None:
    for line in elmer("export", "signals", "--format", "jsonl").splitlines():
        row = json.loads(line)
        assert row["verbatim"] in TICKETS
        assert row["end"] - row["start"] == len(row["verbatim"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("trace", "S-nothing"), "no record"),
        (("status", "--workspace", "nobody"), "elmer init nobody PATH"),
        (("run", "--select", "no_such_asset"), "no_such_asset"),
        (("init", "Bad Name", "."), "lower-case"),
        (("init", "gone", "/does/not/exist"), "/does/not/exist"),
        (("export", "signals", "--format", "parquet"), "--output"),
    ],
)
def test_a_mistake_is_one_clear_message(elmer: Elmer, arguments: tuple[str, ...], expected: str) -> None:
    elmer(*arguments, code=2)
    assert expected in elmer.said.replace("\n", " ")
    assert "Traceback" not in elmer.said


def test_an_unknown_setting_and_a_dead_database_are_named(elmer: Elmer) -> None:
    elmer("status", code=2, ELMER_TYPO="1")
    assert "ELMER_TYPO" in elmer.said
    elmer("status", code=2, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert "DATABASE_URL" in elmer.said
    assert "hunter2" not in elmer.said


def test_doctor_tells_of_every_setting_without_its_value(elmer: Elmer) -> None:
    told = elmer("doctor", LINEAR_API_KEY="lin_api_secret")
    assert "LINEAR_API_KEY" in told
    assert "from environment" in told
    assert "lin_api_secret" not in told
    assert "pgvector" in told


def test_doctor_finds_a_model_service_that_is_not_there(elmer: Elmer) -> None:
    told = elmer("doctor", code=1, ANTHROPIC_API_KEY="sk-ant-secret", ANTHROPIC_BASE_URL="http://127.0.0.1:1")
    assert "broken" in told
    assert "sk-ant-secret" not in told


def test_env_prints_what_dagster_needs_and_keeps_the_server(elmer: Elmer) -> None:
    elmer.server.detach()
    assert not elmer.server.running()
    printed = elmer("env")
    names = {line.removeprefix("export ").split("=", 1)[0] for line in printed.splitlines()}
    assert {"DAGSTER_HOME", "DAGSTER_PG_URL", "ELMER_HOME", "DATABASE_URL"} <= names
    assert elmer.server.running()
    elmer("stop")
    assert not elmer.server.running()
    elmer.server.attach()


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).stdout
    for name in [
        "demo",
        "init",
        "run",
        "dev",
        "status",
        "search",
        "trace",
        "export",
        "failures",
        "doctor",
        "env",
        "eval",
    ]:
        assert f" {name} " in shown
