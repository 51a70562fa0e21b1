from __future__ import annotations

import os
import sys
from pathlib import Path

import fsspec
import pytest

from elmer_pipelines.artifacts import files
from elmer_pipelines.artifacts.files import folder_names, path_of, write_text
from elmer_pipelines.errors import RecordError


def test_projects_of_one_name_have_folders_of_their_own() -> None:
    found = folder_names([("P-aaa", "Faster exports"), ("P-bbb", "faster EXPORTS!"), ("P-ccc", "Other")])
    assert found == {"P-aaa": "faster-exports", "P-bbb": "faster-exports-bbb", "P-ccc": "other"}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "/", "C:\\x", "a/b", "~root", "\x00", "", "!!!", "memory://x"]
)
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    folder = folder_names([("P-abc", name)])["P-abc"]
    assert folder
    assert all(sign.isalnum() or sign == "-" for sign in folder)


def test_long_names_in_any_script_fit_a_file_system(tmp_path: Path) -> None:
    names = [("P-aaa", "長" * 300), ("P-bbb", "長" * 301)]
    folders = folder_names(names)
    assert len(set(folders.values())) == 2
    for one in folders.values():
        write_text(path_of(str(tmp_path), "acme", one, "prd.md"), "x")
        assert (tmp_path / "acme" / one / "prd.md").read_text() == "x"


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "prd.md"
    write_text(str(path), "one\r\n")
    write_text(str(path), "two 🙂\n")
    assert path.read_bytes() == "two 🙂\n".encode()
    assert os.listdir(path.parent) == ["prd.md"]


def test_a_full_disk_is_the_records_outcome_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prd.md"
    write_text(str(path), "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RecordError, match=r"prd\.md: No space left on device") as caught:
        write_text(str(path), "new")
    assert caught.value.kind == "unwritable"
    assert "ELMER_CONTEXT_PATH" in caught.value.next_step
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["prd.md"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("in the way")
    with pytest.raises(RecordError, match=r"acme/x/prd\.md"):
        write_text(str(tmp_path / "acme" / "x" / "prd.md"), "text")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="Permission denied"):
        write_text(str(tmp_path / "prd.md"), "text")


def test_an_address_of_another_file_system() -> None:
    path = path_of("memory://docs/", "acme", "exports", "prd.md")
    write_text(path, "text")
    with fsspec.open(path, "r") as file:
        assert file.read() == "text"


def test_an_unknown_file_system_is_refused_by_path() -> None:
    with pytest.raises(RecordError, match=r"nowhere://x/prd\.md"):
        write_text("nowhere://x/prd.md", "text")
