"""What processes share: a budget that is never passed (I7), and an account's allowance."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from elmer_pipelines import checks
from elmer_pipelines.accounts import BudgetPurse, SharedAllowance
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.allowances import Level
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.models.recorded import CallContext, CallRecord
from elmer_pipelines.store import budgets, workspaces
from elmer_pipelines.store.database import Database

CONTEXT = CallContext("acme", "signals", "run-1")


def _record(cost: float, context: CallContext = CONTEXT) -> CallRecord:
    return CallRecord(
        provider="anthropic", model="claude-haiku-5-5", step=context.step, workspace_id=context.workspace_id,
        run_id=context.run_id, prompt="p", prompt_version=1, fingerprint="v1:x", usage=Usage(10, 10), cost_usd=cost,
        latency_s=0.1, outcome="ok",
    )  # fmt: skip


def _committed(database: Database) -> tuple[float, float]:
    with database.begin() as connection:
        row = connection.execute(
            text(
                "SELECT (SELECT coalesce(sum(cost_usd), 0) FROM elmer.model_calls), "
                "(SELECT coalesce(sum(amount_usd), 0) FROM elmer.spend_reservations)"
            )
        ).one()
    return float(row[0]), float(row[1])


def _spend(ledger: Ledger, worst: float, cost: float) -> None:
    assert ledger.purse is not None
    held = ledger.purse.reserve(worst)
    ledger.purse.release(held)
    ledger.ledger(_record(cost, ledger.context))


def test_many_callers_never_pass_the_cap_use_nearly_all_of_it_and_end(database: Database, workspace: str) -> None:
    cap, worst = 1.0, 0.02
    ledgers = [Ledger(database, CONTEXT, BudgetPurse(database, CONTEXT, cap)) for _ in range(2)]  # two processes
    highest, ended, granted = 0.0, threading.Event(), [0] * 64
    guard, all_there = threading.Lock(), threading.Barrier(64, timeout=60)

    def watch() -> None:
        nonlocal highest
        while not ended.is_set():
            highest = max(highest, sum(_committed(database)))

    def call(number: int) -> None:
        chance, ledger = random.Random(number), ledgers[number % 2]
        assert ledger.purse is not None
        all_there.wait()
        while True:
            try:
                held = ledger.purse.reserve(worst)
            except ModelFault as refused:
                assert refused.kind == "budget"
                return
            ledger.purse.release(held)
            ledger.ledger(_record(chance.uniform(0.001, 0.01)))
            with guard:
                granted[number] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(64) as pool:
        for done in [pool.submit(call, number) for number in range(64)]:
            done.result(timeout=60)
    ended.set()
    watcher.join()
    spent, reserved = _committed(database)
    assert highest <= cap + 1e-9
    assert cap - worst < spent <= cap
    assert reserved == 0
    assert min(granted) >= 1


def test_a_caller_waits_for_what_others_may_give_back(database: Database, workspace: str) -> None:
    purse = BudgetPurse(database, CONTEXT, 1.0)
    ledger = Ledger(database, CONTEXT, purse)
    first = purse.reserve(0.9)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(purse.reserve, 0.5)
        purse.release(first)
        ledger.ledger(_record(0.1))
        assert second.result(timeout=10) != first
    with pytest.raises(ModelFault, match=r"0\.1000 USD were spent today"):
        purse.reserve(0.95)
    assert purse.largest_usd == 0.95


def test_what_a_dead_process_reserved_comes_back(database: Database, workspace: str) -> None:
    BudgetPurse(database, CONTEXT, 1.0).reserve(0.9)
    with database.begin() as connection:
        connection.execute(text("UPDATE elmer.spend_reservations SET expires_at = now()"))
    assert BudgetPurse(database, CONTEXT, 1.0).reserve(0.9)


def test_ones_own_reservations_are_renewed(database: Database, workspace: str) -> None:
    with database.begin() as connection:
        mine, other = (budgets.reserve(connection, workspace, None, "signals", 0.1, seconds) for seconds in (1, 0))
        budgets.renew(connection, workspace, [mine], 600)
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT id, expires_at > now() + interval '500 s' FROM elmer.spend_reservations")
        ).all()
    assert [tuple(row) for row in rows] == [(mine, True)]
    assert other != mine


def test_caps_of_the_run_the_day_and_the_workspace_hold_each(database: Database, workspace: str) -> None:
    with database.begin() as connection:
        workspaces.register(connection, "other", "Other", "/nowhere")
    elsewhere = CallContext("other", "signals", "run-0")
    _spend(Ledger(database, elsewhere, BudgetPurse(database, elsewhere, None, 1.0)), 0.5, 0.5)
    assert BudgetPurse(database, CONTEXT, None, 0.4).reserve(0.3)  # what others spent is not this workspace's
    with pytest.raises(ModelFault, match="today"):
        BudgetPurse(database, CONTEXT, 0.6).reserve(0.2)
    with database.begin() as connection:
        connection.execute(text("UPDATE elmer.model_calls SET at = at - interval '1 day'"))
        connection.execute(text("DELETE FROM elmer.spend_reservations"))
    assert BudgetPurse(database, CONTEXT, 0.6).reserve(0.2)  # another day
    with pytest.raises(ModelFault, match="in this run"):
        BudgetPurse(database, elsewhere, 0.6).reserve(0.2)


def test_the_days_spending_is_checked(database: Database, workspace: str) -> None:
    ledger = Ledger(database, CONTEXT, BudgetPurse(database, CONTEXT, 1.0))
    with database.begin() as connection:
        assert checks.spending(connection, workspace, None, None).passed
    _spend(ledger, 0.9, 0.9)
    with database.begin() as connection:
        near = checks.spending(connection, workspace, 1.0, None)
        over = checks.spending(connection, workspace, 5.0, 0.5)
        fine = checks.spending(connection, workspace, 5.0, 2.0)
    assert (near.passed, near.serious) == (False, False)
    assert (over.passed, over.serious) == (False, True)
    assert fine.passed
    assert fine.figures["spent_today_usd"] == pytest.approx(0.9)


def test_an_allowance_is_shared_by_all_who_lease_from_it(database: Database) -> None:
    one, two = (SharedAllowance(database, "account", "model") for _ in range(2))
    stranger = SharedAllowance(database, "account", "another model")
    assert one.lease({"requests": 5}, {}).levels == {}
    seen = {"requests": Level(60, 12), "input_tokens": Level(6_000, 6_000)}
    assert one.lease({"requests": 10}, seen).granted["requests"] == 10
    rest = two.lease({"requests": 10, "input_tokens": 100}, {})
    assert 2 <= rest.granted["requests"] < 4
    assert rest.granted["input_tokens"] == 100
    assert rest.levels["requests"].per_minute == 60
    assert stranger.lease({"requests": 1}, {}).levels == {}


def test_a_block_holds_for_all_and_ends(database: Database) -> None:
    one, two = (SharedAllowance(database, "account", "model") for _ in range(2))
    one.lease({}, {"requests": Level(60, 60)})
    one.block(30)
    blocked = two.lease({"requests": 1}, {})
    assert blocked.granted["requests"] == 0
    assert 25 < blocked.blocked_s <= 30
    one.block(5)  # a shorter one does not end it
    assert two.lease({"requests": 1}, {}).blocked_s > 20
    with database.begin() as connection:
        connection.execute(
            text("UPDATE elmer.rate_limits SET blocked_until = now(), counted_at = now() - interval '31 s'")
        )
    assert two.lease({"requests": 1}, {}).granted["requests"] == 1


def test_leases_at_once_hand_out_no_more_than_there_is(database: Database) -> None:
    SharedAllowance(database, "account", "model").lease({}, {"requests": Level(60, 50)})
    began = time.monotonic()

    def take(_: int) -> float:
        return SharedAllowance(database, "account", "model").lease({"requests": 3}, {}).granted["requests"]

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(take, range(40)))
    assert 50 <= taken <= 50 + (time.monotonic() - began) + 0.1


def test_rows_from_the_cache_are_written_together(database: Database, workspace: str) -> None:
    from dataclasses import replace

    ledger = Ledger(database, CONTEXT)
    for _ in range(250):
        ledger.ledger(replace(_record(0.0), outcome="cached"))
    ledger.flush()
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM elmer.model_calls")).scalar() == 250
    assert ledger.calls == 0
