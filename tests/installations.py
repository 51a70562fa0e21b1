"""An installation for tests of Dagster's side: the test's own database, its environment, Dagster's instance in it."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import create_engine, text

from elmer_pipelines.installation import environment
from elmer_pipelines.resources import close_pipelines
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.store.database import application_url, dagster_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.embedded import EmbeddedServer

# Dagster 1.13 itself asks pydantic 2 for `__fields__` whenever it meets a resource.
DAGSTER_WARNINGS = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")
_READY = "elmer_dagster_template"


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, template: str) -> str:
    """A migrated database in which Dagster has made its tables too: a second saved per test."""
    engine = create_engine(application_url(server.url()), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :n"), {"n": _READY}).first() is None:
            connection.execute(text(f"CREATE DATABASE {_READY} TEMPLATE {template}"))
            folder = tempfile.mkdtemp(prefix="elmer-dagster-")
            storage = {"postgres": {"postgres_url": dagster_url(server.url(_READY))}}
            with dg.DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides={"storage": storage})):
                pass
            shutil.rmtree(folder)
    engine.dispose()
    return _READY


@pytest.fixture
def installation(
    database: Database, workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of an installation whose workspace `acme` has an empty folder; the environment is set for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    settings = load_settings()
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    try:
        yield load_settings()
    finally:
        close_pipelines()


@pytest.fixture
def instance(installation: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of that installation, its workspaces registered."""
    from elmer_pipelines.definitions import prepare_instance

    with prepare_instance(installation) as own:
        yield own


def a_run(instance: dg.DagsterInstance, settings: Settings, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run of `refresh` on `acme` as Dagster's storage knows it, in some status; no process works on it."""
    from elmer_pipelines.definitions import LOCATION, build_definitions

    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__")
    return instance.create_run_for_job(
        build_definitions(settings).resolve_job_def("refresh"),
        tags={"dagster/partition": "acme"},
        status=status,
        remote_job_origin=RemoteJobOrigin(repository, "refresh"),
        job_code_origin=None,
    )
