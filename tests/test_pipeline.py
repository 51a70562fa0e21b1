"""The whole pipeline, step by step, on a real database: what is redone and what is not (I1, I3, I4, I8), alone and
with the services' models spoken to over their wire protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.model_server import ModelServer
from sqlalchemy import text

from elmer_pipelines import checks
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store.database import Database
from elmer_pipelines.workbench import Workbench

INTERVIEW = """---
title: Interview with a dispatcher
date: 2026-05-04
kind: interview
interviewer: Mara
---
Mara: How do you plan the day?

Ada: The calendar sync creates duplicate appointments every morning and I delete them by hand.

Mara: And on the road?

Ada: The app loses my job notes whenever there is no network in the cellar. I need the notes to be kept offline.

Ada: Exporting invoices to accounting takes an hour every Friday, please make it faster.
"""
TICKETS = """id,text,date
1,The calendar sync doubled all my appointments again and deleting one deletes the job,2026-05-11
2,Invoice export to accounting fails with an error every month,2026-05-12
3,The app crashes when I upload photos from the cellar,2026-05-13
4,Duplicate appointments appear after every calendar sync,2026-06-02
5,We lost the job notes written offline in the basement,2026-06-09
6,Please let the offline notes sync later without losing them,2026-06-10
"""
SETTINGS = """
name = "Acme"
[automation]
prd_signals = 2
[[projects]]
name = "Calendar sync"
description = "Appointments synchronised with a calendar must not appear twice; no duplicate appointments."
"""


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    place = tmp_path / workspace
    (place / "interviews").mkdir()
    (place / "interviews" / "ada.md").write_text(INTERVIEW)
    (place / "tickets.csv").write_text(TICKETS)
    (place / "workspace.toml").write_text(SETTINGS)
    return place


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    return load_settings(tmp_path)


@pytest.fixture
def pipeline(database: Database, settings: Settings) -> Iterator[Pipeline]:
    own = Pipeline(settings, database)
    yield own
    own.close()


def _refresh(pipeline: Pipeline, workspace: str) -> dict[str, StepResult]:
    return {step: pipeline.run(step, workspace) for step in STEPS}


def _worked(results: dict[str, StepResult]) -> dict[str, int]:
    return {step: result.done for step, result in results.items() if result.done}


def _rows(database: Database, statement: str) -> list[dict[str, Any]]:
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(text(statement)).mappings()]


def _assert_sound(database: Database, workspace: str) -> None:
    """I1 and I6 by the checks that Dagster shows, too."""
    with database.begin() as connection:
        for check in (checks.quotes_are_verbatim, checks.signals_cover_documents, checks.signals_are_clustered):
            found = check(connection, workspace)
            assert found.passed, found
        for kind in ("research_brief", "prd"):
            assert checks.citations_resolve(connection, workspace, kind).passed


def test_from_documents_to_a_prd_without_any_key(pipeline: Pipeline, workspace: str, folder: Path) -> None:
    results = _refresh(pipeline, workspace)
    assert {step: result.failed for step, result in results.items() if result.failed} == {}
    assert sum(result.model_calls for result in results.values()) == 0
    _assert_sound(pipeline.database, workspace)
    with_prd = Workbench(workspace, pipeline=pipeline)
    artifacts = with_prd.artifacts()
    prd = artifacts[(artifacts["kind"] == "prd") & (artifacts["project"] == "Calendar sync")].iloc[0]
    assert (prd["status"], prd["unresolved"]) == ("final", 0)
    assert prd["citations"] >= 2
    assert Path(prd["file"]).read_text().startswith("# ")


def test_a_second_run_does_nothing(pipeline: Pipeline, workspace: str, folder: Path) -> None:
    _refresh(pipeline, workspace)
    assert _worked(_refresh(pipeline, workspace)) == {}


def test_one_changed_document_redoes_what_hangs_on_it(pipeline: Pipeline, workspace: str, folder: Path) -> None:
    _refresh(pipeline, workspace)
    before = _rows(pipeline.database, "SELECT id, verbatim FROM elmer.signals WHERE retired_at IS NULL")
    (folder / "interviews" / "ada.md").write_text(INTERVIEW + "\nAda: The reports are too slow for my boss.\n")
    results = _refresh(pipeline, workspace)
    assert _worked(results)["documents"] == 1
    assert _worked(results)["signals"] == 1
    after = _rows(pipeline.database, "SELECT id, verbatim FROM elmer.signals WHERE retired_at IS NULL")
    new = [row for row in after if row not in before]
    assert [row for row in before if row not in after] == []
    assert [row["verbatim"] for row in new] == ["The reports are too slow for my boss."]
    assert _worked(results)["signal_embeddings"] == 1
    _assert_sound(pipeline.database, workspace)


def test_what_people_did_survives_a_changed_document(pipeline: Pipeline, workspace: str, folder: Path) -> None:
    _refresh(pipeline, workspace)
    bench = Workbench(workspace, pipeline=pipeline)
    signal = bench.signals().query("speaker == 'Ada'").iloc[0]["id"]
    bench.edit_signal(signal, severity="critical")
    moved = INTERVIEW.replace("Mara: How do you plan", "Mara: Thank you for your time.\n\nMara: How do you plan")
    (folder / "interviews" / "ada.md").write_text(moved)
    _refresh(pipeline, workspace)
    kept = bench.signals().set_index("id").loc[signal]
    assert kept["severity"] == "critical"
    _assert_sound(pipeline.database, workspace)


def test_a_deleted_file_takes_its_signals_along(pipeline: Pipeline, workspace: str, folder: Path) -> None:
    _refresh(pipeline, workspace)
    (folder / "tickets.csv").unlink()
    _refresh(pipeline, workspace)
    bench = Workbench(workspace, pipeline=pipeline)
    assert set(bench.signals()["address"]) == {"interviews/ada.md"}
    assert set(bench.links()["signal_id"]) <= set(bench.signals()["id"])
    assert bench.status()["documents"]["retired"] == 6
    _assert_sound(pipeline.database, workspace)


def test_with_the_services_models(served: Pipeline, workspace: str, folder: Path, model_server: ModelServer) -> None:
    results = _refresh(served, workspace)
    assert {step: result.failed for step, result in results.items() if result.failed} == {}
    assert sum(result.model_calls for result in results.values()) == len(model_server.calls)
    assert results["signals"].model_calls == 7
    assert results["signal_embeddings"].counts["dimensions"] == 1536
    _assert_sound(served.database, workspace)
    ledger = _rows(served.database, "SELECT * FROM elmer.model_calls WHERE outcome = 'ok'")
    assert len(ledger) == len(model_server.calls)
    assert all(row["cost_usd"] is not None and row["cost_usd"] > 0 for row in ledger)


def test_nothing_is_asked_twice(served: Pipeline, workspace: str, folder: Path, model_server: ModelServer) -> None:
    _refresh(served, workspace)
    asked = len(model_server.calls)
    with served.database.begin() as connection:  # as after a crash that lost all outcomes, but nothing paid for
        connection.execute(text("DELETE FROM elmer.outcomes"))
    _refresh(served, workspace)
    assert len(model_server.calls) == asked


def test_a_model_that_fails_stops_only_its_documents(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    served.documents(workspace)
    model_server.script("messages", "refusal")
    result = served.signals(workspace)
    assert (result.done, result.failed) == (6, 1)
    (failure,) = Workbench(workspace, pipeline=served).failures().to_dict("records")
    assert failure["error_kind"] == "refusal"
    assert failure["next_step"]


def test_a_budget_stops_spending_cleanly_and_the_next_run_goes_on(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    for step in ("documents", "knowledge"):
        served.run(step, workspace)
    settings = (folder / "workspace.toml").read_text()
    (folder / "workspace.toml").write_text(settings + "[models]\nbudget_usd = 0.01\n")  # less than one long answer
    stopped = served.run("signals", workspace, run_id="run-1")
    assert (stopped.done, stopped.failed, model_server.count()) == (0, 0, 0)
    assert (stopped.counts["stopped_by"], stopped.counts["left"]) == ("budget", stopped.pending)
    assert float(stopped.counts["left_would_cost_usd"]) > 0
    bench = Workbench(workspace, pipeline=served)
    assert bench.status()["budget"]["workspace_cap_usd"] == 0.01
    (folder / "workspace.toml").write_text(settings + "[models]\nbudget_usd = 5\n")
    results = _refresh(served, workspace)
    assert results["signals"].done == stopped.pending
    assert results["signals"].cost_usd > 0
    _assert_sound(served.database, workspace)
    by_asset = bench.costs(by="asset").set_index("asset")
    assert by_asset.loc["signals", "cost_usd"] == pytest.approx(results["signals"].cost_usd)
    for by in ("day", "workspace", "run", "prompt"):
        assert bench.costs(by=by)["cost_usd"].sum() == pytest.approx(by_asset["cost_usd"].sum())
    assert bench.budget()["spent_today_usd"] == pytest.approx(by_asset["cost_usd"].sum())
    assert bench.budget()["reserved_usd"] == 0
    with pytest.raises(ValueError, match="no costs by"):
        bench.costs(by="colour")


def test_a_refusal_is_asked_anew_where_a_person_wants_it_and_only_then(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    served.documents(workspace)
    model_server.script("messages", "refusal")
    assert served.signals(workspace).failed == 1
    asked = model_server.count()
    bench = Workbench(workspace, pipeline=served)
    assert served.signals(workspace).pending == 0  # an ordinary run leaves it
    model_server.script("messages", "refusal")
    bench.retry_failures()
    assert served.signals(workspace).failed == 1
    assert model_server.count() == asked + 1  # once, whatever comes
    with served.database.begin() as connection:  # the record worked again for another reason: the refusal is kept
        connection.execute(text("UPDATE elmer.outcomes SET state = 'pending' WHERE state = 'failed'"))
    assert served.signals(workspace).failed == 1
    assert model_server.count() == asked + 1
    bench.retry_failures()
    assert served.signals(workspace).done == 1
    assert model_server.count() == asked + 2
