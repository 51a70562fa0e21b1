"""Real processes: two at once, one that is killed, and the whole stack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psutil
import pytest
from sqlalchemy import text

from elmer_pipelines.definitions import run_workspace
from elmer_pipelines.stack import free_port
from sensors import abandoned_runs
from sensors.abandoned_runs import reap

if TYPE_CHECKING:
    from collections.abc import Callable

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

PROJECT = Path(__file__).parents[2]
RUN = (
    "import sys; from elmer_pipelines.definitions import run_workspace; sys.exit(not run_workspace('acme', '+signals'))"
)
DEV = (
    "import sys; from elmer_pipelines.definitions import run_dev; from elmer_pipelines.settings import load_settings;"
    "sys.exit(run_dev(load_settings(), int(sys.argv[1])))"
)


def _spawn(folder: Path, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python process in the test's installation; its output goes to a file, as pipes would fill."""
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _until(true: Callable[[], Any], what: str, folder: Path, seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"{what} did not happen in {seconds} s: {(folder / 'output.txt').read_text()[-3000:]}")


def _write(folder: Path, number: int) -> None:
    for one in range(number):
        (folder / f"{one:03}.md").write_text(f"Person {one}: The export fails every time on page {one}, I need it.\n")


def test_two_runs_at_once_do_no_record_twice(
    installation: Settings, instance: dg.DagsterInstance, database: Database, tmp_path: Path
) -> None:
    _write(tmp_path / "acme", 12)
    both = [_spawn(tmp_path, RUN) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0], (tmp_path / "output.txt").read_text()
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT step, count(*), sum(attempts) FROM elmer.outcomes WHERE record_id <> 'all' GROUP BY 1")
        ).all()
    assert sorted(tuple(row) for row in rows) == [("documents", 12, 12), ("signals", 12, 12)]
    done = [
        record.asset_materialization.metadata["done"].value  # type: ignore[union-attr]
        for record in instance.fetch_materializations(dg.AssetKey("signals"), limit=10).records
    ]
    assert sorted(done) == [0, 12]


def test_a_killed_run_leaves_nothing_behind(
    installation: Settings,
    instance: dg.DagsterInstance,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(abandoned_runs, "_LOOK_AGAIN_SECONDS", 0.1)  # for runs that are ending; this one has ended
    _write(tmp_path / "acme", 12)
    assert run_workspace("acme", "documents", settings=installation)
    with database.begin() as blocker:  # signals can't be saved: the run stops in the middle of its step
        blocker.execute(text("LOCK TABLE elmer.signals IN ACCESS EXCLUSIVE MODE"))
        run = _spawn(tmp_path, RUN)
        _until(lambda: _blocked(database), "the run's wait for the table", tmp_path)
        (started,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert reap(instance, database, nothing_else_runs=True) == []  # it lives
        run.send_signal(signal.SIGKILL)
        run.wait(10)
    assert instance.event_log_storage.get_concurrency_info("anthropic").active_slot_count == 1

    _until(lambda: not _claimed_by_alive(database), "the end of its session", tmp_path)
    assert reap(instance, database, nothing_else_runs=True) == [started.run_id]
    ended = instance.get_run_by_id(started.run_id)
    assert ended is not None and ended.status == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_info("anthropic").active_slot_count == 0

    assert run_workspace("acme", "signals", settings=installation)
    with database.begin() as connection:
        states = connection.execute(
            text("SELECT state, count(*) FROM elmer.outcomes WHERE step = 'signals' GROUP BY 1")
        )
        assert [tuple(row) for row in states] == [("done", 12)]


def _blocked(database: Database) -> bool:
    with database.begin() as connection:
        waiting = connection.execute(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'")
        )
        return bool(waiting.scalar_one())


def _claimed_by_alive(database: Database) -> bool:
    with database.begin() as connection:
        sessions = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name LIKE 'elmer run %'"
            )
        )
        return bool(sessions.scalar_one())


@pytest.mark.timeout(180)
def test_the_stack_starts_runs_and_stops(installation: Settings, tmp_path: Path) -> None:
    _write(tmp_path / "acme", 3)
    port = free_port(0)
    stack = _spawn(tmp_path, DEV, str(port))
    try:
        _until(lambda: _jobs(port) if stack.poll() is None else pytest.fail("it ended"), "the code location", tmp_path)
        nodes = _ask(port, "{assetNodes{assetKey{path} groupName}}")["assetNodes"]
        assert len(nodes) == 14
        run_id = _launch(port)
        found = _until(lambda: _ended(port, run_id), "the end of the run", tmp_path, 90)
        assert found == "SUCCESS", (tmp_path / "output.txt").read_text()[-3000:]
        family = [psutil.Process(stack.pid), *psutil.Process(stack.pid).children(recursive=True)]
        assert len(family) >= 4
    finally:
        began = time.monotonic()
        stack.send_signal(signal.SIGTERM)
        code = stack.wait(60)
    assert code == 0 and time.monotonic() - began < 60
    _until(lambda: not any(one.is_running() for one in family), "the end of every process", tmp_path, 10)


def _ask(port: int, query: str, **variables: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    assert "errors" not in found, found
    return found["data"]


def _jobs(port: int) -> bool:
    try:
        found = _ask(port, "{repositoriesOrError{... on RepositoryConnection{nodes{jobs{name}}}}}")
    except OSError:
        return False
    nodes = found["repositoriesOrError"].get("nodes", [])
    return any(job["name"] == "refresh" for node in nodes for job in node["jobs"])


def _launch(port: int) -> str:
    """As the UI does: the asset job on one partition of some assets."""
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "elmer",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["documents"]}, {"path": ["signals"]}],
    }
    tags = [{"key": "dagster/partition", "value": "acme"}]
    answer = _ask(
        port,
        "mutation($p: ExecutionParams!){launchPipelineExecution(executionParams:$p){__typename "
        "... on LaunchRunSuccess{run{runId}} ... on PythonError{message}}}",
        p={"selector": selector, "runConfigData": "{}", "mode": "default", "executionMetadata": {"tags": tags}},
    )["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def _ended(port: int, run_id: str) -> str | None:
    status = _ask(port, "query($r: ID!){runOrError(runId: $r){... on Run{status}}}", r=run_id)["runOrError"]["status"]
    return str(status) if status in {"SUCCESS", "FAILURE", "CANCELED"} else None
