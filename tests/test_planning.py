"""What a run would do and cost, told without doing or spending anything; and why one record is stale (I3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers.model_server import ModelServer
from sqlalchemy import text
from test_pipeline import INTERVIEW, SETTINGS, TICKETS

from elmer_pipelines.errors import NotFoundError, SettingsError
from elmer_pipelines.explaining import Explanation, explain
from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.planning import StepPlan, plan, selected, totals
from elmer_pipelines.settings import load_settings
from elmer_pipelines.signals import claude_extractor
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import artifacts, outcomes, schema
from elmer_pipelines.store.database import Database

ASKING = {"signals", "signal_embeddings", "project_embeddings", "cluster_themes", "signal_classifications"}
WRITING = {"research_briefs", "prds"}


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    place = tmp_path / workspace
    (place / "interviews").mkdir()
    (place / "interviews" / "ada.md").write_text(INTERVIEW)
    (place / "tickets.csv").write_text(TICKETS)
    (place / "workspace.toml").write_text(SETTINGS)
    return place


@pytest.fixture
def alone(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Pipeline]:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    own = Pipeline(load_settings(tmp_path), database)
    yield own
    own.close()


@pytest.fixture
def served(served: Pipeline, folder: Path) -> Pipeline:
    return served


def refresh(pipeline: Pipeline, workspace: str) -> dict[str, StepResult]:
    return {step: pipeline.run(step, workspace, run_id="run-1") for step in STEPS}


def everything(database: Database) -> dict[str, list[str]]:
    """Every row of every table."""
    with database.begin() as connection:
        return {
            name: list(connection.execute(text(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY 1")).scalars())
            for name in schema.metadata.tables
        }


def another_prompt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The extraction's prompt in a next version, with one sentence more."""
    words = claude_extractor.PROMPT_FILE.read_text().replace("version: 1", "version: 2")
    own = tmp_path / "extract_signals.md"
    own.write_text(words + "\nTake your time.\n")
    monkeypatch.setattr(claude_extractor, "PROMPT_FILE", own)


def of(plans: list[StepPlan], step: str) -> StepPlan:
    return next(one for one in plans if one.step == step)


def test_planning_and_explaining_change_and_send_nothing(
    served: Pipeline, workspace: str, model_server: ModelServer, folder: Path
) -> None:
    refresh(served, workspace)
    (folder / "interviews" / "ada.md").write_text(INTERVIEW + "\nAda: The reports are too slow for my boss.\n")
    (folder / "new.txt").write_text("The calendar shows yesterday's jobs every morning.")
    before, sent = everything(served.database), len(model_server.calls)
    plans = plan(served, workspace)
    assert of(plans, "documents").reasons == {"content changed": 1, "new": 1}
    explain(served, workspace, "interviews/ada.md")
    assert everything(served.database) == before
    assert len(model_server.calls) == sent


def test_before_the_first_run_all_is_new_or_after_upstream(served: Pipeline, workspace: str) -> None:
    plans = plan(served, workspace)
    assert of(plans, "documents").reasons == {"new": 2}
    signals = of(plans, "signals")
    assert (signals.to_do, signals.after, signals.later.records, signals.later.calls) == (0, ("documents",), 7, 7)
    assert signals.later.input_tokens > len(INTERVIEW) // 3
    assert of(plans, "prds").later.records >= 1
    _, later = totals(plans)
    assert later.cost_usd is not None and later.cost_usd > 0
    assert later.batch_usd == pytest.approx(later.cost_usd / 2)


@pytest.mark.parametrize("kind", ["alone", "served"])
def test_each_step_then_does_what_was_planned(kind: str, workspace: str, request: pytest.FixtureRequest) -> None:
    """Step by step: the records and, where a model is asked, exactly the calls."""
    pipeline: Pipeline = request.getfixturevalue(kind)
    for step in STEPS:
        (planned,) = plan(pipeline, workspace, step)
        done = pipeline.run(step, workspace)
        assert (step, planned.to_do) == (step, done.pending)
        if step in ASKING | WRITING:
            assert (step, planned.now.calls) == (step, done.model_calls)
    plans = plan(pipeline, workspace)
    assert {one.step: one.reasons for one in plans if one.to_do or one.later.records} == {}
    assert totals(plans)[0].calls == 0


def test_stored_answers_are_counted_and_cost_nothing(served: Pipeline, workspace: str) -> None:
    refresh(served, workspace)
    with served.database.begin() as connection:
        connection.execute(text("DELETE FROM elmer.outcomes WHERE step IN ('signals', 'signal_embeddings')"))
    signals, embeddings = plan(served, workspace, "signals, signal_embeddings")
    assert (signals.reasons, signals.now.calls, signals.now.cached) == ({"new": 7}, 0, 7)
    assert (embeddings.now.calls, embeddings.now.cached) == (0, embeddings.to_do)
    assert signals.now.cost_usd == 0


def test_reasons_are_told_by_what_changed(
    served: Pipeline, workspace: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refresh(served, workspace)
    another_prompt(monkeypatch, tmp_path)
    (folder / "workspace.toml").write_text(SETTINGS.replace("prd_signals = 2", "prd_signals = 2\nmin_confidence = 0.5"))
    monkeypatch.setenv("ELMER_MODEL_CLASSIFY", "claude-opus-5-5")
    other = Pipeline(load_settings(tmp_path), served.database)
    plans = plan(other, workspace)
    assert of(plans, "signals").reasons == {"prompt extract_signals v1 → v2": 7}
    classified = of(plans, "signal_classifications")
    assert list(classified.reasons) == ["model claude-haiku-5-5 → claude-opus-5-5"]
    assert of(plans, "initiatives").reasons == {"settings changed": 1}
    assert of(plans, "documents").to_do == of(plans, "projects").to_do == 0
    assert of(plans, "signal_clusters").after == ("signal_embeddings",)


def test_of_a_changed_table_only_the_changed_rows_come(alone: Pipeline, workspace: str, folder: Path) -> None:
    refresh(alone, workspace)
    (folder / "tickets.csv").write_text(TICKETS + "7,The new week view hides my jobs,2026-06-11\n")
    plans = plan(alone, workspace)
    assert of(plans, "documents").reasons == {"content changed": 1}
    assert of(plans, "signals").later.records == 1
    assert of(plans, "signal_embeddings").later.records == 1


def test_a_model_of_openais_protocol_is_priced_as_one(
    served: Pipeline, workspace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served.documents(workspace)
    monkeypatch.setenv("ELMER_MODEL_EXTRACT", "openai:gpt-5-mini")
    other = Pipeline(load_settings(tmp_path), served.database)
    (planned,) = plan(other, workspace, "signals")
    assert (planned.model, planned.now.calls) == ("gpt-5-mini", 7)
    assert planned.now.cost_usd
    assert planned.now.output_tokens


def test_failures_are_to_be_retried_or_left_to_a_person(
    served: Pipeline, workspace: str, model_server: ModelServer
) -> None:
    served.documents(workspace)
    model_server.script("messages", "refusal")
    served.signals(workspace)
    (planned,) = plan(served, workspace, "signals")
    assert (planned.to_do, planned.failed, planned.fresh) == (0, 1, 6)
    with served.database.begin() as connection:
        outcomes.retry(connection, workspace)
    (planned,) = plan(served, workspace, "signals")
    assert planned.reasons == {"retry": 1}
    assert (planned.now.calls, planned.now.cached) == (1, 0), "the stored refusal is asked for anew, and paid"


def test_a_failure_that_a_person_may_have_mended_is_retried_like_one_of_a_long_outage(
    served: Pipeline, workspace: str, model_server: ModelServer
) -> None:
    served.documents(workspace)
    model_server.script("messages", "refusal")
    served.signals(workspace)
    change = text(
        "UPDATE elmer.outcomes SET error_kind = :kind, retryable = :may, attempts = 9, updated_at = :at "
        "WHERE state = 'failed'"
    )
    long_ago = datetime.now(UTC) - timedelta(hours=7)
    for kind, may, at, reasons in [
        ("auth", False, datetime.now(UTC), {"retry": 1}),
        ("overloaded", True, long_ago, {"retry": 1}),
        ("overloaded", True, datetime.now(UTC), {}),
    ]:
        with served.database.begin() as connection:
            connection.execute(change, {"kind": kind, "may": may, "at": at})
        assert plan(served, workspace, "signals")[0].reasons == reasons


def test_a_deleted_artifact_is_planned_to_be_written_again(alone: Pipeline, workspace: str) -> None:
    refresh(alone, workspace)
    with alone.database.begin() as connection:
        first = artifacts.listing(connection, workspace, "research_brief")[0]
    Path(first["file"]).unlink()
    assert of(plan(alone, workspace), "research_briefs").reasons == {"its file is missing": 1}
    assert story(explain(alone, workspace, first["id"]), "research_briefs") == ("stale", "its file is missing")
    refresh(alone, workspace)
    assert Path(first["file"]).exists()
    assert of(plan(alone, workspace), "research_briefs").to_do == 0


def test_what_is_gone_moves_what_comes_after(alone: Pipeline, workspace: str, folder: Path) -> None:
    refresh(alone, workspace)
    (folder / "tickets.csv").unlink()
    plans = plan(alone, workspace)
    assert (of(plans, "documents").to_do, of(plans, "documents").removed) == (0, 1)
    assert of(plans, "signal_clusters").later.records == 1


def test_minutes_are_those_of_the_rate_limits_where_they_are_slower(served: Pipeline, workspace: str) -> None:
    served.documents(workspace)
    (fast,) = plan(served, workspace, "signals")
    assert any("not measured yet" in one for one in fast.now.assumed)
    with served.database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO elmer.rate_limits (account, model, kind, per_minute) "
                "VALUES ('a', 'claude-sonnet-5-5', 'requests', 2)"
            )
        )
    (slow,) = plan(served, workspace, "signals")
    assert slow.now.minutes == pytest.approx(3.5)
    assert "at the service's rate limits" in slow.now.assumed


def test_a_model_without_a_price_has_no_cost(
    served: Pipeline, workspace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served.documents(workspace)
    monkeypatch.setenv("ELMER_MODEL_EXTRACT", "somebody-elses-model")
    (planned,) = plan(Pipeline(load_settings(tmp_path), served.database), workspace, "signals")
    assert (planned.now.calls, planned.now.cost_usd, planned.now.batch_usd) == (7, None, None)
    assert totals([planned])[0].cost_usd is None


def test_selections_are_read_as_for_a_run() -> None:
    assert selected(None) == selected("*") == set(STEPS)
    assert selected("signals") == {"signals"}
    assert selected("signals, prds") == selected("signals or prds") == {"signals", "prds"}
    assert selected("+signal_embeddings") == {"documents", "signals", "signal_embeddings"}
    assert selected("1+prds") == {"research_briefs", "prds"}
    assert selected("research_briefs+") == {"research_briefs", "prds"}
    assert selected("signal_clusters+1") == {"signal_clusters", "cluster_themes", "cluster_trends"}
    for wrong in ("signal", "signals++", "group:signals", "signals;"):
        with pytest.raises(SettingsError, match="selects no assets"):
            selected(wrong)


def story(found: Explanation, step: str) -> tuple[str, str | None]:
    one = next(one for one in found.steps if one.step == step)
    return one.verdict, one.reason


def test_explain_says_which_part_is_different(
    served: Pipeline, workspace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refresh(served, workspace)
    with served.database.begin() as connection:
        signal = connection.execute(text("SELECT id FROM elmer.signals ORDER BY id LIMIT 1")).scalar_one()
    fresh = explain(served, workspace, f"[{signal}]")
    assert {one.verdict for one in fresh.steps} == {"fresh"}
    assert {one.run_id for one in fresh.steps} == {"run-1"}
    another_prompt(monkeypatch, tmp_path)
    stale = explain(served, workspace, signal)
    assert story(stale, "documents") == ("fresh", None)
    assert story(stale, "signals") == ("stale", "prompt extract_signals v1 → v2")
    (difference,) = next(one for one in stale.steps if one.step == "signals").differences
    assert (difference.part, difference.before, difference.now) == (
        "prompt",
        "extract_signals v1",
        "extract_signals v2",
    )
    embedded = next(one for one in stale.steps if one.step == "signal_embeddings")
    assert (embedded.verdict, embedded.upstream) == ("fresh", {"signals": 7})


def test_explain_takes_every_kind_of_id_and_a_path(alone: Pipeline, workspace: str, folder: Path) -> None:
    refresh(alone, workspace)
    statements = {
        "document": "SELECT id FROM elmer.documents LIMIT 1",
        "cluster": "SELECT id FROM elmer.clusters WHERE ended_at IS NULL LIMIT 1",
        "project": "SELECT id FROM elmer.projects WHERE origin = 'named'",
        "artifact": "SELECT id FROM elmer.artifacts WHERE kind = 'prd' LIMIT 1",
    }
    with alone.database.begin() as connection:
        ids = {kind: connection.execute(text(found)).scalar() for kind, found in statements.items()}
    for kind, record in ids.items():
        if record is None:  # eight remarks need not form a cluster
            continue
        found = explain(alone, workspace, record)
        assert (found.kind, {one.verdict for one in found.steps}) == (kind, {"fresh"})
    (folder / "tickets.csv").write_text(TICKETS + "7,The new week view hides my jobs,2026-06-11\n")
    assert story(explain(alone, workspace, "tickets.csv"), "documents") == ("stale", "content changed")
    with pytest.raises(NotFoundError, match="no record"):
        explain(alone, workspace, "S-000000000000")


def test_explain_tells_the_error_of_a_failure(alone: Pipeline, workspace: str, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    alone.documents(workspace)
    (one,) = explain(alone, workspace, "broken.pdf").steps
    assert (one.verdict, one.state, one.attempts) == ("failed", "failed", 1)
    assert one.error_kind and one.message and one.next_step


@pytest.mark.parametrize("changed", ["prompt", "model"])
def test_the_same_answers_to_another_question_leave_all_that_follows_untouched(
    served: Pipeline,
    workspace: str,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    changed: str,
) -> None:
    refresh(served, workspace)
    kept = ("elmer.embeddings", "elmer.clusters", "elmer.cluster_members", "elmer.cluster_events", "elmer.projects",
            "elmer.signal_links", "elmer.signal_classifications", "elmer.artifacts", "elmer.citations")  # fmt: skip
    before, sent = everything(served.database), len(model_server.calls)
    if changed == "prompt":
        another_prompt(monkeypatch, tmp_path)
    else:
        monkeypatch.setenv("ELMER_MODEL_EXTRACT", "claude-opus-5-5")
    results = refresh(Pipeline(load_settings(tmp_path), served.database), workspace)
    assert {step: one.done for step, one in results.items() if one.done} == {"signals": 7}
    assert {step: one.model_calls for step, one in results.items() if one.model_calls} == {"signals": 7}
    assert len(model_server.calls) == sent + 7
    after = everything(served.database)
    assert before["elmer.artifacts"]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_document_read_again_with_the_same_words_ends_there(
    served: Pipeline, workspace: str, model_server: ModelServer, folder: Path
) -> None:
    refresh(served, workspace)
    sent = len(model_server.calls)
    (folder / "tickets.csv").write_text(TICKETS.replace("\n", "\r\n"))
    results = refresh(served, workspace)
    assert {step: one.done for step, one in results.items() if one.done} == {"documents": 1}
    assert len(model_server.calls) == sent
