"""`elmer doctor`: does what an installation needs work? Settings are named with their source, never their values."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import text

from elmer_pipelines.errors import ElmerError, ModelFault
from elmer_pipelines.installation import open_database
from elmer_pipelines.models.choosing import Purpose, embedding_model, text_model
from elmer_pipelines.models.naming import split_model
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.store import workspaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.models.anthropic_text import AnthropicText
    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

_PURPOSES: tuple[Purpose, ...] = ("extract", "classify", "generate")
State = Literal["fine", "off", "warning", "broken"]
_SERVICES = {
    "linear_api_key": "Linear", "notion_api_key": "Notion", "slack_bot_token": "Slack", "posthog_key": "PostHog",
    "skillsmp_api_key": "SkillsMP", "pylon_webhook_secret": "Pylon", "chromatic_project_token": "Chromatic",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `broken` has in `detail` what to do."""

    group: str
    name: str
    state: State
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Look at the database, folders, workspaces, models and every setting; what can be tried is tried."""
    return [*_folders(settings), *_database(settings), *_models(settings), *_variables(settings)]


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, path in (
        ("ELMER_HOME", str(settings.home_folder)),
        ("ELMER_CONTEXT_PATH", settings.place(settings.context_path)),
    ):
        if "://" in path:
            yield Finding("Folders", name, "warning", f"{path} (a URL: not tried)")
            continue
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
            yield Finding("Folders", name, "fine", path)
        except OSError as error:
            yield Finding("Folders", name, "broken", f"{path}: {error.strerror}. Make it writable or set {name}.")


def _database(settings: Settings) -> Iterator[Finding]:
    kind = "DATABASE_URL" if settings.database_url else "embedded"
    try:
        database = open_database(settings)
    except ElmerError as error:
        yield Finding("Database", kind, "broken", str(error))
        return
    try:
        yield Finding("Database", kind, "fine", f"PostgreSQL {database.check()}")
        with database.begin() as connection:
            version = connection.execute(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")).scalar()
        yield Finding("Database", "pgvector", "fine" if version else "broken", str(version or "run a migration"))
        yield from _workspaces(database)
    finally:
        database.close()


def _workspaces(database: Database) -> Iterator[Finding]:
    from elmer_pipelines.documents.sources import list_sources
    from elmer_pipelines.documents.workspace_file import read_workspace_file

    with database.begin() as connection:
        registered = workspaces.every(connection)
    if not registered:
        yield Finding("Workspaces", "none", "off", "elmer init ID PATH registers a folder")
    for one in registered:
        try:
            read_workspace_file(one.root)
            yield Finding("Workspaces", one.id, "fine", f"{len(list_sources(one.root)):,} files in {one.root}")
        except ElmerError as error:
            yield Finding("Workspaces", one.id, "broken", str(error))


def _models(settings: Settings) -> Iterator[Finding]:
    for purpose in _PURPOSES:
        try:
            model = text_model(settings, purpose)
        except ElmerError as error:
            yield Finding("Models", purpose, "broken", str(error))
            continue
        if model is None:
            local = "no ANTHROPIC_API_KEY: local heuristics and templates are used instead"
            yield Finding("Models", purpose, "off", local)
            continue
        try:
            yield _text(settings, purpose, model)
        finally:
            model.close()
    yield _embeddings(settings)


def _text(settings: Settings, purpose: Purpose, model: AnthropicText | OpenAIText) -> Finding:
    """Asks the service about the model: costs nothing, and proves key, address and name at once."""
    set_name = split_model(getattr(settings, f"model_{purpose}"))[1]
    replaced = model.model != set_name
    note = f"{model.model} (instead of {set_name}, which is retired)" if replaced else model.model
    try:
        lifecycle, retires_at = model.lifecycle()
    except ModelFault as fault:
        return Finding("Models", purpose, "broken", f"{note}: {fault} {_known(model, fault)}{fault.next_step}")
    when = f"{retires_at:%Y-%m-%d}" if retires_at else ""
    if lifecycle == "retired":
        gone = f"{note}: retired{when and f' on {when}'}. Set ELMER_MODEL_{purpose.upper()} to another model."
        return Finding("Models", purpose, "broken", gone)
    state: State = "fine" if lifecycle == "active" and not replaced else "warning"
    return Finding("Models", purpose, state, f"{note}: {lifecycle}{when and f', retires {when}'}")


def _known(model: AnthropicText | OpenAIText, fault: ModelFault) -> str:
    """For a wrong name, the names the key may use; OpenAI's faults have them already."""
    if fault.kind != "not_found" or isinstance(model, OpenAIText):
        return ""
    try:
        return f"The key may use {', '.join(model.known_models())}. "
    except ModelFault:  # the fault that is being told has the cause
        return ""


def _embeddings(settings: Settings) -> Finding:
    model = embedding_model(settings)
    try:
        vector = model.embed(["Does the embedding model answer?"])[0]
    except ModelFault as fault:
        return Finding("Models", "embeddings", "broken", f"{model.model}: {fault} {fault.next_step}")
    finally:
        close = getattr(model, "close", None)
        if close:
            close()
    local = "" if settings.openai_api_key else " (no OPENAI_API_KEY: the local model, which knows English best)"
    return Finding("Models", "embeddings", "fine", f"{model.model}, {len(vector):,} dimensions{local}")


def _variables(settings: Settings) -> Iterator[Finding]:
    for field, names in settings.variables().items():
        source = settings.source_of(field)
        if getattr(settings, field) is None:
            off = f"not set: {_SERVICES[field]} is off" if field in _SERVICES else "not set"
            yield Finding("Settings", names[0], "off", off)
        else:
            yield Finding("Settings", names[0], "fine", f"from {source}" if source != "default" else "default")
