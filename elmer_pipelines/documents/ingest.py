"""The steps `documents` and `knowledge`: compare a folder with what is stored, read what changed, retire what is gone.

Reading formats is in the modules beside this one; the tables are in `store/documents.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants
from elmer_pipelines.documents.folders import Folder
from elmer_pipelines.documents.knowledge import KnowledgeText, read_knowledge
from elmer_pipelines.documents.reading import Reader, ReadingOptions
from elmer_pipelines.documents.sources import SourceFile, fetch, list_sources
from elmer_pipelines.documents.workspace_file import FILE_NAME, read_workspace_file
from elmer_pipelines.errors import UnreadableDocument, WorkspaceError
from elmer_pipelines.ids import canonical_json, text_hash
from elmer_pipelines.steps import StepResult, report_progress
from elmer_pipelines.store import documents as store
from elmer_pipelines.store import knowledge as knowledge_store
from elmer_pipelines.store import outcomes
from elmer_pipelines.work import WHOLE, one_by_one, work_through, work_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from sqlalchemy import Connection

    from elmer_pipelines.documents.model import Document
    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.documents import KnownFile

STEP = "documents"
_BACKGROUND = "workspace_file"  # the outcome that remembers which settings and knowledge the last run found
_AHEAD = 2_000  # documents of one file that are saved in one transaction; more of them are saved in parts
_READERS = 2  # files in flight: reading is bound by the processor, and each may hold its limit in memory


@dataclass(frozen=True)
class SourceChanges:
    """How a source differs from what is stored; `state` stands for its present listing, `unfinished` are files
    that were noticed but not read to the end (a killed run)."""

    added: int
    changed: int
    removed: int
    unfinished: int
    state: str

    @property
    def any(self) -> bool:
        """Whether a run would have something to do."""
        return bool(self.added or self.changed or self.removed or self.unfinished)


def source_changes(database: Database, workspace_id: str, root: str) -> SourceChanges:
    """Compare listing and database by path, size and time; nothing is read.

    Raises WorkspaceError when the folder is gone, or lists nothing although it had documents (I3).
    """
    listing = _listing(database, workspace_id, root)
    background = _background(root)
    with database.begin() as connection:
        known = store.known_files(connection, workspace_id)
        unfinished = outcomes.count_pending(connection, workspace_id, STEP)
        seen = outcomes.fingerprint_of(connection, workspace_id, _BACKGROUND, WHOLE)
    return SourceChanges(
        added=len(listing.keys() - known.keys()),
        changed=sum(not _same(known[path], listing[path]) for path in listing.keys() & known.keys())
        + (seen is not None and background.fingerprint != seen),
        removed=len(known.keys() - listing.keys()),
        unfinished=unfinished,
        state=text_hash(
            canonical_json(
                [background.fingerprint, *([f.path, f.size, f.modified.isoformat()] for f in listing.values())]
            )
        ),
    )


def _listing(database: Database, workspace_id: str, root: str) -> dict[str, SourceFile]:
    with database.begin() as connection:
        out = store.kept_out(connection, workspace_id)
    found = (source for source in list_sources(root) if source.path not in out)
    listing = {source.path: source for source in sorted(found, key=lambda one: one.path)}
    if not listing:
        with database.begin() as connection:
            had = len(store.known_files(connection, workspace_id))
        if had:
            raise WorkspaceError(
                f"{root} lists no files, but workspace {workspace_id!r} had {had}: nothing was retired. "
                "Check that the folder is mounted; to empty a workspace on purpose, leave one file in it."
            )
    return listing


def _background(root: str) -> Determinants:
    """Stands for workspace.toml and the texts in `knowledge/` as they are listed now."""
    found = [f for f in Folder(root).files() if f.path == FILE_NAME or f.path.startswith("knowledge/")]
    return Determinants.of(files=[[f.path, f.size, f.modified.isoformat()] for f in found])


def _same(known: KnownFile, source: SourceFile) -> bool:
    return known.size == source.size and known.modified == source.modified


def wanted_documents(database: Database, workspace_id: str, root: str) -> dict[str, Determinants]:
    """What determines the documents of every listed file; files not known as they are now are read to be hashed.

    Raises WorkspaceError.
    """
    listing = _listing(database, workspace_id, root)
    options = ReadingOptions.of(read_workspace_file(root))
    with database.begin() as connection:
        known = store.known_files(connection, workspace_id)
    return _wanted({path: sha256 for path, sha256, _ in _hashes(root, listing, known, options)}, options)


@dataclass(frozen=True)
class Measured:
    """What is in some files: how many bytes in all and in those that were read, and of these the documents that are
    new or changed, with their characters."""

    bytes: int
    read_bytes: int
    documents: int
    characters: int


def measure(root: str, paths: Collection[str], known: Collection[str], most_bytes: int) -> Measured:
    """Read files of the folder, in order of size until `most_bytes` are used up, only to count what is in them.

    `known` are the content hashes of documents that are there already. A file that can't be read holds nothing.
    Raises WorkspaceError.
    """
    options = ReadingOptions.of(read_workspace_file(root))
    sources = sorted((one for one in list_sources(root) if one.path in paths), key=lambda one: (one.size, one.path))
    read_bytes = documents = characters = 0
    with Reader(options) as reader:
        for source in sources:
            if read_bytes + source.size > most_bytes:
                break
            read_bytes += source.size
            try:
                read = reader.read(source.path, fetch(root, source, options.max_bytes))
            except UnreadableDocument:
                continue  # the run will say so, and it becomes no document
            found = [one for one in read if one.content_hash not in known]
            documents += len(found)
            characters += sum(len(one.text) for one in found)
    return Measured(sum(one.size for one in sources), read_bytes, documents, characters)


def _wanted(hashes: Mapping[str, str], options: ReadingOptions) -> dict[str, Determinants]:
    how = options.determinants.parts
    return {path: Determinants.of(content=sha256, **how) for path, sha256 in hashes.items()}


def ingest_documents(database: Database, workspace_id: str, root: str, *, run_id: str | None = None) -> StepResult:
    """Read every new or changed file of the workspace into documents, and retire documents whose source is gone.

    A file that can't be read keeps the documents it had and is a failed outcome. Raises WorkspaceError.
    """
    background = _background(root)
    listing = _listing(database, workspace_id, root)
    options = ReadingOptions.of(read_workspace_file(root))
    hashes = _notice(database, workspace_id, root, listing, options)
    with database.begin() as connection:
        vanished = sorted(store.known_files(connection, workspace_id).keys() - listing.keys())
    wanted = _wanted(hashes, options)
    saved: dict[str, int] = {"documents_saved": 0, "documents_retired": 0}
    with Reader(options) as reader:

        def read(path: str) -> Callable[[Connection], None]:
            data = fetch(root, listing[path], options.max_bytes)
            documents = reader.read(path, data)
            _save_ahead(database, workspace_id, path, documents, vanished)
            return partial(_save, workspace_id, path, documents, vanished, saved)

        result = work_through(database, workspace_id, STEP, wanted, one_by_one(read), workers=_READERS, run_id=run_id)
    _retire_vanished(database, workspace_id, vanished, saved)
    with database.begin() as connection:
        found = {WHOLE: background.fingerprint}
        outcomes.synchronise(connection, workspace_id, _BACKGROUND, found, max_attempts=1)
        if outcomes.count_pending(connection, workspace_id, _BACKGROUND):
            outcomes.finish(connection, workspace_id, _BACKGROUND, WHOLE, run_id, background.as_json())
    result.counts.update(saved)
    return _described(database, workspace_id, result)


def _notice(
    database: Database, workspace_id: str, root: str, listing: dict[str, SourceFile], options: ReadingOptions
) -> dict[str, str]:
    """The content hash of every listed file; those computed now are remembered, each at once."""
    with database.begin() as connection:
        known = store.known_files(connection, workspace_id)
    hashes: dict[str, str] = {}
    report_progress("listing", 0, len(listing))
    for number, (path, sha256, computed) in enumerate(_hashes(root, listing, known, options), start=1):
        hashes[path] = sha256
        if not computed:
            continue
        report_progress("listing", number, len(listing))
        source = listing[path]
        with database.begin() as connection:
            noted = store.KnownFile(path, source.size, source.modified, sha256, options.fingerprint())
            store.note_file(connection, workspace_id, noted)
    return hashes


def _hashes(
    root: str, listing: Mapping[str, SourceFile], known: Mapping[str, KnownFile], options: ReadingOptions
) -> Iterator[tuple[str, str, bool]]:
    """Path, content hash (the stored one where size and time are the same), and whether it was computed now."""
    for path, source in listing.items():
        before = known.get(path)
        if before is not None and before.sha256 is not None and _same(before, source):
            yield path, before.sha256, False
        else:
            yield path, _content_hash(root, source, options.max_bytes), True


def _content_hash(root: str, source: SourceFile, limit: int) -> str:
    try:
        return hashlib.sha256(fetch(root, source, limit)).hexdigest()
    except UnreadableDocument:  # too large or gone again: reading it will say so, once per size and time
        return f"unread:{source.size}:{source.modified.isoformat()}"


def _save_ahead(
    database: Database, workspace_id: str, path: str, documents: list[Document], vanished: list[str]
) -> None:
    """Save a very large file's documents in parts, so that progress shows and little is lost where the process ends.

    Only what is new or changed: what is gone is retired together with the file's outcome. Documents that go on under
    another address are left to that transaction as a whole, because half of them would look like a deletion.
    """
    if len(documents) <= _AHEAD:
        return
    with database.begin() as connection:
        change = store.change_of_file(connection, workspace_id, path, map(_version, documents), vanished)
    if change.moved:
        return
    label = f"records of {path[-40:]}"
    report_progress(label, 0, len(change.rows))
    for start in range(0, len(change.rows), _AHEAD):
        with database.begin() as connection:
            store.write_rows(connection, workspace_id, change.rows[start : start + _AHEAD])
        if not start:
            database.analyse()
        report_progress(label, min(start + _AHEAD, len(change.rows)), len(change.rows))


def _save(
    workspace_id: str,
    path: str,
    documents: list[Document],
    vanished: list[str],
    saved: dict[str, int],
    connection: Connection,
) -> None:
    kept, retired = store.replace_of_file(
        connection, workspace_id, path, (_version(document) for document in documents), vanished
    )
    saved["documents_saved"] += kept
    saved["documents_retired"] += retired


def _version(document: Document) -> store.NewVersion:
    content = document.content()
    return store.NewVersion(
        address=document.address,
        content_hash=document.content_hash,
        text_fingerprint=document.text_fingerprint,
        kind=document.kind,
        format=document.format,
        title=document.title,
        text=document.text,
        segments=content["segments"],
        people=content["people"],
        metadata=content["metadata"],
        occurred_at=document.occurred_at,
    )


def _retire_vanished(database: Database, workspace_id: str, vanished: list[str], saved: dict[str, int]) -> None:
    """After all files are read, so that a moved file's documents have been continued under their new address."""
    if not vanished:
        return
    with database.begin() as connection:
        gone = store.live_ids_of_files(connection, workspace_id, vanished)
        store.retire(connection, workspace_id, gone)
        store.forget_files(connection, workspace_id, vanished)
    saved["documents_retired"] += len(gone)


def _described(database: Database, workspace_id: str, result: StepResult) -> StepResult:
    with database.begin() as connection:
        found = store.counts(connection, workspace_id)
        failed = outcomes.failures(connection, workspace_id, STEP)
    result.counts.update({"documents": found["live"], "retired": found["retired"], "files": found["files"]})
    result.counts["files_failed"] = len(failed)
    result.tables["Files that can't be read"] = [
        {"file": row["record_id"], "why": row["error_kind"], "message": row["message"], "next": row["next_step"]}
        for row in failed[:20]
    ]
    return result


def wanted_knowledge(root: str) -> dict[str, Determinants]:
    """What determines the workspace's knowledge: the texts in `knowledge/`. Raises WorkspaceError."""
    return {WHOLE: Determinants.of(texts=_knowledge_rows(read_knowledge(root)))}


def _knowledge_rows(texts: list[KnowledgeText]) -> list[dict[str, str]]:
    ordered = sorted(texts, key=lambda one: one.path)
    return [{"path": one.path, "kind": one.kind, "title": one.title, "text": one.text} for one in ordered]


def ingest_knowledge(database: Database, workspace_id: str, root: str, *, run_id: str | None = None) -> StepResult:
    """Make the texts in the folder `knowledge/` the workspace's knowledge; a text that is gone is dropped."""
    rows = _knowledge_rows(read_knowledge(root))

    def save(connection: Connection) -> StepResult:
        knowledge_store.replace(connection, workspace_id, rows)
        return StepResult("knowledge")

    result = work_whole(database, workspace_id, "knowledge", Determinants.of(texts=rows), save, run_id=run_id)
    result.counts["texts"] = len(rows)
    result.tables["Knowledge"] = [{"kind": row["kind"], "title": row["title"], "file": row["path"]} for row in rows]
    return result
