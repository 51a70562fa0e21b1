"""What a run holds while its process lives."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import text

from elmer_pipelines.store import outcomes, run_locks

if TYPE_CHECKING:
    import pytest

    from elmer_pipelines.store.database import Database

LOG = logging.getLogger("test")


def _alive(database: Database, run_id: str) -> bool:
    with database.begin() as connection:
        return run_locks.is_alive(connection, run_id)


def test_a_run_is_alive_while_it_says_so(database: Database) -> None:
    with run_locks.living(database, "r1"), run_locks.living(database, "r1"):
        assert _alive(database, "r1")
        assert not _alive(database, "r2")
    assert not _alive(database, "r1")


def test_a_second_run_waits_for_its_workspace_and_says_for_whom(
    database: Database, workspace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    entered, waiting = threading.Event(), threading.Event()
    LOG.addFilter(lambda _: waiting.set() or True)

    def second() -> None:
        with run_locks.holding(database, "r2", workspace, LOG):
            entered.set()

    thread = threading.Thread(target=second)
    with run_locks.holding(database, "r1", workspace, LOG), run_locks.holding(database, "r9", "another", LOG):
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
        assert _alive(database, "r2")
        assert "Waiting for elmer run r1, which works on workspace acme." in caplog.text
    assert entered.wait(10)
    thread.join()


def test_claims_left_by_a_killed_run_are_free_for_the_next(database: Database, workspace: str) -> None:
    with database.begin() as connection:
        outcomes.synchronise(connection, workspace, "signals", {"D-1": "v1:a"}, max_attempts=3)
        assert outcomes.claim(connection, workspace, "signals", "dead", 5, 120) == ["D-1"]
    with run_locks.holding(database, "r2", workspace, LOG), database.begin() as connection:
        assert outcomes.claim(connection, workspace, "signals", "r2", 5, 120) == ["D-1"]


def test_the_proof_of_life_survives_a_lost_connection(
    database: Database, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_locks, "_PING_SECONDS", 0.05)
    with run_locks.holding(database, "r1", workspace, LOG):
        with database.begin() as connection:
            ended = connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'elmer run r1' AND datname = current_database()"
                )
            ).all()
        assert len(ended) == 2
        back = threading.Event()
        for _ in range(200):
            if _alive(database, "r1"):
                break
            back.wait(0.05)
        assert _alive(database, "r1")
    assert not _alive(database, "r1")
