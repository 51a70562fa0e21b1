"""Migrations make what the schema says, once, however many start at once; and a newer database is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from databases import administer
from sqlalchemy import text

from elmer_pipelines.errors import DatabaseError
from elmer_pipelines.store import migrations
from elmer_pipelines.store.database import Database, application_url, dagster_url, newest_revision
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


def test_what_is_there_stays_and_gets_its_language(server: EmbeddedServer) -> None:
    administer(server, "CREATE DATABASE before_0005")
    old = Database(server.url("before_0005"))
    _upgrade(old, "0001")
    with old.begin() as connection:
        for statement in _ROWS:
            connection.execute(text(statement))
    old.migrate()
    with old.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT language, merged_into, words @@ to_tsquery('german', 'Termin') AS stemmed, "
                "words @@ to_tsquery('simple', 'terminen') AS plain FROM elmer.signals"
            )
        ).all()
        assert rows == [("german", None, True, True)]
        assert connection.execute(text("SELECT language FROM elmer.document_versions")).scalars().all() == ["german"]
    _upgrade(old, "0001", back=True)
    with old.begin() as connection:
        assert connection.execute(text("SELECT words @@ 'terminen' FROM elmer.signals")).scalars().all() == [True]
    old.close()


_GERMAN = "Wir haben das schon gesehen und es ist nicht gut. Mit Terminen geht nichts."
_ROWS = (
    "INSERT INTO elmer.workspaces (id, name, root) VALUES ('acme', 'Acme', '/nowhere')",
    "INSERT INTO elmer.documents (workspace_id, id, address, source_path, content_hash) "
    "VALUES ('acme', 'D-1', 'a', 'a', 'h')",
    "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, format, "
    f"title, text, segments, people, metadata) VALUES ('acme', 'D-1', 'h', 'h', 'note', 'text', 'A', '{_GERMAN}', "
    "'[]', '[]', '{}')",
    'INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, "end", verbatim, text_hash, match, '
    "extractor) VALUES ('acme', 'S-1', 'D-1', 'h', 50, 74, 'Mit Terminen geht nichts.', 'h', 'exact', 'x')",
)


def _upgrade(database: Database, revision: str, *, back: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        config.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(config, revision)


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


def test_the_last_file_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


def test_where_nothing_is_to_be_migrated_alembic_is_not_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "upgrade", lambda _, revision: asked.append(revision))
    database.migrate()
    assert asked == []
    with database.begin() as connection:
        connection.execute(text("UPDATE elmer.alembic_version SET version_num = '0001'"))
    database.migrate()
    assert asked == ["head"]


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
