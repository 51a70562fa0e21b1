from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from elmer_pipelines.documents.workspace_file import ProjectEntry, WorkspaceFile
from elmer_pipelines.errors import WorkspaceError
from elmer_pipelines.projects.named import name_slug, named_projects, project_text, run_projects
from elmer_pipelines.store import projects as store

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.projects import Project


@pytest.fixture
def root(workspace: str, tmp_path: Path) -> Path:
    return tmp_path / workspace


def write(root: Path, *projects: str) -> None:
    (root / "workspace.toml").write_text("\n".join(f"[[projects]]\n{one}" for one in projects), encoding="utf-8")


def live(database: Database) -> list[Project]:
    with database.begin() as connection:
        return store.live(connection, "acme")


def test_the_files_projects_become_rows_once(database: Database, root: Path) -> None:
    write(root, 'name = "Faster exports"\ndescription = "Out in time."\nstage = "prd"', 'name = "Onboarding"')
    first = run_projects(database, "acme", str(root))
    assert first.counts == {"projects": 2, "changed": 2, "retired": 0}
    assert {(one.name, one.description, one.stage, one.origin) for one in live(database)} == {
        ("Faster exports", "Out in time.", "prd", "named"),
        ("Onboarding", "", "inbox", "named"),
    }
    again = run_projects(database, "acme", str(root))
    assert (again.pending, again.counts) == (0, {"projects": 2})


def test_a_project_keeps_its_id_when_its_description_changes(database: Database, root: Path) -> None:
    write(root, 'name = "Faster exports"')
    run_projects(database, "acme", str(root))
    before = live(database)[0]
    write(root, 'name = "Faster  EXPORTS!"\ndescription = "Now with words."')
    run_projects(database, "acme", str(root))
    after = live(database)
    assert [one.id for one in after] == [before.id]
    assert after[0].description == "Now with words."


def test_a_project_gone_is_retired_and_comes_back(database: Database, root: Path) -> None:
    write(root, 'name = "Faster exports"', 'name = "Onboarding"')
    run_projects(database, "acme", str(root))
    write(root, 'name = "Onboarding"')
    assert run_projects(database, "acme", str(root)).counts["retired"] == 1
    with database.begin() as connection:
        assert len(store.names_ever(connection, "acme")) == 2
    write(root, 'name = "Faster exports"', 'name = "Onboarding"')
    run_projects(database, "acme", str(root))
    assert len(live(database)) == 2


def test_an_initiative_is_not_retired_by_the_file(database: Database, root: Path) -> None:
    initiative = store.Project("P-x", "From a cluster", "", "inbox", "initiative", "C-1")
    with database.begin() as connection:
        store.save(connection, "acme", [initiative])
    write(root, 'name = "Onboarding"')
    run_projects(database, "acme", str(root))
    assert initiative in live(database)


def test_without_a_file_there_are_no_projects(database: Database, root: Path) -> None:
    assert run_projects(database, "acme", str(root)).counts["projects"] == 0


def test_names_that_differ_in_signs_only_are_refused() -> None:
    file = WorkspaceFile(projects=(ProjectEntry(name="Fast export"), ProjectEntry(name="fast-EXPORT?")))
    with pytest.raises(WorkspaceError, match=r"Fast export.*fast-EXPORT\?.*another name"):
        named_projects("acme", file)


def test_the_same_name_is_another_project_in_another_workspace() -> None:
    file = WorkspaceFile(projects=(ProjectEntry(name="Exports"),))
    assert named_projects("acme", file)[0].id != named_projects("other", file)[0].id


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Faster Exports", "faster-exports"),
        ("Größe", "grösse"),
        ("搜索 改进", "搜索-改进"),
        ("../../etc", "etc"),
        ("!!!", "!!!"),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    assert name_slug(name) == slug


def test_a_projects_text_is_name_and_description() -> None:
    assert project_text("Exports", "Out in time.") == "Exports\nOut in time."
