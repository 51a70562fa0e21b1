"""Working through records: set differences, claims shared between runs, failures that stop nobody (I3, I8)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from elmer_pipelines import work
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.errors import ModelFault, RecordError, Waiting
from elmer_pipelines.steps import StepResult, listening
from elmer_pipelines.store import outcomes
from elmer_pipelines.store.database import Database


class Recorder:
    """Counts how often each record was worked and saved."""

    def __init__(self, broken: dict[str, Exception] | None = None) -> None:
        self.worked: Counter[str] = Counter()
        self.saved: Counter[str] = Counter()
        self.broken = broken or {}
        self._guard = threading.Lock()

    def __call__(self, record: str) -> Callable[[Connection], None]:
        with self._guard:
            self.worked[record] += 1
        if record in self.broken:
            raise self.broken[record]
        return lambda _: self.saved.update([record])


def _by(**contents: str) -> dict[str, Determinants]:
    """What determines each record: here only its content."""
    return {record: Determinants.of(content=content) for record, content in contents.items()}


def _run(database: Database, workspace: str, wanted: dict[str, str], do: Recorder, **options: int) -> StepResult:
    return work.work_through(database, workspace, "signals", _by(**wanted), work.one_by_one(do), **options)


def _state(database: Database, workspace: str, record: str) -> dict[str, object]:
    with database.begin() as connection:
        row = connection.execute(
            text("SELECT * FROM elmer.outcomes WHERE workspace_id = :w AND record_id = :r"),
            {"w": workspace, "r": record},
        )
        return dict(row.mappings().one())


def test_only_what_is_new_or_changed_is_worked(database: Database, workspace: str) -> None:
    do = Recorder()
    _run(database, workspace, {"a": "1", "b": "1"}, do)
    second = _run(database, workspace, {"a": "1", "b": "2", "c": "1"}, do)
    assert do.saved == {"a": 1, "b": 2, "c": 1}
    assert (second.pending, second.done, second.failed) == (2, 2, 0)
    assert _run(database, workspace, {"a": "1", "b": "2", "c": "1"}, do).pending == 0


def test_what_determined_a_record_is_that_of_its_last_success(database: Database, workspace: str) -> None:
    """Whatever is tried since: a record that fails in its new form is stale against what it was made of."""

    def run(prompt: str, do: Recorder) -> None:
        wanted = {"a": Determinants.of(prompt=labelled(prompt, prompt))}
        work.work_through(database, workspace, "signals", wanted, work.one_by_one(do))

    run("p v1", Recorder())
    done = _state(database, workspace, "a")["determined_by"]
    run("p v2", Recorder({"a": RecordError("broken", "no", next_step="mend")}))
    failed = _state(database, workspace, "a")
    assert (failed["state"], failed["determined_by"]) == ("failed", done)
    run("p v3", Recorder())
    assert _state(database, workspace, "a")["determined_by"] != done


def test_a_record_no_longer_wanted_is_forgotten_and_worked_when_it_is_back(database: Database, workspace: str) -> None:
    do = Recorder()
    for wanted in ({"a": "1"}, {}, {"a": "1"}):
        _run(database, workspace, wanted, do)
    assert do.saved == {"a": 2}


def test_a_failed_record_stops_nobody_and_is_visible(database: Database, workspace: str) -> None:
    error = RecordError("broken", "b is broken", next_step="mend b")
    do = Recorder({"b": error})
    result = _run(database, workspace, {"a": "1", "b": "1", "c": "1"}, do, workers=1)
    assert (result.done, result.failed) == (2, 1)
    with database.begin() as connection:
        (failure,) = outcomes.failures(connection, workspace)
    assert failure["record_id"] == "b"
    assert (failure["error_kind"], failure["message"], failure["next_step"]) == ("broken", "b is broken", "mend b")
    assert failure["attempts"] == 1


def test_a_failure_that_would_come_again_is_left_until_somebody_asks(database: Database, workspace: str) -> None:
    do = Recorder({"a": RecordError("broken", "no", next_step="mend")})
    _run(database, workspace, {"a": "1"}, do)
    _run(database, workspace, {"a": "1"}, do)
    assert do.worked["a"] == 1
    with database.begin() as connection:
        assert outcomes.retry(connection, workspace) == 1
    do.broken.clear()
    assert _run(database, workspace, {"a": "1"}, do).done == 1


def test_a_retryable_failure_is_tried_by_the_next_runs_but_not_for_ever(database: Database, workspace: str) -> None:
    do = Recorder({"a": RecordError("timeout", "slow", next_step="wait", retryable=True)})
    for _ in range(work.MAX_ATTEMPTS + 3):
        _run(database, workspace, {"a": "1"}, do)
    assert do.worked["a"] == work.MAX_ATTEMPTS


def test_a_bug_is_that_records_outcome(database: Database, workspace: str) -> None:
    result = _run(database, workspace, {"a": "1", "b": "1"}, Recorder({"a": ZeroDivisionError("oops")}))
    assert (result.done, result.failed) == (1, 1)
    assert _state(database, workspace, "a")["error_kind"] == "internal"


def test_a_record_that_cannot_be_saved_costs_only_itself(database: Database, workspace: str) -> None:
    def save(record: str, connection: Connection) -> None:
        if record == "b":
            connection.execute(text("SELECT 1 / 0"))

    def work_on(records: list[str]) -> list[work.Finished]:
        return [work.Finished(one, save=lambda c, one=one: save(one, c)) for one in records]

    wanted = _by(a="1", b="1", c="1")
    result = work.work_through(database, workspace, "signals", wanted, work_on, chunk=3)  # type: ignore[arg-type]
    assert (result.done, result.failed) == (2, 1)
    assert _state(database, workspace, "b")["state"] == "failed"


def test_two_runs_share_the_records(database: Database, workspace: str) -> None:
    wanted = {f"r{number:03}": "1" for number in range(200)}
    do = Recorder()
    results: list[StepResult] = []
    runs = [threading.Thread(target=lambda: results.append(_run(database, workspace, wanted, do))) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert do.worked == Counter(wanted.keys())
    assert sum(one.done for one in results) == 200


def test_the_claim_of_a_dead_worker_runs_out(database: Database, workspace: str) -> None:
    with database.begin() as connection:
        wanted = {record: one.fingerprint for record, one in _by(a="1").items()}
        outcomes.synchronise(connection, workspace, "signals", wanted, max_attempts=3)
        assert outcomes.claim(connection, workspace, "signals", "dead", 5, 600) == ["a"]
    do = Recorder()
    assert _run(database, workspace, {"a": "1"}, do).done == 0  # somebody else may still be at it
    with database.begin() as connection:
        connection.execute(text("UPDATE elmer.outcomes SET claimed_until = now() - interval '1 second'"))
    assert _run(database, workspace, {"a": "1"}, do).done == 1


def test_what_another_run_took_over_is_not_saved_twice(database: Database, workspace: str) -> None:
    saved: list[str] = []

    def work_on(records: list[str]) -> list[work.Finished]:
        with database.begin() as connection:  # while we work, our lease runs out and another claims the record
            connection.execute(text("UPDATE elmer.outcomes SET claimed_by = 'other'"))
        return [work.Finished(one, save=lambda _: saved.append("ours")) for one in records]

    work.work_through(database, workspace, "signals", _by(a="1"), work_on)  # type: ignore[arg-type]
    assert saved == []
    assert _state(database, workspace, "a")["state"] == "pending"


def test_an_interrupted_run_gives_its_claims_back(database: Database, workspace: str) -> None:
    def stop(_: list[str]) -> list[work.Finished]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.work_through(database, workspace, "signals", _by(a="1"), stop)  # type: ignore[arg-type]
    assert _run(database, workspace, {"a": "1"}, Recorder()).done == 1


def test_a_whole_step_is_done_once_for_what_determines_it(database: Database, workspace: str) -> None:
    done: list[str] = []

    def do(_: Connection) -> StepResult:
        done.append("x")
        return StepResult("signal_clusters")

    for content in ("1", "1", "2"):
        work.work_whole(database, workspace, "signal_clusters", Determinants.of(content=content), do)
    assert len(done) == 2


def test_a_whole_step_that_breaks_leaves_nothing_behind(database: Database, workspace: str) -> None:
    def do(connection: Connection) -> StepResult:
        connection.execute(text("UPDATE elmer.workspaces SET name = 'changed'"))
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        work.work_whole(database, workspace, "signal_clusters", Determinants.of(content="1"), do)
    with database.begin() as connection:
        assert connection.execute(text("SELECT name FROM elmer.workspaces")).scalar_one() == "Acme"
        assert outcomes.counts(connection, workspace) == {}


def test_progress_reaches_whoever_listens(database: Database, workspace: str) -> None:
    heard: list[tuple[str, int, int]] = []
    with listening(lambda *told: heard.append(told)):
        _run(database, workspace, {"a": "1", "b": "1"}, Recorder(), workers=1)
    assert heard == [("signals", 0, 2), ("signals", 1, 2), ("signals", 2, 2)]


def test_a_spent_budget_stops_the_step_and_costs_no_record_anything(database: Database, workspace: str) -> None:
    spent = ModelFault("budget", "1.00 USD are spent", next_step="wait", retryable=False)
    wanted = {f"r{number:02}": "1" for number in range(40)}
    do = Recorder({record: spent for record in wanted if record > "r05"})
    result = _run(database, workspace, wanted, do, workers=2)
    assert (result.done, result.failed, result.pending) == (6, 0, 40)
    assert (result.counts["stopped_by"], result.counts["left"]) == ("budget", 34)
    assert sum(do.worked.values()) <= 6 + 4  # no more were taken than were under way
    row = _state(database, workspace, "r06")
    assert (row["state"], row["attempts"], row["claimed_by"]) == ("pending", 0, None)
    again = Recorder()
    assert _run(database, workspace, wanted, again).done == 34


def test_many_are_claimed_at_once_and_each_is_worked_once(database: Database, workspace: str) -> None:
    do = Recorder()
    result = _run(database, workspace, {f"r{number}": "1" for number in range(50)}, do, workers=16, chunk=3)
    assert result.done == 50
    assert set(do.worked.values()) == {1}


def test_a_record_that_waits_stays_pending_and_is_looked_at_once_a_run(database: Database, workspace: str) -> None:
    do = Recorder({"b": Waiting("Waits for a batch.")})
    result = _run(database, workspace, {"a": "1", "b": "1"}, do)
    assert (result.done, result.failed, result.waiting, result.awaiting) == (1, 0, 1, ["b"])
    state = _state(database, workspace, "b")
    assert (state["state"], state["attempts"], state["claimed_by"], state["determined_by"]) == (
        "pending",
        0,
        None,
        None,
    )
    assert do.worked["b"] == 1
    with database.begin() as connection:
        outcomes.await_answers(connection, workspace, "signals", ["a", "b"], "Waits.", "wait")
        assert outcomes.count_waiting(connection, workspace) == {"signals": 1}  # what is done does not wait
    assert _run(database, workspace, {"a": "1", "b": "1"}, do).waiting == 1
    assert do.worked["b"] == 1
    with database.begin() as connection:
        outcomes.wake(connection, workspace, "signals")
    do.broken.clear()
    assert _run(database, workspace, {"a": "1", "b": "1"}, do).done == 1
    assert _state(database, workspace, "b")["error_kind"] is None


def test_a_whole_step_that_waits_changes_nothing_and_is_tried_again(database: Database, workspace: str) -> None:
    determined_by = Determinants.of(members=[1, 2])
    answers: list[str] = []

    def do(connection: Connection) -> StepResult:
        connection.execute(text("UPDATE elmer.workspaces SET name = 'changed' WHERE id = :w"), {"w": workspace})
        if not answers:
            raise Waiting("Waits for a batch.")
        return StepResult("cluster_themes")

    result = work.work_whole(database, workspace, "cluster_themes", determined_by, do)
    assert (result.pending, result.done, result.waiting, result.awaiting) == (1, 0, 1, [work.WHOLE])
    with database.begin() as connection:
        assert connection.execute(text("SELECT name FROM elmer.workspaces")).scalar() == "Acme"
    answers.append("it came")
    assert work.work_whole(database, workspace, "cluster_themes", determined_by, do).done == 1
