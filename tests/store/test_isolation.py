"""Workspaces do not see each other (I9): every function of the store asks for one, and none reaches another's rows."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus import Corpus
from sqlalchemy import text

from elmer_pipelines import store
from elmer_pipelines.clusters import history, pinning
from elmer_pipelines.clusters.clustering import cluster_signals
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store import cluster_members, workspaces
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store.database import Database
from elmer_pipelines.workbench import EXPORTS, Workbench

NOT_TABLES = {
    "database",
    "embedded",
    "schema",
    "run_locks",
    "workspaces",
    "allowances",
    "limits",
}  # limits: of an account
WITHOUT_A_WORKSPACE = {"ensure_index", "now", "project_text", "steps"}  # an index, the clock, and what asks no table
WORDS = "The export of invoices loses a third of the rows every month and accounting complains to me."
TABLES = [
    "documents",
    "document_versions",
    "signals",
    "embeddings",
    "cluster_members",
    "clusters",
    "projects",
    "signal_links",
    "artifacts",
    "citations",
    "outcomes",
    "model_calls",
    "source_files",
    "signal_classifications",
    "cluster_events",
    "clusterings",
    "clustering_requests",
    "cluster_pins",
    "duplicate_signals",
    "duplicate_merges",
]


def _public_functions() -> list[tuple[str, Callable[..., Any]]]:
    found = []
    for module in pkgutil.iter_modules(store.__path__):
        if module.name in NOT_TABLES or module.ispkg:
            continue
        loaded = importlib.import_module(f"elmer_pipelines.store.{module.name}")
        for name, function in vars(loaded).items():
            if inspect.isfunction(function) and function.__module__ == loaded.__name__ and not name.startswith("_"):
                found.append((f"{module.name}.{name}", function))
    return found


@pytest.mark.parametrize(
    ("name", "function"), _public_functions(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_function_of_the_store_is_for_one_workspace(name: str, function: Callable[..., Any]) -> None:
    if name.split(".")[1] in WITHOUT_A_WORKSPACE:
        return
    assert list(inspect.signature(function).parameters)[:2] == ["connection", "workspace_id"]


def test_every_statement_of_the_store_is_scoped() -> None:
    unscoped = []
    for file in Path(store.__path__[0]).glob("*.py"):
        if file.stem in NOT_TABLES:
            continue
        for block in re.findall(r"text\(\s*f?(?:\"\"\".*?\"\"\"|(?:f?\"[^\"]*\"\s*)+)", file.read_text(), re.S):
            if re.search(r"elmer\.\w+", block) and not re.search(r"workspace_id|_SUPPORT|_COLUMNS", block):
                unscoped.append((file.name, block[:120]))
    assert [one for one in unscoped if "to_regclass" not in one[1]] == []


@pytest.fixture
def two(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Two workspaces with the same words in files of the same name, both up to date."""
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    pipeline = Pipeline(load_settings(tmp_path), database)
    for one in ("ours", "theirs"):
        folder = tmp_path / one
        folder.mkdir()
        (folder / "a.txt").write_text(WORDS)
        (folder / "b.txt").write_text(WORDS)
        (folder / "workspace.toml").write_text('[[projects]]\nname = "Invoice export"\ndescription = "accounting rows"')
        with database.begin() as connection:
            workspaces.register(connection, one, one, str(folder))
        for step in STEPS:
            pipeline.run(step, one)
    return pipeline


def _rows(database: Database, table: str, workspace: str) -> list[str]:
    with database.begin() as connection:
        rows = connection.execute(
            text(f"SELECT to_jsonb(t)::text FROM elmer.{table} t WHERE workspace_id = :w ORDER BY 1"), {"w": workspace}
        )
        return list(rows.scalars())


def test_the_same_words_in_two_workspaces_are_two_things(two: Pipeline) -> None:
    ours, theirs = (Workbench(one, pipeline=two) for one in ("ours", "theirs"))
    for what in EXPORTS:
        for column in {"id", "signal_id", "project_id"} & set(ours.export(what)):
            assert not set(ours.export(what)[column]) & set(theirs.export(what)[column])
    assert set(ours.search("invoices", 50)["id"]) == set(ours.signals()["id"])
    first, second = sorted(ours.signals()["id"])
    assert list(ours.more_like(first)["id"]) == [second]
    assert set(ours.similar_projects("accounting")["id"]) == set(ours.projects()["id"])
    foreign = theirs.projects()["id"].iloc[0]
    with pytest.raises(NotFoundError, match="no project"):
        ours.search("invoices", project=foreign)
    for asked in (lambda: ours.more_like(theirs.signals()["id"].iloc[0]), lambda: ours.similar_projects(foreign)):
        with pytest.raises(NotFoundError, match=r"no (signal|project)"):
            asked()
    with pytest.raises(NotFoundError, match="no record"):
        ours.trace(theirs.signals()["id"].iloc[0])


def test_what_one_does_leaves_the_other_as_it_was(two: Pipeline, tmp_path: Path) -> None:
    ours, theirs = (Workbench(one, pipeline=two) for one in ("ours", "theirs"))
    merged = theirs.merge_duplicates(theirs.duplicates()["group"].iloc[0])
    before = {table: _rows(two.database, table, "theirs") for table in TABLES}
    assert before["signals"] and before["duplicate_merges"]
    with pytest.raises(NotFoundError, match="no group"):
        ours.merge_duplicates(theirs.duplicates()["group"].iloc[0])
    with pytest.raises(NotFoundError, match="no merge"):
        ours.undo_merge(merged.id)
    ours.undo_merge(ours.merge_duplicates(ours.duplicates()["group"].iloc[0]).id)
    ours.edit_signal(ours.signals()["id"].iloc[0], severity="critical")
    ours.retry_failures()
    ours.cluster_again()
    (tmp_path / "ours" / "a.txt").write_text("Something else: the calendar shows every appointment twice.")
    for step in STEPS:
        two.run(step, "ours")
    assert {table: _rows(two.database, table, "theirs") for table in TABLES} == before


def test_the_clusters_and_pins_of_one_are_not_there_for_the_other(database: Database) -> None:
    ours, theirs = Corpus(database, "ours"), Corpus(database, "theirs")
    ids = {one.workspace_id: [one.add(topic, 8)[0] for topic in range(3)] for one in (ours, theirs)}
    for one in (ours, theirs):
        cluster_signals(database, one.workspace_id, one.embedder)
    cluster = theirs.cluster_of(ids["theirs"])[0]
    with database.begin() as connection:
        pinning.pin_apart(connection, "theirs", ids["theirs"][:2])
        before = theirs.run("SELECT to_jsonb(m)::text FROM elmer.cluster_members m WHERE workspace_id = :w ORDER BY 1")
        assert pinning.listed(connection, "ours") == []
        assert cluster_store.find(connection, "ours", [cluster]) == {}
        assert cluster_members.places(connection, "ours", ids["theirs"]) == []
        assert cluster_members.pulls(connection, "ours", [cluster]) == {}
        assert cluster_members.pulls(connection, "theirs", [cluster])[cluster] > 0
        for refused in (
            lambda: history.history(connection, "ours", cluster),
            lambda: pinning.pin_to(connection, "ours", ids["ours"][0], cluster),
            lambda: pinning.pin_together(connection, "ours", [ids["ours"][0], ids["theirs"][0]]),
            lambda: pinning.unpin(connection, "ours", pinning.listed(connection, "theirs")[0]["id"]),
        ):
            with pytest.raises(NotFoundError):
                refused()
    ours.retire(ids["ours"])
    ours.add(4, 8)
    cluster_signals(database, "ours", ours.embedder)
    after = theirs.run("SELECT to_jsonb(m)::text FROM elmer.cluster_members m WHERE workspace_id = :w ORDER BY 1")
    assert after == before
