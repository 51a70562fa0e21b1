"""A folder behind a local path or an fsspec URL: existence, listing, reading. What is a document is in sources.py."""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import WorkspaceError
from elmer_pipelines.ids import text_hash

if TYPE_CHECKING:
    from collections.abc import Iterator


_LONGEST = 1_000  # bytes of a path; a longer one keeps its beginning and a hash of the whole


@dataclass(frozen=True)
class FoundFile:
    """A file below a folder: its portable path, where it really is, bytes, time of change."""

    path: str
    location: str
    size: int
    modified: datetime


class Folder:
    """The root of a workspace. `read_text`-like calls take paths relative to it, with `/`, in Unicode form NFC."""

    def __init__(self, root: str) -> None:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._fs, base = url_to_fs(os.path.expanduser(root))  # noqa: PTH111 - a URL is no Path
        except (ValueError, ImportError, OSError) as error:
            raise WorkspaceError(f"The folder {root!r} can't be opened: {error}. Check the address.") from error
        self._base = str(base).rstrip("/") or "/"
        self.root = root
        self.is_local = isinstance(self._fs, LocalFileSystem)

    def check(self) -> None:
        """Raise WorkspaceError when the folder is missing or can't be listed."""
        try:
            there = self._fs.isdir(self._base)
        except Exception as error:
            raise WorkspaceError(f"The folder {self.root!r} can't be listed: {error}. Check access to it.") from error
        if not there:
            raise WorkspaceError(
                f"The folder {self.root!r} does not exist. Create it, or register the workspace with the right folder."
            )

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._base.rsplit("/", 1)[-1] or self._base

    def files(self) -> list[FoundFile]:
        """All regular files below, in order of their path; raises WorkspaceError when the folder is missing."""
        self.check()
        found = self._local_files() if self.is_local else self._remote_files()
        return sorted(_portable(found), key=lambda file: file.path)

    def _local_files(self) -> Iterator[FoundFile]:
        base = Path(self._base).resolve()

        def refuse(error: OSError) -> None:
            # a folder that can't be listed must not look like a folder whose files were deleted
            raise WorkspaceError(
                f"{error.filename} can't be listed: {error.strerror}. Give access to it, or move it out of the folder."
            ) from error

        for where, folders, names in os.walk(base, onerror=refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                file = Path(where) / name
                if found := _regular_file(base, file):
                    yield FoundFile(file.relative_to(base).as_posix(), str(file), found.st_size, _at(found.st_mtime))

    def _remote_files(self) -> Iterator[FoundFile]:
        try:
            self._fs.invalidate_cache(self._base)  # fsspec remembers listings as long as the process lives
            listing: dict[str, dict[str, Any]] = self._fs.find(self._base, detail=True)
        except Exception as error:  # a service's library raises what it likes
            raise WorkspaceError(f"The folder {self.root!r} can't be listed: {error}. Check access to it.") from error
        prefix = self._base.rstrip("/") + "/"
        for location, info in listing.items():
            if info.get("type") == "file" and location.startswith(prefix):
                yield FoundFile(location[len(prefix) :], location, int(info.get("size") or 0), _modified(info))

    def find(self, path: str) -> FoundFile | None:
        """The file at a path as `files` gives it, None when it is gone or is not below this folder."""
        if path.startswith("/") or ".." in path.split("/"):
            return None
        if self.is_local:
            base = Path(self._base).resolve()
            if found := _regular_file(base, base / path):
                return FoundFile(path, str(base / path), found.st_size, _at(found.st_mtime))
        elif self._fs.isfile(f"{self._base.rstrip('/')}/{path}"):
            location = f"{self._base.rstrip('/')}/{path}"
            info = self._fs.info(location)
            return FoundFile(path, location, int(info.get("size") or 0), _modified(info))
        # the name on the disk may be in another Unicode form
        return next((file for file in self.files() if file.path == path), None) if not path.isascii() else None

    def read(self, file: FoundFile, limit: int) -> bytes:
        """At most `limit + 1` bytes of the file, so that one too many shows."""
        if self.is_local:
            with Path(file.location).open("rb") as stream:
                return stream.read(limit + 1)
        with self._fs.open(file.location, "rb") as stream:
            data: bytes = stream.read(limit + 1)
            return data


def _regular_file(base: Path, file: Path) -> os.stat_result | None:
    """The file's state if it is a regular file (no pipe, no device) that, links followed, lies below the base."""
    try:
        real = file.resolve()
        found = real.stat()
    except (OSError, RuntimeError, ValueError):  # gone, or a link to nowhere, to itself, or a name with NUL
        return None
    return found if stat.S_ISREG(found.st_mode) and real.is_relative_to(base) else None


def _portable(found: Iterator[FoundFile]) -> Iterator[FoundFile]:
    """Paths in Unicode form NFC without undecodable bytes; of two that become alike the second keeps its own form."""
    taken: set[str] = set()
    for file in sorted(found, key=lambda one: one.location):
        written = file.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        path = unicodedata.normalize("NFC", written)
        path = path if path not in taken else written
        if len(path.encode()) > _LONGEST:  # the database's index takes no longer key
            path = f"{path.encode()[: _LONGEST - 100].decode('utf-8', 'ignore')}…{text_hash(path)[:16]}"
        number = 2
        while path in taken:
            path, number = f"{written} ({number})", number + 1
        taken.add(path)
        yield FoundFile(path, file.location, file.size, file.modified)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _modified(info: dict[str, Any]) -> datetime:
    """The time of change as the many file systems call it; the epoch where one has none."""
    from elmer_pipelines.documents.moments import parse_moment

    keys = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
    return next((moment for key in keys if (moment := parse_moment(info.get(key)))), _at(0))
