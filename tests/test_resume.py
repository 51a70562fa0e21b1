"""Killed and started again, at twenty moments while it reads and at some in every later step that asks a model, a run
ends where an undisturbed one does, row for row (I2)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from databases import NUMBERS, administer
from servers.model_server import Call, ModelServer, Reply
from sqlalchemy import text

from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.settings import PROJECT
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

DOCUMENTS, KILLS, LATENCY = 200, 20, 0.02
OPEN = 1.0  # seconds that a request for vectors stays open while runs are killed: longer than any of them lives then
TABLES = ("documents", "signals", "rejected_quotes", "embeddings", "outcomes", "model_answers")
READING = "documents signals signal_embeddings"
LATER = (
    "clusters", "cluster_members", "cluster_trends", "projects", "signal_classifications", "signal_links",
    "initiatives", "artifacts", "citations",
)  # fmt: skip
LATER_DOCUMENTS, LATER_KILLS = 60, 10
# What tells of the moment, or counts up: not part of the end state.
_OF_THE_MOMENT = {"run_id", "request_id", "claimed_until", "at"}


class CountingServer(ModelServer):
    """Answers after 20 ms, for vectors after `open_vectors`; knows how many calls came and were open at once."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Condition()
        self.seen = {"messages": 0, "embeddings": 0}
        self.asked: Counter[str] = Counter()
        self.open = self.most_open = 0
        self.open_vectors = LATENCY

    def reply(self, call: Call) -> Reply:
        with self.arrived:
            self.seen[call.endpoint] += 1
            self.asked[_purpose(call)] += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            self.arrived.notify_all()
        self.released.wait(self.open_vectors if call.endpoint == "embeddings" else LATENCY)
        try:
            return super().reply(call)
        finally:
            with self.arrived:
                self.open -= 1

    def forget(self) -> None:
        """Count from nothing again."""
        with self.arrived:
            self.seen = dict.fromkeys(self.seen, 0)
            self.asked.clear()
            self.most_open = 0

    def wait_for(self, purpose: str, calls: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.asked[purpose] >= calls, timeout=60), (purpose, self.asked)


def _purpose(call: Call) -> str:
    """What a call is for, by the form of the answer it wants."""
    if call.endpoint == "embeddings":
        return "embeddings"
    fields = set(call.body["output_config"]["format"]["schema"]["properties"])
    found = {"signals": "extraction", "project_id": "classification", "sections": "artifact", "name": "theme"}
    return next(purpose for field, purpose in found.items() if field in fields)


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
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """200 documents, or as many as the test says, about six needs, and two projects."""
    place = tmp_path / "acme"
    place.mkdir()
    (place / "workspace.toml").write_text(
        'name = "Acme"\n[automation]\ndepth = "full_auto"\nprd_signals = 3\n[[projects]]\nname = "Calendar sync"\n'
        'description = "Calendar appointments must not appear doubled after synchronising."\n'
        '[[projects]]\nname = "Bookkeeping"\n'  # near enough to one need to be judged, not near enough to be linked
        'description = "Bookkeepers shall not retype numbers manually; exports for accounting must work always."\n'
    )
    for number in range(getattr(request, "param", DOCUMENTS)):
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


def _end_state(database: Database, tables: Sequence[str] = TABLES) -> dict[str, list[str]]:
    """Every row of every table that results from a run, without times and run ids, sorted."""
    found = {}
    with database.begin() as connection:
        for table in tables:
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
    """What for, calls of that kind, and seconds after that: eighteen while documents are read, two at the vectors."""
    reading = sorted(chance.sample(range(1, DOCUMENTS), KILLS - 2))
    at = [("extraction", count) for count in reading] + [("embeddings", 1), ("embeddings", 2)]
    return [(endpoint, count, chance.uniform(0, 0.05)) for endpoint, count in at]


def test_a_run_killed_twenty_times_ends_like_one_left_alone(
    databases: tuple[Database, Database], counting: CountingServer, runs: Runs, tmp_path: Path
) -> None:
    alone, killed = databases
    home = tmp_path / "home"  # the same path for both, as outcomes depend on where artifacts are written
    runs.start(DATABASE_URL=alone.url, ELMER_HOME=str(home), STEPS=READING)
    assert runs.end() == 0
    assert counting.asked["extraction"] == DOCUMENTS
    undisturbed = dict(counting.seen)
    counting.forget()
    counting.open_vectors = OPEN  # so that the next run has to ask again
    settings = {"DATABASE_URL": killed.url, "ELMER_HOME": str(home), "STEPS": READING}
    _kill(runs, counting, _moments(random.Random(20)), settings)
    runs.start(**settings)
    assert runs.end() == 0

    _assert_same(_end_state(alone), _end_state(killed))
    assert counting.asked["extraction"] <= DOCUMENTS + KILLS * counting.most_open
    assert counting.most_open <= 64
    print(f"{counting.asked}, most open {counting.most_open}, calls {counting.seen}, {undisturbed}")


def _kill(
    runs: Runs, counting: CountingServer, moments: list[tuple[str, int, float]], settings: dict[str, str]
) -> None:
    """Start a run for every moment, and kill it then."""
    for purpose, calls, later in moments:
        child = runs.start(**settings)
        counting.wait_for(purpose, calls)
        time.sleep(later)
        os.kill(child, signal.SIGKILL)
        assert runs.end() == -signal.SIGKILL


def _assert_same(expected: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    assert {table: len(rows) for table, rows in found.items()} == {table: len(rows) for table, rows in expected.items()}
    differing = {
        table: (
            sorted(set(found[table]) - set(expected[table]))[:2],
            sorted(set(expected[table]) - set(found[table]))[:2],
        )
        for table in expected
        if found[table] != expected[table]
    }
    assert differing == {}
    assert all(expected[table] for table in expected if table != "rejected_quotes"), {
        table: len(rows) for table, rows in expected.items()
    }


@pytest.mark.parametrize("folder", [LATER_DOCUMENTS], indirect=True)
def test_killed_while_it_names_judges_and_writes_it_ends_like_one_left_alone(
    databases: tuple[Database, Database], counting: CountingServer, runs: Runs, tmp_path: Path
) -> None:
    alone, killed = databases
    home, later = tmp_path / "home", " ".join(STEPS)
    for database in databases:
        runs.start(DATABASE_URL=database.url, ELMER_HOME=str(home), STEPS=READING)
        assert runs.end() == 0
    counting.forget()
    runs.start(DATABASE_URL=alone.url, ELMER_HOME=str(home), STEPS=later)
    assert runs.end() == 0
    undisturbed = Counter(counting.asked)
    assert undisturbed.keys() == {"theme", "classification", "artifact", "embeddings"}
    counting.forget()
    chance = random.Random(7)
    moments = [
        (purpose, count, chance.uniform(0, 0.04))
        for purpose in ("theme", "classification", "artifact")
        for count in sorted(chance.choices(range(1, undisturbed[purpose] + 1), k=LATER_KILLS // 3))
    ]
    settings = {"DATABASE_URL": killed.url, "ELMER_HOME": str(home), "STEPS": later}
    _kill(runs, counting, moments, settings)
    runs.start(**settings)
    assert runs.end() == 0
    _assert_same(_end_state(alone, (*TABLES, *LATER)), _end_state(killed, (*TABLES, *LATER)))
    assert counting.asked.total() <= undisturbed.total() + len(moments) * counting.most_open
    print(f"{counting.asked}, most open {counting.most_open}, undisturbed {undisturbed}")
