"""`elmer purge`: afterwards no table and no file holds a word of the document, and nothing else is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from elmer_pipelines import cli
from elmer_pipelines.errors import NotFoundError, WorkspaceError
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store import journal, workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.schema import metadata
from elmer_pipelines.workbench import Workbench

WORDS = ["zanzibar", "quixotic", "flummox", "xylograph", "wombat"]
SECRET = """---
title: Interview about Xylograph
date: 2026-05-04
kind: interview
interviewer: Mara
---
Mara: How do you plan the day?

Ada Wombat: The zanzibar calendar sync always creates duplicate quixotic appointments every morning.

Ada Wombat: We lost the flummox job notes in the zanzibar cellar, the quixotic calendar sync crashes always.
"""
OTHERS = """id,text,date
1,The calendar sync doubled all my appointments again and deleting one deletes the job,2026-05-11
2,Duplicate appointments appear after every calendar sync always,2026-06-02
3,We lost the job notes written offline in the basement,2026-06-09
4,The calendar sync creates duplicate appointments every morning,2026-06-10
5,The job notes were lost offline in the cellar every time,2026-06-11
"""
SETTINGS = """
name = "Acme"
[automation]
prd_signals = 2
initiative_signals = 2
min_confidence = 0.1
min_severity = "low"
[[projects]]
name = "Calendar sync"
description = "Appointments synchronised with a calendar must not appear twice; no duplicate appointments."
"""


def _fill(place: Path) -> None:
    place.mkdir(exist_ok=True)
    (place / "secret.md").write_text(SECRET)
    (place / "tickets.csv").write_text(OTHERS)
    (place / "workspace.toml").write_text(SETTINGS)


BOTH = pytest.mark.parametrize("pipeline", ["local", "served"], indirect=True)


@pytest.fixture
def pipeline(
    request: pytest.FixtureRequest, database: Database, workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    if getattr(request, "param", "local") == "served":
        request.getfixturevalue("services")
    _fill(tmp_path / workspace)
    own = Pipeline(load_settings(tmp_path), database)
    _refresh(own, workspace)
    yield own
    own.close()


def _refresh(pipeline: Pipeline, workspace: str) -> None:
    results = {step: pipeline.run(step, workspace) for step in STEPS}
    assert {step: result.failed for step, result in results.items() if result.failed} == {}


def _found_in_tables(database: Database, workspace: str) -> set[tuple[str, str]]:
    """(table, word) wherever a word of the document stands, in any column, whatever its case."""
    found = set()
    with database.begin() as connection:
        for table in metadata.sorted_tables:
            where = "WHERE workspace_id = :w" if "workspace_id" in table.columns else ""
            rows = connection.execute(
                text(f"SELECT to_jsonb(t)::text FROM {table.fullname} t {where}"), {"w": workspace}
            )
            for row in rows.scalars():
                found |= {(table.name, word) for word in WORDS if word in row.lower()}
    return found


def _found_on_disk(folder: Path) -> set[str]:
    names = {str(path.relative_to(folder)).lower() for path in folder.rglob("*")}
    texts = {path.read_text().lower() for path in folder.rglob("*") if path.is_file()}
    return {word for word in WORDS if any(word in one for one in (*names, *texts))}


def _others(database: Database, workspace: str) -> dict[str, list[object]]:
    """What other documents have, by table."""
    statements = {
        "signals": "SELECT s.id, s.verbatim, s.severity, s.retired_at FROM elmer.signals s JOIN elmer.documents d "
        "ON d.workspace_id = s.workspace_id AND d.id = s.document_id WHERE s.workspace_id = :w "
        "AND d.source_path <> 'secret.md' ORDER BY 1",
        "documents": "SELECT d.id, v.text FROM elmer.documents d JOIN elmer.document_versions v ON v.workspace_id = "
        "d.workspace_id AND v.document_id = d.id WHERE d.workspace_id = :w AND source_path <> 'secret.md' ORDER BY 1",
        "ledger": "SELECT count(*), sum(cost_usd) FROM elmer.model_calls WHERE workspace_id = :w",
    }
    with database.begin() as connection:
        return {
            name: [tuple(r) for r in connection.execute(text(s), {"w": workspace})] for name, s in statements.items()
        }


@BOTH
def test_no_word_is_left_anywhere(pipeline: Pipeline, workspace: str, tmp_path: Path) -> None:
    database, artifacts = pipeline.database, Path(pipeline.artifact_folder)
    before = _found_in_tables(database, workspace)
    assert {"document_versions", "signals", "artifacts"} <= {table for table, _ in before}
    assert _found_on_disk(artifacts)
    bench = Workbench(workspace, pipeline=pipeline)
    (tmp_path / workspace / "secret.md").unlink()
    others = _others(database, workspace)
    document = bench.documents().set_index("source_path").loc["secret.md"]["id"]
    plan = bench.plan_purge(document)
    assert plan.counts()["signals"] >= 2
    assert _found_in_tables(database, workspace) == before  # planning changes nothing
    bench.purge(plan)
    assert _found_in_tables(database, workspace) == set()
    assert _found_on_disk(artifacts) == set()
    assert _others(database, workspace) == others
    _refresh(pipeline, workspace)
    assert _found_in_tables(database, workspace) == set()
    assert _found_on_disk(artifacts) == set()
    shown = bench.artifacts()
    assert set(shown["status"]) == {"final"}
    assert not any(name.startswith("Cluster C-") for name in bench.projects().query("signals > 0")["name"])
    assert all(Path(file).is_file() for file in shown["file"])
    assert sum(pipeline.run(step, workspace).done for step in STEPS) == 0


def test_an_area_called_by_a_purged_theme_is_called_anew(pipeline: Pipeline, workspace: str, tmp_path: Path) -> None:
    """Also where no signal of the document is in the area any more."""
    with pipeline.database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO elmer.clusters (workspace_id, id, level, size, theme) "
                "SELECT workspace_id, 'C-far', 'area', 9, theme || ' · Invoices' FROM elmer.clusters "
                "WHERE workspace_id = :w AND level = 'theme' AND ended_at IS NULL AND theme <> '' "
                "ORDER BY size DESC LIMIT 1"
            ),
            {"w": workspace},
        )
    bench = Workbench(workspace, pipeline=pipeline)
    (tmp_path / workspace / "secret.md").unlink()
    bench.purge(bench.plan_purge("secret.md"))
    with pipeline.database.begin() as connection:
        left = connection.execute(text("SELECT theme FROM elmer.clusters WHERE id = 'C-far'")).scalar_one()
    assert left is None


def test_other_workspaces_keep_the_same_document(pipeline: Pipeline, workspace: str, tmp_path: Path) -> None:
    _fill(tmp_path / "other")
    with pipeline.database.begin() as connection:
        workspaces.register(connection, "other", "Other", str(tmp_path / "other"))
    _refresh(pipeline, "other")
    before = _found_in_tables(pipeline.database, "other")
    bench = Workbench(workspace, pipeline=pipeline)
    (tmp_path / workspace / "secret.md").unlink()
    bench.purge(bench.plan_purge("secret.md"))
    assert _found_in_tables(pipeline.database, workspace) == set()
    assert _found_in_tables(pipeline.database, "other") == before


def test_a_file_that_is_there_is_refused_or_kept_out(pipeline: Pipeline, workspace: str, tmp_path: Path) -> None:
    bench = Workbench(workspace, pipeline=pipeline)
    file = tmp_path / workspace / "secret.md"
    with pytest.raises(WorkspaceError, match=r"secret\.md is still in the workspace's folder"):
        bench.plan_purge(str(file))
    bench.purge(bench.plan_purge(str(file), keep_out=True))
    file.write_text(SECRET + "\nAda Wombat: And the quixotic reports are too slow for my boss.\n")
    assert not pipeline.changes(workspace).any
    _refresh(pipeline, workspace)
    assert _found_in_tables(pipeline.database, workspace) == set()
    assert file.exists()
    assert bench.status()["documents"] == {
        "files": 1, "files_read": 1, "files_failed": 0, "documents": 5, "retired": 0,
    }  # fmt: skip


def test_keeping_a_table_out_purges_all_its_documents(pipeline: Pipeline, workspace: str) -> None:
    bench = Workbench(workspace, pipeline=pipeline)
    one = bench.documents().query("source_path == 'tickets.csv'").iloc[0]["id"]
    plan = bench.plan_purge(one, keep_out=True)
    assert (len(plan.documents), plan.kept_out) == (5, ("tickets.csv",))
    bench.purge(plan)
    _refresh(pipeline, workspace)
    assert set(bench.documents()["source_path"]) == {"secret.md"}


def test_what_is_unknown_or_being_worked_on_is_refused(pipeline: Pipeline, workspace: str) -> None:
    bench = Workbench(workspace, pipeline=pipeline)
    with pytest.raises(NotFoundError, match="no document nothing"):
        bench.plan_purge("nothing.md")
    with pipeline.database.begin() as connection:
        connection.execute(
            text("UPDATE elmer.outcomes SET state = 'pending', claimed_until = now() + interval '1 minute'")
        )
    with pytest.raises(WorkspaceError, match="A run is at work"):
        bench.plan_purge("secret.md", keep_out=True)


def test_the_command_asks_first_and_takes_waiting_requests_along(
    pipeline: Pipeline, workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(workspace, pipeline=pipeline)
    monkeypatch.setattr(bench, "close", lambda: None)
    monkeypatch.setattr(cli, "open_workbench", lambda _: bench)
    document = bench.documents().set_index("source_path").loc["secret.md"]["id"]
    with pipeline.database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO elmer.model_batches (workspace_id, id, provider, step, model, items) "
                "VALUES ('acme', 'B-1', 'anthropic', 'signals', 'claude', 1);"
                "INSERT INTO elmer.model_batch_items (workspace_id, batch_id, fingerprint, request) "
                "VALUES ('acme', 'B-1', 'v1:waiting', '{\"words\": \"zanzibar\"}')"
            )
        )
        journal.note_records(connection, workspace, "v1:waiting", [document])
    (tmp_path / workspace / "secret.md").unlink()
    before = _found_in_tables(pipeline.database, workspace)
    asked = CliRunner().invoke(cli.app, ["purge", "secret.md"], input="n\n")
    assert (asked.exit_code, "Delete these for good?" in asked.output) == (1, True)
    assert _found_in_tables(pipeline.database, workspace) == before
    assert CliRunner().invoke(cli.app, ["purge", "secret.md", "--yes"]).exit_code == 0
    assert _found_in_tables(pipeline.database, workspace) == set()
