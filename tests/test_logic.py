"""What Dagster's `code_version` stands on is what outcomes are determined by, without what the records add (I3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from elmer_pipelines.logic import code_version, logic_of
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store.database import Database

# By step, the parts that are of the records, the workspace or the day.
OF_RECORDS = {
    "documents": {"content", "tables", "limits"},
    "knowledge": {"texts"},
    "signals": {"content"},
    "signal_embeddings": {"text"},
    "duplicate_signals": {"signals", "weights", "vectors"},
    "signal_clusters": {"signals", "weights", "vectors", "asked", "pins"},
    "cluster_themes": {"members", "kept_back"},
    "cluster_trends": {"signals", "clusters", "complete"},
    "projects": {"projects"},
    "project_embeddings": {"text"},
    "signal_classifications": {"words", "interpretation", "projects", "telling_words"},
    "initiatives": {"clusters", "links", "projects", "settings", "day"},
    "research_briefs": {"project", "evidence", "totals", "file"},
    "prds": {"project", "evidence", "totals", "file"},
}


@pytest.mark.parametrize("keys", [False, True], ids=["local", "services"])
def test_the_logic_is_all_of_an_outcome_that_is_not_of_its_record(
    database: Database, workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest, keys: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    if keys:
        request.getfixturevalue("services")
    folder = tmp_path / workspace
    (folder / "workspace.toml").write_text(
        '[automation]\nprd_signals = 1\n[[projects]]\nname = "Invoice export"\ndescription = "Exporting invoices"\n'
    )
    for number in range(4):
        (folder / f"{number}.txt").write_text(
            f"Exporting invoices takes {number + 2} hours every Friday, please make exporting invoices faster.\n"
        )
    settings = load_settings(tmp_path)
    pipeline = Pipeline(settings, database)
    for step in STEPS:
        pipeline.run(step, workspace)
    pipeline.close()
    with database.begin() as connection:
        found = connection.execute(text("SELECT step, determined_by FROM elmer.outcomes WHERE state = 'done'")).all()
    rows = [row for row in found if row.step in STEPS]  # the settings file is read as a record of no step
    assert {row.step for row in rows} == set(STEPS)
    for row in rows:
        logic = {name: part for name, part in row.determined_by.items() if name not in OF_RECORDS[row.step]}
        assert logic == logic_of(settings, row.step).as_json(), row.step


def test_a_code_version_says_what_it_stands_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local = load_settings(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    paid = load_settings(tmp_path)
    monkeypatch.setenv("ELMER_MODEL_EXTRACT", "openai:gpt-5-mini")  # without a key: said when it is used, not here
    other = load_settings(tmp_path)
    versions = [code_version(one, "signals") for one in (local, paid, other)]
    assert "model claude-sonnet-5-5" in versions[1]
    assert "prompt extract_signals v" in versions[1]
    assert "model gpt-5-mini" in versions[2]
    assert len(set(versions)) == 3
    assert code_version(local, "documents") == code_version(paid, "documents")
    assert code_version(paid, "prds") == code_version(other, "prds")
