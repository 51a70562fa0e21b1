"""Listing and fetching source files; workspace.toml; knowledge texts."""

from __future__ import annotations

import os
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import fsspec
import pytest

from elmer_pipelines.documents.knowledge import read_knowledge
from elmer_pipelines.documents.options import ReadingOptions
from elmer_pipelines.documents.sources import SourceFile, fetch, list_sources
from elmer_pipelines.documents.workspace_file import WorkspaceFile, read_workspace_file, starter
from elmer_pipelines.errors import UnreadableDocument, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

_FILES = {
    "a.md": "The export is slow.",
    "README.md": "About this folder.",
    "calls/deep/b.txt": "Search is slow.",
    "workspace.toml": "name = 'x'",
    "calls/workspace.toml": "name = 'kept: only the root holds settings'",
    "knowledge/company.md": "# Acme\n\nWe make tools.",
    "knowledge/personas/buyers.txt": "Buyers care about price.",
    "knowledge/notes.md": "---\nkind: guardrails\ntitle: Never\n---\nNever sell data.",
    "knowledge/picture.png": "no text",
    ".hidden.md": "no",
    ".git/c.md": "no",
    "calls/~$b.docx": "no",
}


def _fill(root: Path) -> str:
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return str(root)


@pytest.fixture
def memory_root() -> str:
    root = f"memory://{uuid.uuid4().hex}"
    filesystem = fsspec.filesystem("memory")
    for name, text in _FILES.items():
        filesystem.pipe(f"{root}/{name}", text.encode())
    return root


_LISTED = ["README.md", "a.md", "calls/deep/b.txt", "calls/workspace.toml"]


@pytest.mark.parametrize("as_url", [False, True])
def test_a_local_folder_is_listed(tmp_path: Path, as_url: bool) -> None:
    root = f"file://{_fill(tmp_path)}" if as_url else _fill(tmp_path)
    sources = list_sources(root)
    assert [source.path for source in sources] == _LISTED
    assert sources[1].size == len("The export is slow.")
    assert abs(sources[1].modified - datetime.now(UTC)) < timedelta(minutes=5)
    assert fetch(root, sources[2], 100) == b"Search is slow."
    assert read_workspace_file(root).name == "x"


def test_a_folder_in_memory_is_listed(memory_root: str) -> None:
    sources = list_sources(memory_root)
    assert [source.path for source in sources] == _LISTED
    assert all(source.modified.tzinfo is not None for source in sources)
    assert fetch(memory_root, sources[2], 100) == b"Search is slow."
    assert read_workspace_file(memory_root).name == "x"
    assert len(read_knowledge(memory_root)) == 3


@pytest.mark.parametrize("root", ["/no/such/folder", "memory://no-such-folder", "nonsense://x"])
def test_a_missing_root_is_an_error(root: str) -> None:
    for call in (list_sources, read_workspace_file, read_knowledge):
        with pytest.raises(WorkspaceError):
            call(root)


def test_links_out_of_the_folder_pipes_and_loops_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("no")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.md").write_text("The export is slow.")
    (root / "out.md").symlink_to(secret)
    (root / "outdir").symlink_to(tmp_path)
    (root / "sub" / "loop").symlink_to(root)
    (root / "self.md").symlink_to(root / "self.md")
    (root / "inside.md").symlink_to(root / "a.md")
    os.mkfifo(root / "pipe.txt")
    assert [source.path for source in list_sources(str(root))] == ["a.md", "inside.md"]
    for path in ("out.md", "../secret.txt", str(secret), "pipe.txt", "gone.md"):
        with pytest.raises(UnreadableDocument):
            fetch(str(root), SourceFile(path, 2, datetime.now(UTC)), 100)


def test_names_are_nfc_and_still_found(tmp_path: Path) -> None:
    written = unicodedata.normalize("NFD", "Gespräche/Müller.txt")
    (tmp_path / written).parent.mkdir()
    (tmp_path / written).write_text("Zu langsam.")
    (source,) = list_sources(str(tmp_path))
    assert source.path == "Gespräche/Müller.txt"
    assert fetch(str(tmp_path), source, 100) == b"Zu langsam."


def test_names_that_are_no_unicode_can_be_stored_and_found(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt"), "wb") as stream:
        stream.write(b"Zu langsam.")
    (source,) = list_sources(str(tmp_path))
    assert source.path == "caf\ufffd.txt"
    assert fetch(str(tmp_path), source, 100) == b"Zu langsam."


def test_oversized_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "big.txt").open("wb") as stream:
        stream.truncate(10 << 30)
    (source,) = list_sources(str(tmp_path))
    with pytest.raises(UnreadableDocument) as caught:
        fetch(str(tmp_path), source, 50 << 20)
    assert caught.value.kind == "oversized"


def test_a_workspace_file_with_everything(tmp_path: Path) -> None:
    text = """
name = "Tide"
[automation]
depth = "full_auto"
prd_signals = 9
[[projects]]
name = "Faster export"
stage = "discovery"
[[personas]]
name = "Ops"
weight = 0.5
[documents]
max_megabytes = 2
[[documents.tables]]
pattern = "reviews/*.csv"
text = "Review"
"""
    (tmp_path / "workspace.toml").write_text(text)
    file = read_workspace_file(str(tmp_path))
    assert (file.name, file.automation.depth, file.automation.prd_signals, file.automation.initiative_signals) == (
        "Tide",
        "full_auto",
        9,
        3,
    )
    assert (file.projects[0].stage, file.personas[0].weight) == ("discovery", 0.5)
    options = ReadingOptions.of(file)
    assert (options.max_bytes, options.table_for("reviews/2026/a.csv").text) == (2 << 20, "Review")
    assert options.table_for("other.csv").text is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nmae = 'x'", "nmae"), ("[automation]\ndept = 'x'", "automation.dept"),
        ("[automation]\ndepth = 'wild'", "automation.depth"),
        ("[[projects]]\nname = 'a'\nstage = 'lost'", "projects.1.stage"),
        ("[[projects]]\nname='a'\n[[projects]]\nname='a'", "a"),
        ("name = ", "TOML"), ("[[documents.tables]]\ntext = 'x'", "documents.tables.1.pattern"), ("\xff", "TOML"),
    ],
)  # fmt: skip
def test_a_wrong_workspace_file_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "workspace.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(WorkspaceError, match=named):
        read_workspace_file(str(tmp_path))


def test_without_a_workspace_file_the_folder_gives_the_name(tmp_path: Path) -> None:
    root = tmp_path / "north"
    root.mkdir()
    assert read_workspace_file(str(root)) == WorkspaceFile(name="north")


@pytest.mark.parametrize("name", ["Tide", 'The "best" \\ one', "日本\nx", ""])
def test_the_starter_is_a_valid_workspace_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "workspace.toml").write_text(starter(name), encoding="utf-8")
    file = read_workspace_file(str(tmp_path))
    assert file.name == (" ".join(name.split()) or "My product")
    assert file.automation == WorkspaceFile().automation


def test_knowledge_has_kinds_and_titles(tmp_path: Path) -> None:
    texts = read_knowledge(_fill(tmp_path))
    assert [(text.path, text.kind, text.title) for text in texts] == [
        ("knowledge/company.md", "company", "Acme"),
        ("knowledge/notes.md", "guardrails", "Never"),
        ("knowledge/personas/buyers.txt", "personas", "buyers"),
    ]
    assert texts[1].text == "Never sell data."
