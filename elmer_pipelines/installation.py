"""One installation: where its files lie, its database, and the variables Dagster's processes need.

Nothing here knows assets or models.
"""

from __future__ import annotations

import atexit
import shutil
from typing import TYPE_CHECKING

from elmer_pipelines.errors import DatabaseError, SettingsError
from elmer_pipelines.settings import PROJECT
from elmer_pipelines.store.database import Database, dagster_url
from elmer_pipelines.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.settings import Settings


_servers: dict[Path, EmbeddedServer] = {}


def embedded_server(settings: Settings) -> EmbeddedServer | None:
    """The installation's own server (one object a process), or None where DATABASE_URL names another."""
    if settings.database_url:
        return None
    home = settings.home_folder
    if home not in _servers:
        _servers[home] = EmbeddedServer(home)
        atexit.register(_servers[home].detach)
    return _servers[home]


def own_server(settings: Settings) -> EmbeddedServer | None:
    """The embedded server also where DATABASE_URL is its own address, as after `eval "$(elmer env)"`."""
    server = EmbeddedServer(settings.home_folder)
    if settings.database_url is None:
        return server
    return server if server.running() and server.url() == settings.database_url.get_secret_value() else None


def database_url(settings: Settings) -> str:
    """The database's URL, after starting the embedded server where that is the one. Raises DatabaseError.

    The embedded server is stopped by the last process that uses it when that one ends.
    """
    server = embedded_server(settings)
    if server is None:
        assert settings.database_url is not None
        return settings.database_url.get_secret_value()
    try:
        return server.attach()
    except OSError as error:
        raise DatabaseError(
            f"The embedded database can't be kept under {server.home}: {error.strerror or error}. "
            "Free some space, or set ELMER_HOME to another folder."
        ) from error


def open_database(settings: Settings, *, migrate: bool = True) -> Database:
    """The installation's database, running and at the newest schema. Raises DatabaseError with the next step."""
    database = Database(database_url(settings))
    if migrate:
        database.migrate()
    return database


def environment(settings: Settings) -> dict[str, str]:
    """The variables under which Dagster's own commands work on this installation; starts the embedded server."""
    url = database_url(settings)
    folder = prepare_dagster_home(settings)
    return {
        "ELMER_HOME": str(settings.home_folder),
        "DATABASE_URL": url,
        "MAX_CONCURRENT": str(settings.max_concurrent),
        "DAGSTER_HOME": str(folder),
        "DAGSTER_PG_URL": dagster_url(url),
        "DAGSTER_ARTIFACTS_DIR": str(folder / "artifacts"),
        "DAGSTER_COMPUTE_LOGS_DIR": str(folder / "logs"),
    }


def prepare_dagster_home(settings: Settings) -> Path:
    """`ELMER_HOME/dagster` with the project's `dagster.yaml`, so that nothing of an installation lies outside."""
    source = PROJECT / "dagster.yaml"
    if not source.exists():
        raise SettingsError(f"{source} is missing; run from a checkout of the project.")
    folder = settings.home_folder / "dagster"
    for part in (folder, folder / "artifacts", folder / "logs"):
        part.mkdir(parents=True, exist_ok=True)
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)
    return folder
