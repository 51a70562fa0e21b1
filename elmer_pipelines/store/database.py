"""Reaching PostgreSQL: URLs, the pool, migrations, advisory locks. No tables' functions live here."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import URL, Connection, Engine, String, column, create_engine, make_url, select, table, text
from sqlalchemy.exc import DBAPIError, OperationalError

from elmer_pipelines.errors import DatabaseError
from elmer_pipelines.store.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")
DAGSTER_SCHEMA = "dagster"
_LARGE = ("outcomes", "documents", "document_versions", "signals", "embeddings", "cluster_members", "signal_links")
_MIGRATIONS = Path(__file__).parent / "migrations"


def application_url(url: str) -> str:
    """The same database through psycopg 3. Raises DatabaseError when it is no PostgreSQL URL."""
    parsed = _parsed(url)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def dagster_url(url: str) -> str:
    """The same database for Dagster: psycopg2, which dagster-postgres speaks, and its own schema."""
    parsed = _parsed(url).set(drivername="postgresql+psycopg2")
    return parsed.update_query_dict({"options": f"-csearch_path={DAGSTER_SCHEMA}"}).render_as_string(
        hide_password=False
    )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseError("DATABASE_URL is no database address; write postgresql://user:…@host:port/name.") from error
    if not parsed.drivername.startswith("postgres"):
        raise DatabaseError(f"DATABASE_URL names {parsed.drivername}; only postgresql:// is supported.")
    return parsed


class Database:
    """A pool of connections to one database, at the newest schema after `migrate()`.

    Safe between threads; a process that forks must make its own.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        self.engine: Engine = create_engine(
            application_url(url), pool_size=pool_size, max_overflow=24, pool_pre_ping=True,
            hide_parameters=True,  # errors are shown to people and stored; customers' words are not part of them

            connect_args={"application_name": "elmer", "connect_timeout": 10},
        )  # fmt: skip
        self._readers: Engine = create_engine(
            application_url(url), pool_size=pool_size, max_overflow=24, isolation_level="AUTOCOMMIT",
            connect_args={"application_name": "elmer", "connect_timeout": 10},
        )  # fmt: skip

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self.engine.begin() as connection:
            yield connection

    def look_up(self, read: Callable[[Connection], Result]) -> Result:
        """What one statement that only reads gives, in one round trip: no transaction, no ping before.

        A connection that was lost meanwhile is found out by the statement, which is then sent on a new one.
        """
        try:
            with self._readers.connect() as connection:
                return read(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with self._readers.connect() as connection:
            return read(connection)

    def check(self) -> str:
        """The server's version. Raises DatabaseError with what to do when it can't be reached."""
        try:
            with self.engine.connect() as connection:
                return str(connection.execute(text("SHOW server_version")).scalar_one())
        except OperationalError as error:
            where = make_url(self.url).render_as_string(hide_password=True)
            reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
            raise DatabaseError(
                f"The database at {where} can't be reached: {reason}. "
                "Check DATABASE_URL and that the server runs, or unset it to use the embedded one."
            ) from error

    def migrate(self) -> None:
        """Bring the database to the newest schema; several processes may call it at once.

        Raises DatabaseError when pgvector is not available or the database is newer than this program.
        """
        self.check()
        if self._revision() == newest_revision():
            return  # almost every command finds it so: Alembic would take longer to load than most take to answer

        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self.locked("elmer:migrate") as connection:
            try:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {DAGSTER_SCHEMA}"))
                connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            except DBAPIError as error:
                reason = str(error.orig).strip().splitlines()[0]
                raise DatabaseError(
                    f"The database could not be migrated: {reason}. It needs pgvector 0.8 or newer "
                    "and a user that may create schemas and extensions."
                ) from error
            except CommandError as error:
                raise DatabaseError(
                    f"The database could not be migrated: {error}. It may have been made by a newer version of Elmer."
                ) from error

    def _revision(self) -> str | None:
        """The migration the database is at; None where none has been made."""
        with self.engine.connect() as connection:
            made = connection.execute(text("SELECT to_regclass(:t)"), {"t": f"{SCHEMA}.alembic_version"}).scalar_one()
            if made is None:
                return None
            version = column("version_num", String)
            kept = select(version).select_from(table("alembic_version", version, schema=SCHEMA))
            return connection.execute(kept).scalar_one_or_none()

    @contextmanager
    def locked(self, name: str) -> Iterator[Connection]:
        """A transaction during which nobody else holds the same name, in any process or machine; waits its turn."""
        with self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})
            yield connection

    def analyse(self) -> None:
        """Let the planner know what a large change did: fresh rows are otherwise planned for as if there were none."""
        with self.begin() as connection:
            connection.execute(text(f"ANALYZE {', '.join(f'{SCHEMA}.{table}' for table in _LARGE)}"))

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()
        self._readers.dispose()


def newest_revision() -> str:
    """The last migration there is: their files are numbered."""
    return max(file.name for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py")).partition("_")[0]


def lock_key(name: str) -> int:
    """PostgreSQL's 64-bit advisory lock number for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
