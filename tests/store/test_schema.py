"""Migrations make what the schema says, once, however many start at once; and a newer database is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from elmer_pipelines.errors import DatabaseError
from elmer_pipelines.store.database import Database, application_url, dagster_url
from elmer_pipelines.store.embedded import EmbeddedServer
from elmer_pipelines.store.schema import SCHEMA, metadata


def test_the_migrations_make_the_schema(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table_schema": SCHEMA,
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_many_may_migrate_at_once(server: EmbeddedServer) -> None:
    own = Database(server.url())
    with own.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("CREATE DATABASE at_once"))
    databases = [Database(server.url("at_once")) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: one.migrate(), databases))
    with databases[0].begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM elmer.alembic_version")).scalar_one() == 1
    for one in (own, *databases):
        one.close()


def test_a_database_from_the_future_is_refused(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE elmer.alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="newer version"):
        database.migrate()


def test_a_dead_server_is_named_without_its_password() -> None:
    dead = Database("postgresql://elmer:hunter2@127.0.0.1:1/x")
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1") as caught:
        dead.check()
    assert "hunter2" not in str(caught.value)
    dead.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "sqlite://"])
def test_what_is_no_postgresql_address_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match="DATABASE_URL"):
        application_url(url)


def test_dagster_gets_its_own_schema_and_driver() -> None:
    url = dagster_url("postgresql://elmer:secret@db:5432/orchestrator")
    assert url.startswith("postgresql+psycopg2://elmer:secret@db:5432/orchestrator?")
    assert "search_path%3Ddagster" in url
