"""Artifacts on disk: where a project's files lie, and writing them whole or not at all.

A folder of the settings may be a local path or any fsspec URL. What is in the files is made elsewhere.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from elmer_pipelines.errors import RecordError
from elmer_pipelines.projects.named import name_slug

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SLUG_BYTES = 120  # file systems allow 255 per name; room is left for a suffix


def folder_names(projects: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A folder name for each (project id, name), oldest project first: no two alike, whatever the file system's case.

    The oldest project of a name has it plain; later ones, retired or not, get the end of their id behind it. A name
    holds only letters, digits and `-`, so it can't lead elsewhere.
    """
    taken: set[str] = set()
    found: dict[str, str] = {}
    for project_id, name in projects:
        slug = _bounded(_safe(name))
        if not slug or slug in taken:
            slug = f"{slug or 'project'}-{_safe(project_id.partition('-')[2])}"
        taken.add(slug)
        found[project_id] = slug
    return found


def _safe(name: str) -> str:
    """Only letters and digits of any script and `-`."""
    slug = unicodedata.normalize("NFC", name_slug(name))
    return "".join(sign for sign in slug if sign.isalnum() or sign == "-").strip("-")


def _bounded(slug: str) -> str:
    return slug.encode()[:MAX_SLUG_BYTES].decode(errors="ignore").strip("-")


def path_of(folder: str, workspace_id: str, project_folder: str, file_name: str) -> str:
    """The file's path or URL."""
    return "/".join([folder.rstrip("/"), workspace_id, project_folder, file_name])


def write_text(path: str, text: str) -> None:
    """Write a file so that readers see the old one or the new one.

    Raises RecordError (kind unwritable) naming the path when the disk is full, the folder can't be written, or the
    remote place refuses.
    """
    try:
        if "://" in path:
            _write_remote(path, text)
        else:
            _write_local(Path(path), text)
    except Exception as error:
        # fsspec's implementations raise what their services' libraries raise: no narrower class holds them all.
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise RecordError(
            "unwritable",
            f"The artifact could not be written to {path}: {reason}.",
            next_step="Free space or allow writing there, or set ELMER_CONTEXT_PATH to another place; "
            "then run again with `elmer failures --retry`.",
            retryable=True,
        ) from error


def exists(path: str) -> bool:
    """Whether there is a file; a place that can't be asked counts as having it, and writing there will tell."""
    if "://" not in path:
        return Path(path).exists()
    import fsspec

    try:
        system, place = fsspec.core.url_to_fs(path)
        return bool(system.exists(place))
    except Exception:  # noqa: BLE001 - whatever the service's library raises, it is no proof that the file is gone
        return True


def remove(path: str) -> None:
    """Delete a file, and its folder when that is empty then; nothing happens where it is gone.

    Raises RecordError (kind unwritable) naming the path.
    """
    try:
        if "://" in path:
            import fsspec

            system, place = fsspec.core.url_to_fs(path)
            if system.exists(place):
                system.rm_file(place)
        else:
            Path(path).unlink(missing_ok=True)
            with suppress(OSError):
                Path(path).parent.rmdir()
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise RecordError(
            "unwritable",
            f"The artifact {path} could not be deleted: {reason}.",
            next_step="Delete it by hand, or allow writing there.",
            retryable=True,
        ) from error


def _write_local(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_remote(path: str, text: str) -> None:
    import fsspec

    system, place = fsspec.core.url_to_fs(path)
    parent = place.rpartition("/")[0]
    if parent:
        system.makedirs(parent, exist_ok=True)
    system.pipe_file(place, text.encode("utf-8", "replace"))
