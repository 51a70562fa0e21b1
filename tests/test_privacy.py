"""The whole pipeline with redaction on, against the services' protocols: what leaves the machine, and I1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from servers.model_server import ModelServer
from sqlalchemy import text

from elmer_pipelines import checks
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.planning import plan
from elmer_pipelines.settings import load_settings
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store.database import Database
from elmer_pipelines.workbench import Workbench

SECRETS = [
    "ada.lovelace@example.com", "+49 170 5556677", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00",
    "Project Falcon", "bob@example.org", "(415) 555-2671", "carol@example.net", "Ada Lovelace",
]  # fmt: skip
INTERVIEW = """---
title: Interview with ada.lovelace@example.com about Project Falcon
date: 2026-05-04
kind: interview
interviewer: Mara
---
Mara: How do you plan the day? Write to bob@example.org if you forget.

Ada Lovelace: The calendar sync of Project Falcon creates duplicate appointments for bob@example.org always.

Ada Lovelace: Call me at +49 170 5556677 because the app loses my job notes whenever there is no network.

Ada Lovelace: Paying with 4111 1111 1111 1111 fails often and a refund to DE89 3704 0044 0532 0130 00 never came.
"""
TICKETS = """id,text,author,date
1,The calendar sync of Project Falcon doubled all appointments of carol@example.net again,carol@example.net,2026-05-11
2,Invoice export fails with an error every month so ring (415) 555-2671 about it,Bob,2026-05-12
3,Duplicate appointments appear after every calendar sync,Bob,2026-06-02
4,We lost the job notes written offline in the basement,Bob,2026-06-09
"""
SETTINGS = """
name = "Acme"
[automation]
prd_signals = 2
initiative_signals = 2
[[projects]]
name = "Calendar sync"
description = "Appointments of Project Falcon synchronised with a calendar must not appear twice, says bob@example.org."
"""
PRIVACY = '[privacy]\nredact = true\nterms = ["project falcon", "Ada Lovelace"]\n'


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    place = tmp_path / workspace
    (place / "ada.md").write_text(INTERVIEW)
    (place / "tickets.csv").write_text(TICKETS)
    (place / "workspace.toml").write_text(SETTINGS + PRIVACY)
    return place


def _refresh(pipeline: Pipeline, workspace: str) -> dict[str, StepResult]:
    results = {step: pipeline.run(step, workspace) for step in STEPS}
    assert {step: result.failed for step, result in results.items() if result.failed} == {}
    return results


def _sent(server: ModelServer) -> str:
    return "\n".join(json.dumps(call.body, ensure_ascii=False) for call in server.calls)


def _signals(pipeline: Pipeline) -> list[dict[str, Any]]:
    with pipeline.database.begin() as connection:
        rows = connection.execute(text("SELECT * FROM elmer.signals WHERE retired_at IS NULL ORDER BY id"))
        return [dict(row) for row in rows.mappings()]


def test_no_personal_value_leaves_and_every_quote_is_placed(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    _refresh(served, workspace)
    Workbench(workspace, pipeline=served).search("what did bob@example.org say about Project Falcon")
    sent = _sent(model_server)
    assert {call.body["model"] for call in model_server.calls} >= {"claude-sonnet-5-5", "text-embedding-3-small"}
    assert [secret for secret in SECRETS if secret.lower() in sent.lower()] == []
    assert all(f"[{kind}_1]" in sent for kind in ("EMAIL", "PHONE", "CARD", "IBAN", "TERM"))
    signals = _signals(served)
    verbatims = " ".join(row["verbatim"] for row in signals)
    assert [one for one in SECRETS if one not in verbatims] == ["ada.lovelace@example.com", "Ada Lovelace"]
    assert "Ada Lovelace" in {row["speaker"] for row in signals}
    with served.database.begin() as connection:
        for check in (checks.quotes_are_verbatim, checks.signals_cover_documents, checks.signals_are_clustered):
            found = check(connection, workspace)
            assert found.passed, found
        assert connection.execute(text("SELECT count(*) FROM elmer.rejected_quotes")).scalar_one() == 0
        for kind in ("research_brief", "prd"):
            assert checks.citations_resolve(connection, workspace, kind).passed


def test_without_the_switch_the_service_sees_the_words(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    (folder / "workspace.toml").write_text(SETTINGS)
    _refresh(served, workspace)
    sent = _sent(model_server)
    assert [secret for secret in SECRETS if secret not in sent] == []


def test_switching_it_redoes_what_differs_and_no_more(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    _refresh(served, workspace)
    with_redaction = {row["id"]: row["verbatim"] for row in _signals(served)}
    assert sum(result.done for result in _refresh(served, workspace).values()) == 0
    (folder / "workspace.toml").write_text(SETTINGS)
    model_server.reset()
    _refresh(served, workspace)
    asked = [call.body["messages"][-1]["content"] for call in model_server.calls if call.endpoint == "messages"]
    extracted = [one for one in map(str, asked) if "<turn" in one]
    assert len(extracted) == 3  # the interview and two tickets hold something; the other two were answered
    embedded = [one for call in model_server.calls if call.endpoint == "embeddings" for one in call.body["input"]]
    assert embedded
    assert [one for one in embedded if one.endswith("every calendar sync")] == []  # sent as it is either way
    model_server.reset()
    (folder / "workspace.toml").write_text(SETTINGS + PRIVACY)
    _refresh(served, workspace)
    assert [call for call in model_server.calls if call.endpoint == "messages"] == []
    assert [secret for secret in SECRETS if secret in _sent(model_server)] == []
    assert {row["id"]: row["verbatim"] for row in _signals(served)} == with_redaction


def test_a_plan_says_what_switching_it_redoes_and_costs(
    served: Pipeline, workspace: str, folder: Path, model_server: ModelServer
) -> None:
    _refresh(served, workspace)
    assert {one.step: one.reasons for one in plan(served, workspace) if one.to_do} == {}
    (folder / "workspace.toml").write_text(SETTINGS)
    planned = {one.step: one for one in plan(served, workspace)}
    assert planned["signals"].reasons == {"redaction is gone": 5}
    assert (planned["signals"].now.calls, planned["signals"].now.cached) == (3, 2)
    embedded = planned["signal_embeddings"]
    assert embedded.reasons == {"sent is gone": embedded.to_do}
    assert (embedded.now.calls, embedded.now.cached) == (1, 0)
    for step in ("signals", "signal_embeddings"):
        model_server.reset()
        served.run(step, workspace)
        assert len(model_server.calls) == planned[step].now.calls
    assert {one.to_do for one in plan(served, workspace, "signals,signal_embeddings")} == {0}


def test_local_models_read_the_words_as_they_are(
    database: Database, workspace: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    pipeline = Pipeline(load_settings(tmp_path), database)
    assert type(pipeline.extractor()).__name__ == "LocalExtractor"
    assert type(pipeline.embedder).__name__ == "LocalEmbeddings"
    _refresh(pipeline, workspace)
    assert any("Project Falcon" in row["verbatim"] for row in _signals(pipeline))
    pipeline.close()
