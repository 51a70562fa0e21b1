"""Killed at twenty moments and started again each time, a run ends where an undisturbed one does, row for row (I2)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import NUMBERS, administer
from servers.model_server import Call, ModelServer, Reply
from sqlalchemy import text

from elmer_pipelines.settings import PROJECT
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

DOCUMENTS, KILLS, LATENCY = 200, 20, 0.02
OPEN = 1.0  # seconds that a request for vectors stays open while runs are killed: longer than any of them lives then
TABLES = ("documents", "signals", "rejected_quotes", "embeddings", "outcomes", "model_answers")
# What tells of the moment, or counts up: not part of the end state.
_OF_THE_MOMENT = {"run_id", "request_id", "claimed_until", "at"}


class CountingServer(ModelServer):
    """Answers after 20 ms, for vectors after `open_vectors`; knows how many calls came and were open at once."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Condition()
        self.seen = {"messages": 0, "embeddings": 0}
        self.extractions = self.open = self.most_open = 0
        self.open_vectors = LATENCY

    def reply(self, call: Call) -> Reply:
        with self.arrived:
            self.seen[call.endpoint] += 1
            self.extractions += '"quote"' in json.dumps(call.body.get("output_config"))
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            self.arrived.notify_all()
        self.released.wait(self.open_vectors if call.endpoint == "embeddings" else LATENCY)
        try:
            return super().reply(call)
        finally:
            with self.arrived:
                self.open -= 1

    def wait_for(self, endpoint: str, calls: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.seen[endpoint] >= calls, timeout=60), (endpoint, self.seen)


class Runs:
    """Starts runs in processes of their own."""

    def __init__(self, environment: dict[str, str]) -> None:
        program = [sys.executable, str(Path(__file__).with_name("killed_run.py"))]
        self._nursery = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=PROJECT
        )

    def start(self, **settings: str) -> int:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(settings) + "\n")
        self._nursery.stdin.flush()
        return self._line()

    def end(self) -> int:
        """The exit status of the run started last, negative where a signal ended it."""
        return self._line()

    def close(self) -> None:
        self._nursery.communicate(timeout=30)

    def _line(self) -> int:
        assert self._nursery.stdout is not None
        return int(self._nursery.stdout.readline())


@pytest.fixture
def counting() -> Iterator[CountingServer]:
    own = CountingServer()
    own.start()
    yield own
    own.stop()


@pytest.fixture
def runs(counting: CountingServer, tmp_path: Path) -> Iterator[Runs]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment |= {
        "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
        "ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": counting.url,
        "OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": counting.openai_url,
    }  # fmt: skip
    own = Runs(environment)
    yield own
    own.close()


# No two share a word, so that no two clusters get the same name: which of them keeps it would be the faster one's luck.
NEEDS = (
    (
        "Calendar appointments appear doubled after synchronising.",
        "Deleting duplicates takes my whole Monday, {n} by now.",
    ),
    ("Invoice exports crash with accounting figures.", "Bookkeepers retype {n} numbers manually every single month."),
    ("Uploading photos freezes the phone.", "Pictures from cellars vanish, {n} already lost forever."),
    ("Offline notes disappear without network coverage.", "Technicians rewrite {n} remarks on paper instead."),
    ("Route planning ignores traffic jams badly.", "Drivers arrive late at {n} customers across town."),
    ("Passwords expire far too quickly here.", "Colleagues call support about login trouble, {n} times."),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """200 documents about six needs, and a project."""
    place = tmp_path / "acme"
    place.mkdir()
    (place / "workspace.toml").write_text(
        'name = "Acme"\n[automation]\nprd_signals = 3\n[[projects]]\nname = "Calendar sync"\n'
        'description = "Calendar appointments must not appear doubled after synchronising."\n'
    )
    for number in range(DOCUMENTS):
        said = "\n\n".join(NEEDS[number % len(NEEDS)]).format(n=number + 2)
        (place / f"{number:03}.txt").write_text(said + "\n")
    return place


@pytest.fixture
def databases(server: EmbeddedServer, template: str, folder: Path) -> Iterator[tuple[Database, Database]]:
    """Two databases with the same workspace."""
    both = []
    for _ in range(2):
        name = f"test_{next(NUMBERS)}"
        administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        both.append(Database(server.url(name)))
        with both[-1].begin() as connection:
            workspaces.register(connection, "acme", "Acme", str(folder))
    yield both[0], both[1]
    for one in both:
        one.close()
        administer(server, f"DROP DATABASE {one.url.rsplit('/', 1)[-1].split('?')[0]} WITH (FORCE)")


def _end_state(database: Database) -> dict[str, list[str]]:
    """Every row of every table that results from a run, without times and run ids, sorted."""
    found = {}
    with database.begin() as connection:
        for table in TABLES:
            rows = connection.execute(text(f"SELECT to_jsonb(t) AS row FROM elmer.{table} t")).scalars()
            found[table] = sorted(json.dumps(_lasting(row), sort_keys=True) for row in rows)
    return found


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    counted = isinstance(row.get("id"), int)
    if "answer" in row:  # the body is what was said; the rest tells of the call (usage, limits), which may be another
        row = {**row, "answer": json.loads(row["answer"]["body"])["content"]}
    return {
        name: value
        for name, value in row.items()
        if name not in _OF_THE_MOMENT and not name.endswith("_at") and not (counted and name == "id")
    }


def _moments(chance: random.Random) -> list[tuple[str, int, float]]:
    """Endpoint, calls seen there, and seconds after that: eighteen while documents are read, two at the vectors."""
    reading = sorted(chance.sample(range(1, DOCUMENTS), KILLS - 2))
    at = [("messages", count) for count in reading] + [("embeddings", 1), ("embeddings", 2)]
    return [(endpoint, count, chance.uniform(0, 0.05)) for endpoint, count in at]


def test_a_run_killed_twenty_times_ends_like_one_left_alone(
    databases: tuple[Database, Database], counting: CountingServer, runs: Runs, tmp_path: Path
) -> None:
    alone, killed = databases
    home = tmp_path / "home"  # the same path for both, as outcomes depend on where artifacts are written
    runs.start(DATABASE_URL=alone.url, ELMER_HOME=str(home))
    assert runs.end() == 0
    assert counting.extractions == DOCUMENTS
    undisturbed = dict(counting.seen)
    counting.seen, counting.extractions = dict.fromkeys(counting.seen, 0), 0
    counting.open_vectors = OPEN  # so that the next run has to ask again

    for endpoint, calls, later in _moments(random.Random(20)):
        child = runs.start(DATABASE_URL=killed.url, ELMER_HOME=str(home))
        counting.wait_for(endpoint, calls)
        time.sleep(later)
        os.kill(child, signal.SIGKILL)
        assert runs.end() == -signal.SIGKILL
    runs.start(DATABASE_URL=killed.url, ELMER_HOME=str(home))
    assert runs.end() == 0

    expected, found = _end_state(alone), _end_state(killed)
    assert {table: len(rows) for table, rows in found.items()} == {table: len(rows) for table, rows in expected.items()}
    differing = {
        table: (
            sorted(set(found[table]) - set(expected[table]))[:2],
            sorted(set(expected[table]) - set(found[table]))[:2],
        )
        for table in TABLES
        if found[table] != expected[table]
    }
    assert differing == {}
    assert all(expected[table] for table in TABLES if table != "rejected_quotes")
    assert counting.extractions <= DOCUMENTS + KILLS * counting.most_open
    assert counting.most_open <= 64
    print(f"extractions {counting.extractions}, most open {counting.most_open}, calls {counting.seen}, {undisturbed}")
