"""Which files of a workspace's folder are source files, and their bytes. Reading formats is in reading.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.documents.folders import Folder
from elmer_pipelines.documents.guards import check_size
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from datetime import datetime

_KNOWLEDGE = "knowledge/"
_NOT_SOURCES = frozenset({"workspace.toml"})
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class SourceFile:
    """A file to read: path relative to the root with `/` in Unicode form NFC, size in bytes, time of change in UTC."""

    path: str
    size: int
    modified: datetime


def list_sources(root: str) -> list[SourceFile]:
    """Every source file below a local path or fsspec URL, in order of the path.

    Left out: workspace.toml, `knowledge/`, hidden files and folders, Office lock files (`~$…`), links that leave the
    root, linked folders. Raises WorkspaceError when the root is missing or a folder in it can't be listed.
    """
    found = Folder(root).files()
    return [SourceFile(file.path, file.size, file.modified) for file in found if _is_source(file.path)]


def _is_source(path: str) -> bool:
    parts = path.split("/")
    if path in _NOT_SOURCES or path.startswith(_KNOWLEDGE) or any(part.startswith(".") for part in parts):
        return False
    return not parts[-1].startswith("~$") and parts[-1].lower() not in _SYSTEM_FILES


def fetch(root: str, source: SourceFile, limit: int) -> bytes:
    """The bytes of a source file, at most `limit`.

    Raises UnreadableDocument: oversized before reading it all, empty, broken when it is gone or can't be opened.
    """
    folder = Folder(root)
    try:
        file = folder.find(source.path)
        if file is None:
            raise FileNotFoundError("it is gone, or is no regular file below the folder")
        check_size(source.path, file.size, limit)
        data = folder.read(file, limit)
    except OSError as error:
        raise UnreadableDocument(
            "broken",
            f"{source.path} can't be opened: {error.strerror or error}.",
            next_step="Check that the file is there and may be read, then run again.",
            retryable=True,
        ) from error
    check_size(source.path, len(data), limit)
    return data
