"""The tables `source_files`, `documents` and `document_versions`: a document is its address, a version its content.

A version's row holds text and segments; a document's row says which version is current and whether it still exists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.ids import stable_id
from elmer_pipelines.store import duplicates, outcomes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection


KEPT_OUT = "kept out"  # in place of the options' fingerprint: a person said that no run may read the file
_BATCH = 500
_OWN_WORDS = 200  # characters from which on two equal texts are taken for one that moved


@dataclass(frozen=True)
class KnownFile:
    """What the database knows of a source file: as listed (size, modified) and as read (sha256, with which options)."""

    path: str
    size: int
    modified: datetime
    sha256: str | None
    options_fingerprint: str | None


@dataclass(frozen=True)
class NewVersion:
    """What a reader found at an address; the JSON fields as in `Document.content()`."""

    address: str
    content_hash: str
    text_fingerprint: str
    kind: str
    format: str
    title: str
    text: str
    segments: list[dict[str, Any]]
    people: list[str]
    metadata: dict[str, Any]
    occurred_at: datetime | None


def known_files(connection: Connection, workspace_id: str) -> dict[str, KnownFile]:
    """Every source file the workspace has had read or tried, by path."""
    rows = connection.execute(
        text(
            "SELECT path, size, modified_at, sha256, options_fingerprint "
            "FROM elmer.source_files WHERE workspace_id = :w AND options_fingerprint IS DISTINCT FROM :out"
        ),
        {"w": workspace_id, "out": KEPT_OUT},
    )
    return {row.path: KnownFile(*row) for row in rows}


def kept_out(connection: Connection, workspace_id: str) -> set[str]:
    """The source files that no run may read: their documents were purged."""
    rows = connection.execute(
        text("SELECT path FROM elmer.source_files WHERE workspace_id = :w AND options_fingerprint = :out"),
        {"w": workspace_id, "out": KEPT_OUT},
    )
    return set(rows.scalars())


def note_file(connection: Connection, workspace_id: str, file: KnownFile) -> None:
    """Remember a file as listed and hashed just now."""
    connection.execute(
        text(
            "INSERT INTO elmer.source_files AS f "
            "(workspace_id, path, size, modified_at, sha256, options_fingerprint, read_at) "
            "VALUES (:w, :path, :size, :modified, :sha256, :options, now()) "
            "ON CONFLICT (workspace_id, path) DO UPDATE SET size = excluded.size, modified_at = excluded.modified_at, "
            "sha256 = excluded.sha256, options_fingerprint = excluded.options_fingerprint, "
            "read_at = now()"
        ),
        {
            "w": workspace_id, "path": file.path, "size": file.size, "modified": file.modified,
            "sha256": file.sha256, "options": file.options_fingerprint,
        },
    )  # fmt: skip


def forget_files(connection: Connection, workspace_id: str, paths: Sequence[str]) -> None:
    """Drop files that are gone from the source; their documents are retired apart from this."""
    connection.execute(
        text("DELETE FROM elmer.source_files WHERE workspace_id = :w AND path = ANY(:p)").bindparams(
            bindparam("p", type_=ARRAY(Text))
        ),
        {"w": workspace_id, "p": list(paths)},
    )


@dataclass(frozen=True)
class FileChange:
    """What has to be written for one source file: `rows` that are new or other than what is stored, ids of live
    documents that are `gone`, and how many documents the file holds. `moved` where some go on under a new address."""

    rows: list[dict[str, Any]]
    gone: list[str]
    documents: int
    moved: bool


def change_of_file(
    connection: Connection, workspace_id: str, source_path: str, versions: Iterable[NewVersion], vanished: Sequence[str]
) -> FileChange:
    """What would make the file's live documents exactly `versions`.

    A new address whose content was at an address of the `vanished` files continues that document (moved file, I4); so
    it does where no record of the file is called as before, which is another id column, not other records.
    """
    found = list(versions)
    live = _live_of(connection, workspace_id, source_path)
    ids = {address: document_id for address, (document_id, _) in live.items()}
    fresh = {one.text_fingerprint for one in found if one.address not in live}
    renamed = live.keys().isdisjoint(one.address for one in found)
    movable = _movable(connection, workspace_id, [*vanished, source_path] if renamed else vanished, fresh)
    moved = bool(movable)
    changed = [one for one in found if live.get(one.address, ("", ""))[1] != one.content_hash]
    rows = [_row(workspace_id, source_path, one, ids, movable) for one in changed]
    kept, continued = {one.address for one in found}, {row["id"] for row in rows}
    gone = [one for address, one in ids.items() if address not in kept and one not in continued]
    return FileChange(rows, gone, len(kept), moved)


def write_rows(connection: Connection, workspace_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Save rows of a FileChange as live documents with their versions."""
    for start in range(0, len(rows), _BATCH):
        _write(connection, [{**row, "w": workspace_id} for row in rows[start : start + _BATCH]])


def replace_of_file(
    connection: Connection, workspace_id: str, source_path: str, versions: Iterable[NewVersion], vanished: Sequence[str]
) -> tuple[int, int]:
    """Make the file's live documents exactly `versions`; returns how many it holds and how many were retired."""
    change = change_of_file(connection, workspace_id, source_path, versions, vanished)
    write_rows(connection, workspace_id, change.rows)
    retire(connection, workspace_id, change.gone)
    return change.documents, len(change.gone)


def _row(
    workspace_id: str,
    source_path: str,
    version: NewVersion,
    live: dict[str, str],
    movable: dict[str, list[tuple[str, str]]],
) -> dict[str, Any]:
    document_id = (
        live.get(version.address) or _continued(version, movable) or stable_id("D", workspace_id, version.address)
    )
    return {
        "id": document_id, "address": version.address, "source": source_path,
        "hash": version.content_hash, "text_fingerprint": version.text_fingerprint, "kind": version.kind,
        "format": version.format, "title": version.title, "text": version.text,
        "segments": json.dumps(version.segments), "people": json.dumps(version.people),
        "metadata": json.dumps(version.metadata), "occurred_at": version.occurred_at,
    }  # fmt: skip


def _live_of(connection: Connection, workspace_id: str, source_path: str) -> dict[str, tuple[str, str]]:
    """Id and content hash of the file's live documents by address."""
    rows = connection.execute(
        text(
            "SELECT address, id, content_hash FROM elmer.documents "
            "WHERE workspace_id = :w AND source_path = :p AND retired_at IS NULL"
        ),
        {"w": workspace_id, "p": source_path},
    )
    return {row.address: (row.id, row.content_hash) for row in rows}


def _movable(
    connection: Connection, workspace_id: str, vanished: Sequence[str], fresh: Collection[str]
) -> dict[str, list[tuple[str, str]]]:
    """Fingerprint of a text to (address, id) of the documents it may continue: gone from the source, or retired.

    By text, not by content: a title or a kind that came from the old path is no part of what moved. Of those that
    were gone before, only long ones: that a short review is written again does not make it the same review. `fresh`
    are the texts at addresses where no document is.
    """
    if not fresh:
        return {}
    rows = connection.execute(
        text(
            "SELECT v.text_fingerprint, d.address, d.id FROM elmer.document_versions v JOIN elmer.documents d "
            "ON d.workspace_id = v.workspace_id AND d.id = v.document_id AND d.content_hash = v.content_hash "
            "WHERE v.workspace_id = :w AND v.text_fingerprint = ANY(:fresh) "
            "AND (d.source_path = ANY(:p) OR (d.retired_at IS NOT NULL AND length(v.text) >= :own)) "
            "ORDER BY d.retired_at IS NULL, d.address DESC"
        ).bindparams(bindparam("p", type_=ARRAY(Text)), bindparam("fresh", type_=ARRAY(Text))),
        {"w": workspace_id, "p": list(vanished), "own": _OWN_WORDS, "fresh": list(fresh)},
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row.text_fingerprint, []).append((row.address, row.id))
    return found


def _continued(version: NewVersion, movable: dict[str, list[tuple[str, str]]]) -> str | None:
    """The document this content goes on as: the one of this address where there is one, else one that moved."""
    candidates = movable.get(version.text_fingerprint)
    if not candidates:
        return None
    same = [one for one in candidates if one[0] == version.address]
    chosen = same[0] if same else candidates[-1]
    candidates.remove(chosen)
    return chosen[1]


def _write(connection: Connection, batch: list[dict[str, Any]]) -> None:
    if not batch:
        return
    # A retired document that comes back at its address is the same document, and so is one that moved away and
    # whose old address is filled by another: the second needs an id of its own, made from the address and its content.
    taken = _taken_elsewhere(connection, batch)
    for row in batch:
        if (row["id"], row["address"]) in taken:
            row["id"] = stable_id("D", row["w"], row["address"], row["hash"])
    connection.execute(
        text(
            "INSERT INTO elmer.documents AS d (workspace_id, id, address, source_path, content_hash) "
            "VALUES (:w, :id, :address, :source, :hash) "
            "ON CONFLICT (workspace_id, id) DO UPDATE SET address = excluded.address, "
            "source_path = excluded.source_path, content_hash = excluded.content_hash, retired_at = NULL, "
            "version = d.version + CASE WHEN d.content_hash = excluded.content_hash THEN 0 ELSE 1 END, "
            "updated_at = CASE WHEN d.content_hash = excluded.content_hash THEN d.updated_at ELSE now() END "
            "WHERE (d.address, d.source_path, d.content_hash) IS DISTINCT FROM "
            "(excluded.address, excluded.source_path, excluded.content_hash) OR d.retired_at IS NOT NULL"
        ),
        batch,
    )
    connection.execute(
        text(
            "INSERT INTO elmer.document_versions (workspace_id, document_id, content_hash, text_fingerprint, kind, "
            "format, title, text, segments, people, metadata, occurred_at) VALUES (:w, :id, :hash, :text_fingerprint, "
            ":kind, :format, :title, :text, CAST(:segments AS jsonb), CAST(:people AS jsonb), "
            "CAST(:metadata AS jsonb), :occurred_at) ON CONFLICT DO NOTHING"
        ),
        batch,
    )


def _taken_elsewhere(connection: Connection, batch: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Ids of the batch that a live document at another address holds (it moved there), with the batch's address."""
    rows = connection.execute(
        text(
            "SELECT id, address FROM elmer.documents WHERE workspace_id = :w AND id = ANY(:ids) AND retired_at IS NULL"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": batch[0]["w"], "ids": [row["id"] for row in batch]},
    )
    holder = {row.id: row.address for row in rows}
    first_guess = {row["id"]: stable_id("D", row["w"], row["address"]) for row in batch}
    return {
        (row["id"], row["address"])
        for row in batch
        if holder.get(row["id"], row["address"]) != row["address"] and row["id"] == first_guess[row["id"]]
    }


def retire(connection: Connection, workspace_id: str, document_ids: Sequence[str]) -> None:
    """Mark documents as gone, and their signals with them; nothing is deleted."""
    for table, column in (("documents", "id"), ("signals", "document_id")):
        connection.execute(
            text(
                f"UPDATE elmer.{table} SET retired_at = now(), updated_at = now() "  # noqa: S608 - two fixed names
                f"WHERE workspace_id = :w AND {column} = ANY(:ids) AND retired_at IS NULL"
            ).bindparams(bindparam("ids", type_=ARRAY(Text))),
            {"w": workspace_id, "ids": list(document_ids)},
        )
    duplicates.hand_over(connection, workspace_id)
    # Their signals are gone too, so a document that comes back is one that nobody has read for signals.
    outcomes.forget(connection, workspace_id, "signals", document_ids)


def live_ids_of_files(connection: Connection, workspace_id: str, paths: Sequence[str]) -> list[str]:
    """The live documents that came from these files."""
    rows = connection.execute(
        text(
            "SELECT id FROM elmer.documents "
            "WHERE workspace_id = :w AND source_path = ANY(:p) AND retired_at IS NULL ORDER BY id"
        ).bindparams(bindparam("p", type_=ARRAY(Text))),
        {"w": workspace_id, "p": list(paths)},
    )
    return list(rows.scalars())


def content_hashes(connection: Connection, workspace_id: str) -> dict[str, str]:
    """Every live document's id with the hash of its current version."""
    rows = connection.execute(
        text("SELECT id, content_hash FROM elmer.documents WHERE workspace_id = :w AND retired_at IS NULL"),
        {"w": workspace_id},
    )
    return {row.id: row.content_hash for row in rows}


def load_versions(
    connection: Connection, workspace_id: str, versions: Collection[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Versions by (document id, content hash), current or not, with the keys of `load`."""
    rows = connection.execute(
        text(
            "SELECT d.id, d.address, d.source_path, d.version, d.retired_at, v.content_hash, v.kind, v.format, "
            "v.title, v.text, v.segments, v.people, v.metadata, v.occurred_at "
            "FROM unnest(:ids, :hashes) AS w (id, hash) "
            "JOIN elmer.documents d ON d.workspace_id = :w AND d.id = w.id "
            "JOIN elmer.document_versions v ON v.workspace_id = :w AND v.document_id = w.id AND v.content_hash = w.hash"
        ).bindparams(bindparam("ids", type_=ARRAY(Text)), bindparam("hashes", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": [one[0] for one in versions], "hashes": [one[1] for one in versions]},
    )
    return {(row["id"], row["content_hash"]): dict(row) for row in rows.mappings()}


def load(connection: Connection, workspace_id: str, document_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The current versions of these documents: id, address, content_hash and the columns of `document_versions`."""
    rows = connection.execute(
        text(
            "SELECT d.id, d.address, d.source_path, d.version, d.retired_at, v.content_hash, v.kind, v.format, "
            "v.title, v.text, v.segments, v.people, v.metadata, v.occurred_at "
            "FROM elmer.documents d JOIN elmer.document_versions v "
            "ON v.workspace_id = d.workspace_id AND v.document_id = d.id AND v.content_hash = d.content_hash "
            "WHERE d.workspace_id = :w AND d.id = ANY(:ids) ORDER BY d.id"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(document_ids)},
    )
    return [dict(row) for row in rows.mappings()]


def counts(connection: Connection, workspace_id: str) -> dict[str, int]:
    """How many documents are live and retired, and source files known."""
    row = connection.execute(
        text(
            "SELECT (SELECT count(*) FROM elmer.documents WHERE workspace_id = :w AND retired_at IS NULL), "
            "(SELECT count(*) FROM elmer.documents WHERE workspace_id = :w AND retired_at IS NOT NULL), "
            "(SELECT count(*) FROM elmer.source_files WHERE workspace_id = :w "
            "AND options_fingerprint IS DISTINCT FROM :out)"
        ),
        {"w": workspace_id, "out": KEPT_OUT},
    ).one()
    return {"live": row[0], "retired": row[1], "files": row[2]}


def listing(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Live documents by address: id, address, source_path, title, kind, format, version, occurred_at, people,
    characters, signals, and the text as it was read, in which signals' characters are counted."""
    rows = connection.execute(
        text(
            "SELECT d.id, d.address, d.source_path, v.title, v.kind, v.format, d.version, v.occurred_at, v.people, "
            "length(v.text) AS characters, coalesce(s.signals, 0) AS signals, v.text FROM elmer.documents d "
            "JOIN elmer.document_versions v ON v.workspace_id = d.workspace_id AND v.document_id = d.id "
            "AND v.content_hash = d.content_hash "
            "LEFT JOIN (SELECT document_id, count(*) AS signals FROM elmer.signals "
            "WHERE workspace_id = :w AND retired_at IS NULL GROUP BY 1) s ON s.document_id = d.id "
            "WHERE d.workspace_id = :w AND d.retired_at IS NULL ORDER BY d.address"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]
