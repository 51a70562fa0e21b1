"""`workspace.toml`: a workspace's name, projects, personas, automation and how its documents are read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from elmer_pipelines.documents.folders import Folder
from elmer_pipelines.errors import WorkspaceError

FILE_NAME = "workspace.toml"
_LARGEST = 1 << 20  # bytes

Depth = Literal["manual", "suggest", "auto_create", "full_auto"]
Stage = Literal[
    "inbox", "discovery", "prd", "design", "prototype", "validate", "tickets", "build", "alpha", "beta", "ga"
]
Line = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Automation(_Part):
    """How far machines go on their own (DESIGN section 5)."""

    depth: Depth = "auto_create"
    initiative_signals: Annotated[int, Field(ge=1)] = 3
    prd_signals: Annotated[int, Field(ge=1)] = 5
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.7
    min_severity: Literal["critical", "high", "medium", "low"] = "medium"
    max_actions_per_day: Count = 10
    cooldown_minutes: Count = 60


class ProjectEntry(_Part):
    """A project the team works on already."""

    name: Line
    description: str = ""
    stage: Stage = "inbox"


class Persona(_Part):
    """Somebody the jury speaks for; weights need not add up to one."""

    name: Line
    weight: Annotated[float, Field(gt=0)] = 1.0


class TableEntry(_Part):
    """Columns of the tables whose path matches the pattern (`reviews/*.xlsx`); each unset one is found."""

    pattern: Line
    text: str | None = None
    id: str | None = None
    date: str | None = None
    author: str | None = None
    kind: str | None = None
    group: str | None = None


class DocumentSettings(_Part):
    """How the workspace's documents are read."""

    max_megabytes: Annotated[float, Field(gt=0, le=2048)] = 50
    tables: tuple[TableEntry, ...] = ()


class Privacy(_Part):
    """What is kept back from models that are services: personal values by their form, and these terms."""

    redact: bool = False
    terms: tuple[Line, ...] = ()


class ModelSettings(_Part):
    """What the workspace allows itself of the services' models; `budget_usd` is per day."""

    budget_usd: Annotated[float, Field(ge=0)] | None = None


class WorkspaceFile(_Part):
    """All that workspace.toml may hold; every key is optional."""

    name: str = ""
    description: str = ""
    automation: Automation = Automation()
    projects: tuple[ProjectEntry, ...] = ()
    personas: tuple[Persona, ...] = ()
    documents: DocumentSettings = DocumentSettings()
    privacy: Privacy = Privacy()
    models: ModelSettings = ModelSettings()


def read_workspace_file(root: str) -> WorkspaceFile:
    """The folder's workspace.toml; without one the defaults, named after the folder.

    Raises WorkspaceError for a missing folder, for what is not TOML, and for unknown or malformed keys, by name.
    """
    folder = Folder(root)
    folder.check()
    file = folder.find(FILE_NAME)
    if file is None:
        return WorkspaceFile(name=folder.name)
    data = folder.read(file, _LARGEST)
    if len(data) > _LARGEST:
        raise WorkspaceError(f"{FILE_NAME} in {root} is larger than 1 MB. Keep settings only in it.")
    try:
        value = WorkspaceFile.model_validate(tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkspaceError(f"{FILE_NAME} in {root} is not TOML: {error}. Correct that line.") from error
    except ValidationError as error:
        raise WorkspaceError(f"{FILE_NAME} in {root}: {_faults(error)}. Correct or remove these keys.") from error
    _check_names(root, "projects", [project.name for project in value.projects])
    _check_names(root, "personas", [persona.name for persona in value.personas])
    return value if value.name else value.model_copy(update={"name": folder.name})


def _faults(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"])
        unknown = fault["type"] == "extra_forbidden"
        faults.append(f"unknown key {key!r}" if unknown else f"{key!r}: {fault['msg']}")
    return "; ".join(faults)


def _check_names(root: str, part: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WorkspaceError(f"{FILE_NAME} in {root} has {part} of the same name: {', '.join(twice)}. Rename one.")


def starter(name: str) -> str:
    """The text of a first workspace.toml for a workspace of that name, with the defaults as comments."""
    import json

    quoted = json.dumps(" ".join(name.split()) or "My product", ensure_ascii=False)  # a JSON string is a TOML string
    return _STARTER.replace("@NAME@", quoted)


def write_starter(root: str, name: str) -> bool:
    """Put a first workspace.toml into a local folder that has none; True when it was written.

    A folder behind a URL is left as it is. Raises WorkspaceError when the folder is not there or can't be written.
    """
    folder = Folder(root)
    folder.check()
    if "://" in root or folder.find(FILE_NAME) is not None:
        return False
    try:
        (Path(root) / FILE_NAME).write_text(starter(name), encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(
            f"{FILE_NAME} can't be written into {root}: {error.strerror}. Make the folder writable, or put one there."
        ) from error
    return True


_STARTER = """\
# Settings of this workspace. Everything is optional; what is commented out shows the default.
name = @NAME@
description = ""

[automation]
depth = "auto_create"        # manual, suggest, auto_create, full_auto
# initiative_signals = 3     # signals a cluster needs to become an initiative
# prd_signals = 5            # signals an initiative needs for a PRD
# min_confidence = 0.7
# min_severity = "medium"    # critical, high, medium, low
# max_actions_per_day = 10
# cooldown_minutes = 60

# [[projects]]
# name = "Faster onboarding"
# description = "New teams reach their first result in a day."
# stage = "discovery"

# [[personas]]
# name = "Operations lead"
# weight = 0.5

[privacy]
# redact = false             # true: services see [EMAIL_1], [PHONE_1], [CARD_1], [IBAN_1] instead of the values
# terms = ["Project Falcon"] # and [TERM_1] instead of these words

# [models]
# budget_usd = 5.00          # this workspace's spending per day at the most; ELMER_BUDGET_USD holds besides

[documents]
# max_megabytes = 50

# Tables are understood by their headers; name columns here where that goes wrong.
# [[documents.tables]]
# pattern = "reviews/*.csv"
# text = "Review"
# id = "Review ID"
# date = "Date"
# author = "Name"
"""
