"""What a run holds in PostgreSQL while its process lives: its workspace, and the proof that it lives.

Both are session advisory locks: they end with the process, however it ends. Nothing here knows Dagster.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from elmer_pipelines.store.database import application_url, lock_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import TextClause

    from elmer_pipelines.store.database import Database

_LOG = logging.getLogger(__name__)
_TRY_SECONDS = 0.5
_TELL_SECONDS = 60
_PING_SECONDS = 10
_NAME = "elmer run "  # application_name in pg_stat_activity; PostgreSQL cuts it at 63 bytes
_HELD = """
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = :key
"""


def is_alive(connection: Connection, run_id: str) -> bool:
    """Whether the process of the run lives and has said so with `living` or `holding`."""
    return _holder(connection, _life(run_id)) is not None


@contextmanager
def living(database: Database, run_id: str) -> Iterator[None]:
    """During the block others see that the run's process lives. The same run may say so more than once."""
    held = _Session(database.url, run_id)
    try:
        held.take(text("SELECT pg_advisory_lock_shared(:key) IS NOT NULL"), _life(run_id))
        yield
    finally:
        held.close()


@contextmanager
def holding(database: Database, run_id: str, workspace_id: str, log: logging.Logger) -> Iterator[None]:
    """During the block the run lives and is alone on its workspace; waits for its turn, saying for whom."""
    with living(database, run_id):
        held = _Session(database.url, run_id)
        try:
            _wait_for(held, workspace_id, log)
            _forget_claims(database, workspace_id)
            yield
        finally:
            held.close()


def _wait_for(held: _Session, workspace_id: str, log: logging.Logger) -> None:
    key, told = lock_key(f"elmer:workspace:{workspace_id}"), 0.0
    while not held.take(text("SELECT pg_try_advisory_lock(:key)"), key):
        if time.monotonic() - told > _TELL_SECONDS or not told:
            told = time.monotonic()
            log.info("Waiting for %s, which works on workspace %s.", held.holder(key) or "another run", workspace_id)
        time.sleep(_TRY_SECONDS)


def _forget_claims(database: Database, workspace_id: str) -> None:
    """Who claimed records of this workspace held its lock, so what is claimed now was left by a killed run."""
    with database.begin() as connection:
        connection.execute(
            text(
                "UPDATE elmer.outcomes SET claimed_by = NULL, claimed_until = NULL "
                "WHERE workspace_id = :w AND state = 'pending' AND claimed_by IS NOT NULL"
            ),
            {"w": workspace_id},
        )


class _Session:
    """One connection that keeps its lock: pinged, and opened again where the server went away meanwhile."""

    def __init__(self, url: str, run_id: str) -> None:
        self._engine: Engine = create_engine(
            application_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True,
            connect_args={"application_name": f"{_NAME}{run_id}", "connect_timeout": 10},
        )  # fmt: skip
        self._connection = self._engine.connect()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="elmer-run-lock", daemon=True)
        self._lock: tuple[TextClause, int] | None = None

    def take(self, statement: TextClause, key: int) -> bool:
        taken = bool(self._connection.execute(statement, {"key": key}).scalar_one())
        if taken:
            self._lock = (statement, key)
            self._keeper.start()
        return taken

    def holder(self, key: int) -> str | None:
        return _holder(self._connection, key)

    def close(self) -> None:
        self._ended.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        with suppress(SQLAlchemyError):  # a server ends a session's locks some time after the session, if not told to
            self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        self._connection.close()
        self._engine.dispose()

    def _keep(self) -> None:
        while not self._ended.wait(_PING_SECONDS):
            try:
                self._connection.execute(text("SELECT 1"))
            except SQLAlchemyError:
                self._again()

    def _again(self) -> None:
        """A new session with the same lock; where another run has it by now, records' claims keep the two apart."""
        try:
            if not self._connection.closed:
                self._connection.invalidate()
                self._connection.close()
            self._connection = self._engine.connect()
            assert self._lock is not None
            statement, key = self._lock
            self._connection.execute(statement, {"key": key})
        except SQLAlchemyError as error:
            _LOG.warning("The lock of a run is lost until the database answers again: %s", error)


def _life(run_id: str) -> int:
    return lock_key(f"elmer:run:{run_id}")


def _holder(connection: Connection, key: int) -> str | None:
    """The `application_name` of the session that holds the lock, None where it is free."""
    found = connection.execute(text("SELECT a.application_name " + _HELD), {"key": key}).scalars().first()
    return None if found is None else str(found)
