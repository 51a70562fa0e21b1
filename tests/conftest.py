"""What every test may use: a real PostgreSQL with pgvector, a database of its own, a registered workspace."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databases import NUMBERS, administer
from servers.model_server import ModelServer

from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = {
    "test_cli.py", "test_processes.py", "test_services.py", "test_resume.py", "test_chaos.py", "test_notebooks.py",
}  # fmt: skip
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30  # bytes; a whole run of two workers was seen to need a twentieth of that


def pytest_configure() -> None:
    """Put temporary files, the databases among them, into memory where there is room and TMPDIR says nothing.

    A database is made there in 9 ms, on a busy disk in 70 to 400.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    found = os.statvfs(_MEMORY)
    if found.f_bavail * found.f_frsize > _ROOM and not found.f_flag & (os.ST_RDONLY | os.ST_NOEXEC):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # so that it is asked for again


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand out the longest files first: one that comes last keeps a worker busy while the other has nothing to do."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests never see the settings, keys or proxies of the machine they run on."""
    for name in list(os.environ):
        if name.startswith(("ELMER_", "ANTHROPIC_", "OPENAI_", "DAGSTER_")) or name in {"DATABASE_URL", "WORKER_ID"}:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """An embedded PostgreSQL for the session, without the promise to survive a power cut."""
    folder = Path(tempfile.mkdtemp(prefix="elmer-tests-"))
    folder.chmod(0o755)  # run as root, the server's own user must be able to enter
    own = EmbeddedServer(folder, fast=True)
    try:
        own.start()
        yield own
    finally:
        own.stop()
        own.remove()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a migrated database to copy."""
    administer(server, "CREATE DATABASE elmer_template")
    database = Database(server.url("elmer_template"))
    database.migrate()
    database.close()
    return "elmer_template"


@pytest.fixture
def database(server: EmbeddedServer, template: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    name = f"test_{next(NUMBERS)}"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    own = Database(server.url(name))
    try:
        yield own
    finally:
        own.close()
        administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def workspace(database: Database, tmp_path: Path) -> str:
    """The id of a workspace whose folder `tmp_path/acme` is there and empty."""
    folder = tmp_path / "acme"
    folder.mkdir()
    with database.begin() as connection:
        workspaces.register(connection, "acme", "Acme", str(folder))
    return "acme"


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A loopback server that speaks Anthropic's and OpenAI's protocols; see its docstring for scripted faults."""
    own = ModelServer().start()
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture
def services(tmp_path: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an installation that believes it talks to Anthropic and OpenAI."""
    for name, value in {
        "ELMER_HOME": str(tmp_path / "home"),
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "ANTHROPIC_BASE_URL": model_server.url,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": model_server.openai_url,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def served(database: Database, tmp_path: Path, services: None) -> Iterator[Pipeline]:
    """A pipeline whose models are services, with the loopback server in their place."""
    own = Pipeline(load_settings(tmp_path), database)
    yield own
    own.close()
