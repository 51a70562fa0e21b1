"""The embedded server: starts, restarts on its port, survives a kill, and is one however many start it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from elmer_pipelines.errors import DatabaseError
from elmer_pipelines.store.embedded import EmbeddedServer


def _one(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def test_a_restart_keeps_the_data_and_the_port(tmp_path: Path) -> None:
    own = EmbeddedServer(tmp_path / "home", fast=True)
    try:
        first = own.start()
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        own.stop()
        assert not own.running()
        assert own.start() == first
        assert _one(first, "SELECT n FROM kept") == 7
    finally:
        own.stop()
        own.remove()


def test_it_comes_back_after_its_postmaster_was_killed(tmp_path: Path) -> None:
    own = EmbeddedServer(tmp_path / "home", fast=True)
    try:
        own.start()
        os.kill(int((own.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        assert _one(own.start(), "SELECT 1") == 1
    finally:
        own.stop()
        own.remove()


def test_an_initdb_that_was_killed_half_way_is_made_anew(tmp_path: Path) -> None:
    own = EmbeddedServer(tmp_path / "home", fast=True)
    own.data.mkdir(parents=True)
    (own.data / "half-written").write_text("x")
    try:
        assert _one(own.start(), "SELECT 1") == 1
    finally:
        own.stop()
        own.remove()


def test_many_starters_get_one_server(server: EmbeddedServer) -> None:
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(lambda _: EmbeddedServer(server.home, fast=True).start(), range(4)))
    assert len(urls) == 1


def test_a_stopped_server_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="not running"):
        EmbeddedServer(tmp_path).url()


def test_pgvector_is_there(server: EmbeddedServer) -> None:
    assert _one(server.url(), "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 1


def test_the_last_user_stops_it(tmp_path: Path) -> None:
    first, second = (EmbeddedServer(tmp_path / "home", fast=True) for _ in range(2))
    try:
        assert first.attach() == second.attach()
        first.detach()
        assert second.running()
        second.detach()
        assert not second.running()
    finally:
        first.stop()
        first.remove()


def test_it_stays_when_asked_to(tmp_path: Path) -> None:
    own = EmbeddedServer(tmp_path / "home", fast=True)
    try:
        own.attach()
        own.keep()
        own.detach()
        assert own.running()
    finally:
        own.stop()
        own.remove()
    assert not own.running()
