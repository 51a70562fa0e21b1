"""The step `documents` on a real folder and database: versions, moves, deletions, refusals (I3, I4, I8)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from elmer_pipelines.documents import ingest
from elmer_pipelines.documents.ingest import ingest_documents, ingest_knowledge, source_changes
from elmer_pipelines.errors import WorkspaceError
from elmer_pipelines.steps import listening
from elmer_pipelines.store import documents as store
from elmer_pipelines.store import knowledge, outcomes
from elmer_pipelines.store.database import Database


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    return tmp_path / workspace


def _write(path: Path, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    stamp = os.stat(path).st_mtime_ns + 1_000_000_000 * len(words)  # a clock that never stands still between writes
    os.utime(path, ns=(stamp, stamp))


def _documents(database: Database, workspace: str) -> dict[str, dict[str, Any]]:
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT * FROM elmer.documents WHERE workspace_id = :w AND retired_at IS NULL"), {"w": workspace}
        )
        return {row["address"]: dict(row) for row in rows.mappings()}


def _ingest(database: Database, workspace: str, folder: Path) -> dict[str, int | float | str]:
    result = ingest_documents(database, workspace, str(folder))
    return {"pending": result.pending, "done": result.done, "failed": result.failed, **result.counts}


def test_a_second_run_reads_nothing(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "a.md", "# Call\n\nAnna: The export loses rows.")
    _write(folder / "b.txt", "Ben: I like the board.")
    assert _ingest(database, workspace, folder)["documents"] == 2
    assert _ingest(database, workspace, folder)["pending"] == 0
    assert not source_changes(database, workspace, str(folder)).any


def test_a_changed_file_is_a_new_version_of_the_same_document(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _ingest(database, workspace, folder)
    before = _documents(database, workspace)["a.md"]
    _write(folder / "a.md", "The export loses rows and columns.")
    assert source_changes(database, workspace, str(folder)).changed == 1
    assert _ingest(database, workspace, folder)["done"] == 1
    after = _documents(database, workspace)["a.md"]
    assert after["id"] == before["id"]
    assert (before["version"], after["version"]) == (1, 2)
    assert after["content_hash"] != before["content_hash"]


def test_a_touched_file_with_the_same_content_is_not_read_again(
    database: Database, workspace: str, folder: Path
) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _ingest(database, workspace, folder)
    os.utime(folder / "a.md", (1, 1))
    assert source_changes(database, workspace, str(folder)).changed == 1
    assert _ingest(database, workspace, folder)["pending"] == 0
    assert not source_changes(database, workspace, str(folder)).any


def test_a_deleted_file_retires_its_document_and_its_return_revives_it(
    database: Database, workspace: str, folder: Path
) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _write(folder / "b.md", "The board is fine.")
    _ingest(database, workspace, folder)
    first = _documents(database, workspace)["b.md"]["id"]
    (folder / "b.md").unlink()
    assert _ingest(database, workspace, folder)["documents_retired"] == 1
    assert set(_documents(database, workspace)) == {"a.md"}
    _write(folder / "b.md", "The board is fine.")
    _ingest(database, workspace, folder)
    assert _documents(database, workspace)["b.md"]["id"] == first


def test_a_moved_file_is_the_same_document_at_a_new_address(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _write(folder / "keep.md", "The board is fine.")
    _ingest(database, workspace, folder)
    first = _documents(database, workspace)["a.md"]["id"]
    (folder / "sub").mkdir()
    (folder / "a.md").rename(folder / "sub" / "renamed.md")
    counts = _ingest(database, workspace, folder)
    assert _documents(database, workspace)["sub/renamed.md"]["id"] == first
    assert counts["documents_retired"] == 0


def test_records_called_by_another_column_are_the_same_documents(
    database: Database, workspace: str, folder: Path
) -> None:
    rows = ["nr,internal,text", "1,a,The export loses rows", "2,b,Great app", "3,c,The board is slow"]
    _write(folder / "t.csv", "\n".join(rows))
    _ingest(database, workspace, folder)
    before = {key.partition("#")[2]: row["id"] for key, row in _documents(database, workspace).items()}
    _write(folder / "workspace.toml", '[[documents.tables]]\npattern = "t.csv"\nid = "internal"\n')
    counts = _ingest(database, workspace, folder)
    after = {address: row["id"] for address, row in _documents(database, workspace).items()}
    assert after.keys() == {"t.csv#a", "t.csv#b", "t.csv#c"}
    assert sorted(after.values()) == sorted(before.values())
    assert counts["documents_retired"] == 0


def test_a_very_large_file_is_saved_in_parts_and_gone_on_with(
    database: Database, workspace: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_AHEAD", 3)
    write, batches = store.write_rows, []

    def ends_with_the_second(connection: Connection, workspace_id: str, rows: list[dict[str, Any]]) -> None:
        batches.append(len(rows))
        if len(batches) == 2:
            raise OSError("the machine went off")
        write(connection, workspace_id, rows)

    monkeypatch.setattr(store, "write_rows", ends_with_the_second)
    _write(folder / "t.csv", "\n".join(["id,text", *(f"r{n},The export loses {n} rows" for n in range(8))]))
    assert _ingest(database, workspace, folder)["failed"] == 1
    first = {address: row["id"] for address, row in _documents(database, workspace).items()}
    assert len(first) == 3
    with database.begin() as connection:
        outcomes.retry(connection, workspace, "documents")
    heard: list[tuple[str, int, int]] = []
    with listening(lambda *told: heard.append(told)):
        assert _ingest(database, workspace, folder)["failed"] == 0
    assert [told for told in heard if told[0] == "records of t.csv"] == [
        ("records of t.csv", done, 5) for done in (0, 3, 5)
    ]
    after = {address: row["id"] for address, row in _documents(database, workspace).items()}
    assert len(after) == 8
    assert first.items() <= after.items()


def test_another_file_at_the_old_address_is_another_document(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _write(folder / "keep.md", "The board is fine.")
    _ingest(database, workspace, folder)
    first = _documents(database, workspace)["a.md"]["id"]
    (folder / "a.md").rename(folder / "b.md")
    _ingest(database, workspace, folder)
    _write(folder / "a.md", "Something else altogether.")
    _ingest(database, workspace, folder)
    found = _documents(database, workspace)
    assert found["b.md"]["id"] == first
    assert found["a.md"]["id"] != first


def test_an_empty_listing_of_a_source_that_had_documents_is_refused(
    database: Database, workspace: str, folder: Path
) -> None:
    _write(folder / "a.md", "The export loses rows.")
    _ingest(database, workspace, folder)
    (folder / "a.md").unlink()
    with pytest.raises(WorkspaceError, match="nothing was retired"):
        _ingest(database, workspace, folder)
    with pytest.raises(WorkspaceError, match="nothing was retired"):
        source_changes(database, workspace, str(folder))
    assert set(_documents(database, workspace)) == {"a.md"}


def test_a_file_that_breaks_keeps_the_documents_it_had(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "a.json", '[{"text": "The export loses rows."}]')
    _write(folder / "b.md", "The board is fine.")
    _ingest(database, workspace, folder)
    before = set(_documents(database, workspace))
    _write(folder / "a.json", '[{"text": "The export')
    assert _ingest(database, workspace, folder)["failed"] == 1
    assert set(_documents(database, workspace)) == before
    with database.begin() as connection:
        (failure,) = outcomes.failures(connection, workspace, "documents")
    assert failure["record_id"] == "a.json"
    assert failure["next_step"]
    assert not source_changes(database, workspace, str(folder)).any  # known to be broken: no run is asked for


def test_rows_of_a_table_keep_their_documents_when_one_is_inserted(
    database: Database, workspace: str, folder: Path
) -> None:
    rows = ["review", "The export loses rows", "The board is lovely to work with", "It crashes every morning"]
    _write(folder / "r.csv", "\n".join(rows))
    _ingest(database, workspace, folder)
    before = {row["id"] for row in _documents(database, workspace).values()}
    rows.insert(1, "A new review at the very top of the file")
    _write(folder / "r.csv", "\n".join(rows))
    _ingest(database, workspace, folder)
    after = {row["id"] for row in _documents(database, workspace).values()}
    assert before < after
    assert len(after) == 4


def test_knowledge_follows_its_folder(database: Database, workspace: str, folder: Path) -> None:
    _write(folder / "knowledge" / "company.md", "# Us\n\nWe make things.")
    assert ingest_knowledge(database, workspace, str(folder)).counts["texts"] == 1
    assert ingest_knowledge(database, workspace, str(folder)).done == 0
    (folder / "knowledge" / "company.md").unlink()
    ingest_knowledge(database, workspace, str(folder))
    with database.begin() as connection:
        assert knowledge.every(connection, workspace) == []
