"""A step whose requests go by message batches: half the price, the same signals, nothing asked twice (I2, I7, I8)."""

from __future__ import annotations

import json

import pytest
from batched import WORDS, Batched
from servers.chat import THOUGHT

from elmer_pipelines.batching import patience
from elmer_pipelines.batching.patience import patiently
from elmer_pipelines.documents.model import Document
from elmer_pipelines.planning import WAITING, plan
from elmer_pipelines.signals.claude_extractor import ClaudeExtractor
from elmer_pipelines.signals.model import Quote
from elmer_pipelines.steps import StepResult, listening
from elmer_pipelines.workbench import Workbench


def test_one_run_submits_one_batch_and_the_next_goes_on_at_half_the_price(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(12)
    first = batched.signals()
    assert (first.pending, first.done, first.failed, first.waiting) == (12, 0, 0, 12)
    assert first.counts["batches_submitted"] == 1
    assert batched.states() == {"waiting": 12}
    assert batched.rows("SELECT sum(attempts) FROM elmer.outcomes WHERE step = 'signals'")[0][0] == 0
    second = batched.signals()
    assert (second.done, second.waiting) == (0, 12)
    assert len(batched.server.batches.all) == 1
    batched.server.batches.end()
    third = batched.signals()
    assert (third.done, third.failed, third.waiting) == (12, 0, 0)
    assert third.counts["answers_from_batches"] == 12
    assert batched.server.count("messages") == 0
    assert [(one["state"], one["answered"], one["owed_usd"]) for one in batched.batches()] == [("collected", 12, 0.0)]
    signals, cost = batched.found(), batched.spent()
    assert third.cost_usd == pytest.approx(cost)
    told = "SELECT min(thinking_tokens), bool_or(estimated) FROM elmer.model_calls WHERE outcome = 'ok'"
    assert batched.rows(told) == [(THOUGHT, False)]

    for table in ("model_answers", "signals", "model_calls", "model_batches"):
        batched.rows(f"DELETE FROM elmer.{table} WHERE workspace_id = :w")
    batched.rows("DELETE FROM elmer.outcomes WHERE workspace_id = :w AND step = 'signals'")
    interactive = batched.again(monkeypatch, ELMER_BATCH="never")
    assert interactive.signals().done == 12
    assert interactive.found() == signals
    assert len(signals) >= 12
    assert cost == pytest.approx(interactive.spent() / 2)
    interactive.pipeline.batching.close()


def test_what_waits_is_said_everywhere(batched: Batched) -> None:
    batched.write(3)
    batched.signals()
    bench = Workbench("acme", pipeline=batched.pipeline)
    status = bench.status()
    assert status["waiting"] == {"signals": 3}
    assert status["budget"]["owed_for_batches_usd"] > 0
    (step,) = plan(batched.pipeline, "acme", "signals")
    assert step.reasons == {WAITING: 3}
    assert step.now.calls == 0
    assert list(bench.batches()["waiting"]) == [3]
    assert len(bench.failures()) == 0


def test_records_that_wait_are_not_looked_at_again_before_something_came(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(3)
    batched.signals()
    read: list[str] = []
    extract = ClaudeExtractor.extract

    def counted(self: ClaudeExtractor, document: Document) -> list[Quote]:
        read.append(document.address)
        return extract(self, document)

    monkeypatch.setattr(ClaudeExtractor, "extract", counted)
    batched.write(4)
    assert batched.signals().waiting == 4
    assert read == ["note-003.txt"]
    (batched.folder / "note-000.txt").write_text("Note 0, corrected: the export loses half of the rows every week.")
    batched.pipeline.documents("acme")
    assert batched.signals().waiting == 4
    assert read == ["note-003.txt", "note-000.txt"]
    batched.server.batches.end()
    assert batched.signals().done == 4
    assert any("half of the rows" in row.verbatim for row in batched.found())


def test_all_windows_of_a_document_wait_in_one_batch(batched: Batched) -> None:
    turns = [f"Ada: In week {number} {WORDS[number % 4]} It costs us hours." for number in range(900)]
    (batched.folder / "long.md").write_text("---\nkind: interview\n---\n" + "\n\n".join(turns))
    batched.pipeline.documents("acme")
    assert batched.signals().waiting == 1
    assert len(batched.server.batches.requests()) > 2
    batched.server.batches.end()
    assert batched.signals().done == 1
    assert len(batched.server.batches.all) == 1
    assert len(batched.found()) > 800


def test_few_calls_somebody_waits_for_are_asked_at_once(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TEXT_CALLS", 5)
    own = batched.again(monkeypatch, ELMER_BATCH="auto")
    own.write(5)
    assert own.signals().done == 5
    assert (own.server.count("messages"), own.server.batches.all) == (5, {})
    own.pipeline.batching.close()


def test_more_calls_than_that_go_by_batch_but_calls_are_counted_not_records(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "TEXT_CALLS", 5)
    own = batched.again(monkeypatch, ELMER_BATCH="auto")
    for number in range(7):  # what our side says is not asked about
        (own.folder / f"ours-{number}.md").write_text(
            f"---\ninterviewer: Mara\n---\nMara: Number {number}. How do you plan the day?"
        )
    own.write(4)
    result = own.signals()
    assert (result.done, result.waiting, own.server.count("messages")) == (11, 0, 4)
    assert own.server.batches.all == {}
    own.write(12)
    result = own.signals()
    assert (result.done, result.waiting, own.server.count("messages")) == (0, 8, 4)
    assert len(own.server.batches.requests()) == 8
    own.pipeline.batching.close()


def test_windows_count_as_calls_where_documents_are_few(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TEXT_CALLS", 2)
    own = batched.again(monkeypatch, ELMER_BATCH="auto")
    turns = [f"Ada: In week {number} {WORDS[number % 4]} It costs us hours." for number in range(900)]
    (own.folder / "long.md").write_text("---\nkind: interview\n---\n" + "\n\n".join(turns))
    own.pipeline.documents("acme")
    assert own.signals().waiting == 1
    assert len(own.server.batches.requests()) > 2
    own.pipeline.batching.close()


def test_a_run_nobody_waits_for_sends_batches_whatever_their_size(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = batched.again(monkeypatch, ELMER_BATCH="auto")
    own.write(2)
    with patiently():
        assert own.signals().waiting == 2
    assert own.rows("SELECT detail->>'patient' FROM elmer.model_batches") == [("true",)]
    assert patience.is_patient({"dagster/schedule_name": "nightly"})
    assert patience.is_patient({"elmer/patient": "true"})
    assert not patience.is_patient({"elmer/trigger": "elmer run", "elmer/patient": "false"})
    own.pipeline.batching.close()


def test_an_answer_under_way_is_not_paid_a_second_time_by_asking_at_once(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(2)
    batched.signals()
    other = batched.again(monkeypatch, ELMER_BATCH="never")
    other.write(3)
    result = other.signals()
    assert (result.done, result.waiting, other.server.count("messages")) == (1, 2, 1)
    other.pipeline.batching.close()


def test_local_models_send_nothing(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    own = batched.again(monkeypatch)
    own.write(2)
    assert own.signals().done == 2
    assert own.pipeline.signal_embeddings("acme").done > 0
    assert own.server.batches.all == {}


def test_what_expired_or_failed_for_the_moment_is_sent_again_and_gives_up_after_three_times(batched: Batched) -> None:
    batched.write(3)
    fates = {0: "expired", 1: "errored:overloaded_error", 2: "ok"}

    def fate(_: str, params: dict[str, object]) -> str:
        said = json.dumps(params["messages"])
        return next(fates[number] for number in fates if f"Note {number}." in said)

    batched.server.batches.fate = fate
    batched.signals()
    waiting = []
    for _ in range(3):
        batched.server.batches.end()
        waiting.append(batched.signals().waiting)
    assert waiting == [2, 2, 0]
    assert len(batched.server.batches.all) == 3
    assert batched.states() == {"done": 1, "expired": 1, "overloaded": 1}
    failures = Workbench("acme", pipeline=batched.pipeline).failures()
    assert set(failures["attempts"]) == {1}
    assert all("tried in 3 batches" in one for one in failures["message"])
    assert all(failures["next_step"])
    fates.update({0: "ok", 1: "ok"})
    assert batched.signals().waiting == 2  # what may succeed is tried again by the next run
    batched.server.batches.end()
    assert batched.signals().done == 2
    assert batched.server.count("messages") == 0


def test_a_request_refused_for_good_is_its_records_failure_until_a_person_retries(batched: Batched) -> None:
    batched.write(2)
    batched.server.batches.fate = lambda _, params: (
        "errored:invalid_request_error" if "Note 1." in json.dumps(params["messages"]) else "ok"
    )
    batched.signals()
    batched.server.batches.end()
    for _ in range(2):
        batched.signals()
    assert batched.states() == {"done": 1, "http_400": 1}
    assert len(batched.server.batches.all) == 1
    batched.server.batches.fate = lambda *_: "ok"
    assert Workbench("acme", pipeline=batched.pipeline).retry_failures() == 1
    assert batched.signals().waiting == 1
    batched.server.batches.end()
    assert batched.signals().done == 1


@pytest.mark.parametrize(("name", "kind"), [("refusal", "refusal"), ("truncated", "truncated")])
def test_an_answer_that_is_a_no_is_told_and_not_asked_for_again(batched: Batched, name: str, kind: str) -> None:
    batched.write(1)
    batched.server.batches.fate = lambda *_: name
    batched.signals()
    batched.server.batches.end()
    assert batched.signals().failed == 1
    assert batched.states() == {kind: 1}
    assert batched.rows("SELECT outcome FROM elmer.model_calls WHERE cost_usd > 0") == [(kind,)]
    assert len(batched.server.batches.all) == 1


def test_a_no_is_asked_anew_once_for_each_time_a_person_wants_it(batched: Batched) -> None:
    batched.write(1)
    batched.server.batches.fate = lambda *_: "refusal"
    batched.signals()
    bench = Workbench("acme", pipeline=batched.pipeline)
    for retries in range(4):
        batched.server.batches.end()
        assert batched.signals().failed == 1
        assert batched.states() == {"refusal": 1}
        assert len(batched.server.batches.all) == retries + 1
        assert batched.signals().pending == 0
        assert bench.retry_failures() == 1
        assert batched.signals().waiting == 1
    batched.server.batches.fate = lambda *_: "ok"
    batched.server.batches.end()
    assert batched.signals().done == 1
    assert len(batched.server.batches.all) == 5


def test_a_no_that_came_with_a_batch_can_be_asked_anew_at_once(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(1)
    batched.server.batches.fate = lambda *_: "refusal"
    batched.signals()
    batched.server.batches.end()
    batched.signals()
    own = batched.again(monkeypatch, ELMER_BATCH="never")
    assert Workbench("acme", pipeline=own.pipeline).retry_failures() == 1
    assert own.signals().done == 1
    assert (own.server.count("messages"), len(own.server.batches.all)) == (1, 1)
    own.pipeline.batching.close()


def test_answers_off_their_schema_are_asked_for_three_times_in_all(batched: Batched) -> None:
    batched.write(1)
    batched.server.batches.fate = lambda *_: "off_schema"
    for _ in range(3):
        assert batched.signals().waiting == 1
        batched.server.batches.end()
    assert batched.signals().failed == 1
    assert batched.states() == {"schema": 1}
    assert len(batched.server.batches.all) == 3


def test_a_batch_the_service_refuses_is_told_in_the_same_run(batched: Batched) -> None:
    batched.write(3)
    batched.server.batches.script.append("invalid")
    result = batched.signals()
    assert result.failed == 3
    assert "batches_not_taken" in result.counts
    assert batched.states() == {"http_400": 3}
    assert [(one["state"], one["owed_usd"]) for one in batched.batches()] == [("failed", 0.0)]
    assert "scripted" in batched.batches()[0]["reason"]


def test_a_dead_key_stops_the_step_with_one_reason_and_the_next_run_submits_anew(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = batched.again(monkeypatch, ELMER_BUDGET_USD="20")
    own.write(3)
    own.server.batches.script.extend(["auth", "auth"])
    for run in ("run-1", "run-2"):
        stops: list[StepResult] = []
        with listening(lambda *_: None, stops):
            result = own.signals(run)
        assert stops == [result]
        assert (result.done, result.failed, result.waiting, result.counts["left"]) == (0, 0, 0, 3)
        assert result.counts["stopped_by"] == "auth"
        assert str(result.counts["reason"]).count("The next run goes on by itself") == 1
        assert "batches_not_taken" not in result.counts
    assert own.states() == {"pending": 3}
    assert own.rows("SELECT sum(attempts) FROM elmer.outcomes WHERE step = 'signals'")[0][0] == 0
    assert own.rows("SELECT count(*) FROM elmer.spend_reservations")[0][0] == 0
    assert [(one["state"], one["owed_usd"]) for one in own.batches()] == [("failed", 0.0)] * 2
    assert len(own.server.batches.bodies) == 2  # one for each run, to see
    assert own.signals("run-2").counts["stopped_by"] == "auth"
    assert len(own.server.batches.bodies) == 2
    assert own.signals("run-3").waiting == 3
    own.server.batches.end()
    assert own.signals("run-4").done == 3
    own.pipeline.batching.close()


def test_a_step_that_may_yet_ask_at_once_is_not_told_as_stopped(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few requests for a batch, whose worst cases together pass the budget: asked one by one they don't."""
    own = batched.again(monkeypatch, ELMER_BUDGET_USD="0.5", ELMER_BATCH="auto")
    own.write(12)
    monkeypatch.setattr(patience, "TEXT_CALLS", 10)
    stops: list[StepResult] = []
    with listening(lambda *_: None, stops):
        result = own.signals()
    assert (result.done, stops, own.server.batches.all) == (12, [], {})
    own.pipeline.batching.close()


def test_what_a_service_sees_in_batches_is_redacted(batched: Batched) -> None:
    (batched.folder / "workspace.toml").write_text('[privacy]\nredact = true\nterms = ["Zanzibar"]\n')
    words = "Write to ada@example.com: Zanzibar loses a third of our invoices every month."
    (batched.folder / "a.txt").write_text(words)
    batched.pipeline.documents("acme")
    batched.signals()
    sent = json.dumps(batched.server.batches.bodies)
    assert "invoices" in sent
    assert "ada@example.com" not in sent
    assert "Zanzibar" not in sent
    assert set(batched.requests()) == {"{", "}"}
    batched.server.batches.end()
    assert batched.signals().done == 1
    assert any("Zanzibar" in row.verbatim for row in batched.found())


def test_a_purged_document_leaves_no_request(batched: Batched) -> None:
    batched.write(2)
    (batched.folder / "note-001.txt").unlink()
    batched.server.batches.script.append("drop")
    batched.signals()  # the rows still hold what is to be sent
    assert "Note 1." in batched.requests()
    bench = Workbench("acme", pipeline=batched.pipeline)
    bench.purge(bench.plan_purge("note-001.txt"))
    assert "Note 0." in batched.requests()
    assert "Note 1." not in batched.requests()


def test_an_answer_to_a_purged_document_is_paid_but_not_kept(batched: Batched) -> None:
    batched.write(2)
    batched.signals()
    (batched.folder / "note-001.txt").unlink()
    bench = Workbench("acme", pipeline=batched.pipeline)
    bench.purge(bench.plan_purge("note-001.txt"))
    batched.server.batches.end()
    collected = bench.collect_batches()
    assert (collected.answers, len(collected.ended)) == (2, 1)
    assert batched.rows("SELECT count(*) FROM elmer.model_answers")[0][0] == 1
    assert batched.rows("SELECT count(*) FROM elmer.model_calls WHERE outcome = 'ok'")[0][0] == 2
    assert "invoices" in batched.answers()
    assert "Deleting" not in batched.answers()
