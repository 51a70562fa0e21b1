"""`elmer purge`: what a document has left behind, whether it may be deleted, and deleting it, on disk as well.

The tables' part is in `store/purging.py`. Source files are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elmer_pipelines.documents.sources import list_sources
from elmer_pipelines.errors import NotFoundError, WorkspaceError
from elmer_pipelines.store import purging as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.purging import Owned, Traces


@dataclass(frozen=True)
class Purge:
    """What will be deleted: the documents, their traces, and the source files that are kept out from then on."""

    documents: tuple[Owned, ...]
    traces: Traces
    kept_out: tuple[str, ...]
    emptied_files: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How much of each there is, for people."""
        found = self.traces
        return {
            "documents": len(found.documents), "signals": len(found.signals), "model answers": len(found.answers),
            "cluster themes": len(found.clusters), "initiatives": len(found.initiatives),
            "artifact versions": len(found.artifacts), "artifact files": len(found.files),
        }  # fmt: skip


def plan_purge(database: Database, workspace_id: str, root: str, document: str, *, keep_out: bool = False) -> Purge:
    """What purging would delete; nothing is changed. `document` is an id, an address, or a source file's path.

    Raises NotFoundError; WorkspaceError while a run is at work, and while the source file is still there, which the
    next run would read again, unless it is to be kept out: then all documents of that file go.
    """
    name = _relative(root, document)
    with database.begin() as connection:
        documents = store.named(connection, workspace_id, name)
        if not documents:
            raise NotFoundError(f"Workspace {workspace_id!r} has no document {document}. `elmer export documents`.")
        if store.at_work(connection, workspace_id):
            raise WorkspaceError(f"A run is at work on {workspace_id!r}. Purge when it has ended.")
        listed = {one.path for one in list_sources(root)}
        there = sorted({one.source_path for one in documents if not one.retired} & listed)
        if there and not keep_out:
            raise WorkspaceError(
                f"{', '.join(there)} is still in the workspace's folder: the next run would read it again. "
                "Delete it there first, or give --keep-out, which purges all documents of that file and lets no run "
                "read it again."
            )
        if there:
            more = store.of_files(connection, workspace_id, there)
            documents = list({one.id: one for one in (*documents, *more)}.values())
        return _purge(connection, workspace_id, documents, there, listed)


def _relative(root: str, document: str) -> str:
    """A path inside the workspace's folder as addresses have it; anything else as it is."""
    if "://" in root or not Path(document).is_absolute():
        return document
    path, folder = Path(document).resolve(), Path(root).resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else document


def _purge(
    connection: Connection, workspace_id: str, documents: list[Owned], there: list[str], listed: set[str]
) -> Purge:
    gone = {one.id for one in documents}
    paths = {one.source_path for one in documents} - listed
    others = {one.source_path for one in store.of_files(connection, workspace_id, sorted(paths)) if one.id not in gone}
    traces = store.traces(connection, workspace_id, sorted(gone))
    return Purge(tuple(documents), traces, tuple(there), tuple(sorted(paths - others)))


def purge(database: Database, workspace_id: str, plan: Purge) -> None:
    """Delete what the plan found, in one transaction, then the artifacts' files; the next run writes those again.

    Raises RecordError (kind unwritable) where a file can't be deleted: the tables are clean by then.
    """
    from elmer_pipelines.artifacts import files

    with database.begin() as connection:
        store.delete(connection, workspace_id, plan.traces, plan.emptied_files)
        store.keep_out(connection, workspace_id, plan.kept_out)
    for path in plan.traces.files:
        files.remove(path)
