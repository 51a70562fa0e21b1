"""Batches are sent once, whatever dies in between; their results are taken in once, however many collect (I2, I7)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from batched import Batched
from sqlalchemy import text

from elmer_pipelines.batching import collecting, patience, sending
from elmer_pipelines.batching.collecting import Collected
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anthropic_batches import AnthropicBatches
from elmer_pipelines.models.batches import BatchLimits, ItemResult
from elmer_pipelines.store import batches as store
from elmer_pipelines.workbench import Workbench


def _collect(batched: Batched, settling: timedelta = timedelta(0)) -> Collected:
    pipeline = batched.pipeline
    return collecting.collect(
        pipeline.database, "acme", lambda batch: pipeline.batching._service_of(batch), settling=settling
    )


def test_a_batch_whose_answer_was_lost_is_found_by_the_ids_in_its_results(batched: Batched) -> None:
    batched.write(4)
    batched.server.batches.script.append("lost")
    result = batched.signals()
    assert (result.waiting, batched.batches()[0]["state"]) == (4, "submitting")
    assert "broke off the connection" in str(result.counts["batches_not_taken"])
    assert "has not ended yet" in _collect(batched).notes[0]  # it may be ours: nobody can tell yet
    assert batched.signals().waiting == 4
    batched.server.batches.end()
    assert "was found at the service" in _collect(batched).notes[0]
    assert batched.signals().done == 4
    assert len(batched.server.batches.all) == 1
    assert batched.server.count("messages") == 0


def test_a_batch_the_service_never_got_is_sent_again_once_it_would_be_listed(batched: Batched) -> None:
    batched.write(2)
    batched.server.batches.script.append("drop")
    batched.signals()
    assert "not listed by the service yet" in _collect(batched, timedelta(minutes=5)).notes[0]
    assert batched.server.batches.all == {}
    assert "submitted again" in _collect(batched).notes[0]
    assert [one["state"] for one in batched.batches()] == ["submitted"]
    batched.server.batches.end()
    assert batched.signals().done == 2
    assert len(batched.server.batches.all) == 1


class _Killed(BaseException):
    """The process ends."""


@pytest.mark.parametrize("before", [True, False], ids=["before it was sent", "before it was remembered"])
def test_a_crash_while_submitting_does_not_submit_twice(
    batched: Batched, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    batched.write(3)

    def killed(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(sending.store, "hold_one" if before else "submitted", killed)
        with pytest.raises(_Killed):
            batched.signals()
    assert len(batched.server.batches.all) == (0 if before else 1)
    assert batched.batches()[0]["state"] == "submitting"
    assert batched.signals().waiting == 3
    batched.server.batches.end()
    _collect(batched)
    batched.server.batches.end()
    assert batched.signals().done == 3
    assert len(batched.server.batches.all) == 1
    assert len(batched.batches()) == 1


def test_a_strangers_batch_of_the_same_size_is_not_taken_for_ours(batched: Batched) -> None:
    batched.write(2)
    batched.signals()
    batched.server.batches.end()
    stranger = next(iter(batched.server.batches.all.values()))
    stranger.results = [{**one, "custom_id": f"theirs-{number}"} for number, one in enumerate(stranger.results)]
    batched.rows("UPDATE elmer.model_batches SET state = 'submitting', service_id = NULL WHERE workspace_id = :w")
    assert "submitted again" in _collect(batched).notes[0]
    assert len(batched.server.batches.all) == 2


def test_two_that_send_the_same_batch_send_it_once(batched: Batched) -> None:
    batched.write(2)
    batched.server.batches.script.append("drop")
    batched.signals()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _collect(batched), range(4)))
    assert len(batched.server.batches.all) == 1


def test_two_steps_that_ask_the_same_send_it_once(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    batched.write(3)
    batched.signals()
    with monkeypatch.context() as patched:  # the other has looked before the first one's rows were there
        patched.setattr("elmer_pipelines.batching.asking.StepBatches._look", lambda self: None)
        assert batched.signals("run-2").waiting == 3
    assert len(batched.server.batches.all) == 1


def test_collectors_at_once_share_the_results(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_TOGETHER", 3)
    batched.write(40)
    batched.signals()
    batched.server.batches.end()
    with ThreadPoolExecutor(4) as pool:
        collected = list(pool.map(lambda _: _collect(batched), range(4)))
    _collect(batched)
    assert sum(one.answers for one in collected) == 40
    assert batched.rows("SELECT count(*), count(DISTINCT fingerprint) FROM elmer.model_calls") == [(40, 40)]
    assert [(one["state"], one["answered"]) for one in batched.batches()] == [("collected", 40)]
    assert batched.signals().done == 40


def test_what_the_service_kept_of_a_batch_is_deleted_once_it_is_here(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(4)
    batched.signals()
    batched.server.batches.end()

    def killed(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(collecting.store, "close", killed)
        with pytest.raises(_Killed):
            _collect(batched)
    assert batched.server.batches.deleted == set(), "it is not known to be collected"
    assert _collect(batched).notes == []
    assert batched.server.batches.deleted == set(batched.server.batches.all)
    assert batched.signals().done == 4


def test_a_service_that_deletes_nothing_is_named_and_costs_nothing_else(batched: Batched) -> None:
    batched.write(2)
    batched.signals()
    batched.server.batches.end()
    batched.server.batches.keeps = True
    collected = _collect(batched)
    assert (collected.answers, len(collected.notes)) == (2, 1)
    assert "is collected, but anthropic still keeps it as msgbatch_001" in collected.notes[0]
    assert batched.signals().done == 2


def test_a_collector_that_dies_halfway_leaves_the_rest_to_the_next(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_TOGETHER", 3)
    batched.write(9)
    batched.signals()
    batched.server.batches.end()
    settle, settled = store.settle, []

    def dying(*arguments: object, **named: object) -> None:
        settled.append(arguments)
        if len(settled) == 5:  # in the second group
            raise _Killed
        settle(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(collecting.store, "settle", dying)
        with pytest.raises(_Killed):
            _collect(batched)
    assert batched.rows("SELECT count(*) FROM elmer.model_calls")[0][0] == 3
    assert _collect(batched).answers == 6
    assert batched.rows("SELECT count(*), count(DISTINCT fingerprint) FROM elmer.model_calls") == [(9, 9)]


def test_a_batch_the_service_does_not_know_yet_is_left_alone(batched: Batched) -> None:
    batched.server.batches.unknown_for = 1
    batched.write(1)
    batched.signals()
    assert "not known to the service yet" in _collect(batched).notes[0]
    assert batched.batches()[0]["state"] == "submitted"
    batched.server.batches.end()
    assert _collect(batched).answers == 1


def test_a_batch_the_service_has_forgotten_expires_and_is_sent_again(batched: Batched) -> None:
    batched.server.batches.unknown_for = 10
    batched.write(2)
    batched.signals()
    batched.rows("UPDATE elmer.model_batches SET submitted_at = now() - interval '3 days' WHERE workspace_id = :w")
    collected = _collect(batched)
    assert (collected.expired, len(collected.ended)) == (2, 1)
    assert [(one["state"], one["expired"], one["owed_usd"]) for one in batched.batches()] == [("expired", 2, 0.0)]
    assert batched.signals().waiting == 2
    assert len(batched.server.batches.all) == 2


def test_an_answer_nobody_can_read_is_paid_at_its_worst_and_asked_for_again(batched: Batched) -> None:
    batched.write(1)
    batched.signals()
    worst = batched.batches()[0]["owed_usd"]
    batched.server.batches.end()
    (made,) = batched.server.batches.all.values()
    made.results[0]["result"]["message"] = {"id": "msg_1", "content": "?"}
    assert batched.signals().waiting == 1
    (row,) = batched.rows("SELECT outcome, estimated, cost_usd FROM elmer.model_calls")
    assert (row.outcome, row.estimated) == ("bad_payload", True)
    assert float(row.cost_usd) == pytest.approx(worst)
    assert worst > 0


def test_results_that_nobody_fetched_in_time_are_booked_as_lost(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(2)
    batched.signals()
    batched.server.batches.end()
    worst = batched.batches()[0]["owed_usd"]
    batched.rows("UPDATE elmer.model_batches SET submitted_at = now() - interval '40 days' WHERE workspace_id = :w")

    def gone(*_: object) -> Iterator[ItemResult]:
        raise ModelFault("not_found", "no results", next_step="", retryable=False)
        yield

    monkeypatch.setattr(AnthropicBatches, "results", gone)
    collected = _collect(batched)
    assert (collected.expired, len(collected.ended)) == (2, 1)
    assert batched.spent() == pytest.approx(worst)
    assert [(one["state"], one["expired"], one["owed_usd"]) for one in batched.batches()] == [("expired", 2, 0.0)]


def test_a_request_without_a_result_is_sent_again(batched: Batched) -> None:
    batched.write(3)
    batched.signals()
    batched.server.batches.end()
    next(iter(batched.server.batches.all.values())).results.pop()
    result = batched.signals()
    assert (result.done, result.waiting) == (2, 1)
    assert batched.batches()[1]["expired"] == 1


def test_what_waits_in_batches_is_owed_so_that_the_budget_is_never_passed(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = batched.again(monkeypatch, ELMER_BUDGET_USD="1")
    own.write(30)
    first = own.signals()
    bench = Workbench("acme", pipeline=own.pipeline)
    owed = bench.budget()["owed_for_batches_usd"]
    sent = len(own.server.batches.requests())
    assert 0 < sent < 30
    assert owed is not None and 0.9 < owed <= 1.0
    assert (first.counts["stopped_by"], first.counts["left"]) == ("budget", 30 - sent)
    assert own.states() == {"waiting": sent, "pending": 30 - sent}
    assert own.rows("SELECT count(*) FROM elmer.spend_reservations")[0][0] == 0
    asking = own.again(monkeypatch, ELMER_BATCH="never")
    refused = asking.signals("run-2")  # nor does a call at once fit beside what is owed
    assert (refused.done, refused.counts["stopped_by"]) == (0, "budget")
    assert "owed for open batches" in str(refused.counts["reason"])
    asking.pipeline.batching.close()
    for number in range(6):
        own.server.batches.end()
        result = own.signals(f"run-{number + 3}")
        budget = bench.budget()
        assert (budget["spent_today_usd"] or 0) + (budget["owed_for_batches_usd"] or 0) <= 1.0
        if result.pending == result.done:
            break
    assert own.states() == {"done": 30}
    own.pipeline.batching.close()


def test_requests_that_begin_alike_are_sent_side_by_side() -> None:
    """So that the service's cache has their shared beginning when the next one comes."""
    noted = [sending.Noted(store.Item(f"v1:{number}", {}, f"{'ab'[number % 2]} v1"), (), 10) for number in range(6)]
    (part,) = sending._parts(noted, BatchLimits(100, 1 << 20))
    assert [one.item.prompt for one in part] == ["a v1"] * 3 + ["b v1"] * 3


def test_limits_of_the_service_split_what_was_noted(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnthropicBatches, "limits", BatchLimits(4, 1 << 20))
    batched.write(10)
    assert batched.signals().counts["batches_submitted"] == 3
    sizes = sorted(len(one.requests) for one in batched.server.batches.all.values())
    assert sum(sizes) == 10
    assert sizes[-1] <= 4
    batched.server.batches.end()
    assert batched.signals().done == 10


def test_a_service_that_is_down_keeps_batches_open_and_steps_going(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched.write(2)
    batched.signals()

    def down(*_: object) -> None:
        raise ModelFault("overloaded", "The service is overloaded.", next_step="wait", retryable=True)

    monkeypatch.setattr(AnthropicBatches, "look_up", down)
    result = batched.signals()
    assert (result.waiting, "overloaded" in str(result.counts["batches_not_in"])) == (2, True)


def test_batches_of_another_workspace_are_not_touched(batched: Batched) -> None:
    batched.write(1)
    batched.signals()
    with batched.database.begin() as connection:
        connection.execute(text("INSERT INTO elmer.workspaces (id, name, root) VALUES ('other', 'Other', '/nowhere')"))
        assert store.open_ones(connection, "other") == []
        assert store.waiting(connection, "other") == {}
        assert store.listing(connection, "other") == []
        (batch,) = store.open_ones(connection, "acme")
        assert store.awaited(connection, "other", batch.id) == []
        assert store.take(connection, "other", batch.id, store.awaited(connection, "acme", batch.id)) == {}
        store.refused(connection, "other", batch.id, "auth", "no")
        store.forgive(connection, "other")
        store.purge(connection, "other", store.awaited(connection, "acme", batch.id))
        assert store.close(connection, "other", batch.id, [], "expired") is False
        assert store.open_ones(connection, "acme") == [batch]


def test_a_step_sends_a_full_batch_before_it_ends_and_the_rest_with_it(
    batched: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnthropicBatches, "limits", BatchLimits(6, 1 << 20))
    monkeypatch.setattr(patience, "TEXT_CALLS", 5)
    own = batched.again(monkeypatch, ELMER_BATCH="auto")
    own.write(8)
    assert own.signals().waiting == 8
    assert len(own.server.batches.requests()) == 8
    assert own.server.count("messages") == 0
    own.pipeline.batching.close()
