"""When calls are sent: limits learned from headers, turns, refusals, and how many run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import BaseModel
from servers.model_server import ModelServer

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.allowances import Leased, Level, MemoryAllowance, account_of, limits_in
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.concurrency import Concurrency
from elmer_pipelines.models.faults import fault
from elmer_pipelines.models.limited import Limiter
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.recorded import CallContext, MemoryJournal
from elmer_pipelines.models.retrying import Retrying

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CONTEXT = CallContext("acme", "signals")


class Theme(BaseModel):
    name: str


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Telling:
    """An allowance of so many requests a minute that never runs out, and counts who asked."""

    def __init__(self) -> None:
        self.leases: list[dict[str, float]] = []
        self.seen: list[dict[str, Level]] = []
        self.blocked: list[float] = []

    def lease(self, wanted: Mapping[str, float], seen: Mapping[str, Level]) -> Leased:
        self.leases.append(dict(wanted))
        self.seen.append(dict(seen))
        return Leased(dict(wanted), dict(seen))

    def block(self, seconds: float) -> None:
        self.blocked.append(seconds)


def _said(per_minute: float, left: float) -> tuple[dict[str, Level], dict[str, float]]:
    return {"requests": Level(per_minute, left)}, {}


def test_headers_of_both_services_are_read() -> None:
    anthropic = {
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "990",
        "anthropic-ratelimit-requests-reset": "2026-11-23T12:00:01Z",
        "anthropic-ratelimit-input-tokens-limit": "500000",
        "anthropic-ratelimit-input-tokens-remaining": "400000",
        "anthropic-ratelimit-output-tokens-limit": "many",
        "anthropic-ratelimit-output-tokens-remaining": "5",
    }
    found = limits_in(anthropic, NOW)
    assert found == {"requests": Level(1_000, 990), "input_tokens": Level(500_000, 400_000)}
    openai = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "1000000",
        "x-ratelimit-remaining-tokens": "1000001",
    }
    assert limits_in(openai, NOW) == {"requests": Level(500, 499)}
    assert limits_in({}, NOW) == {}


def test_a_limit_per_day_is_not_taken_for_one_per_minute() -> None:
    daily = {
        "x-ratelimit-limit-requests": "1440",
        "x-ratelimit-remaining-requests": "1340",
        "x-ratelimit-reset-requests": "1h40m0s",
    }
    assert limits_in(daily, NOW)["requests"] == Level(1, 1_340)


def test_an_account_is_known_by_a_hash() -> None:
    key = "sk-ant-secret"
    assert key not in account_of("anthropic", None, key)
    assert account_of("anthropic", None, key) == account_of("anthropic", None, key)
    assert (
        len({account_of("anthropic", None, key), account_of("openai", None, key), account_of("anthropic", "x", key)})
        == 3
    )


def test_an_allowance_comes_back_evenly_and_is_cut_to_what_the_service_has() -> None:
    clock = Clock()
    allowance = MemoryAllowance(clock)
    assert allowance.lease({"requests": 5}, {}) == Leased()
    assert allowance.lease({"requests": 5}, {"requests": Level(60, 3)}).granted == {"requests": 3}
    clock.now += 2
    assert allowance.lease({"requests": 5}, {}).granted == {"requests": 2}
    clock.now += 600
    assert allowance.lease({"requests": 100}, {"requests": Level(60, 7)}).granted == {"requests": 7}
    allowance.block(10)
    clock.now += 9
    refused = allowance.lease({"requests": 1}, {})
    assert (refused.granted, refused.blocked_s) == ({}, 1.0)
    clock.now += 2  # what would have come back in the block is not there: somebody else had it
    assert allowance.lease({"requests": 5}, {}).granted == {"requests": 1}


def test_one_lease_serves_many_calls() -> None:
    allowance = Telling()
    limiter = Limiter(allowance, clock=Clock())
    for _ in range(41):
        limiter.call({"requests": 1}, lambda: None, lambda _: _said(600, 500))
    # the first call knows nothing; then a second's worth at a time: ten calls
    assert [one for one in allowance.leases if one] == [{"requests": 10.0}] * 4
    assert limiter.per_minute() == 600


def test_what_others_used_is_learned_from_the_headers() -> None:
    allowance, clock = Telling(), Clock()
    limiter = Limiter(allowance, clock=clock)
    limiter.call({"requests": 1}, lambda: None, lambda _: _said(60, 30))
    clock.now += 2
    limiter.call({"requests": 1}, lambda: None, lambda _: _said(60, 20))
    limiter.call({"requests": 1}, lambda: None, lambda _: _said(60, 20))
    # what is told as whole numbers counts one less: 30 and the two that came back meanwhile, then 20
    told = [one["requests"].left for one in allowance.seen if one]
    assert told == [31, 19]


def test_tokens_that_were_not_used_are_given_back() -> None:
    clock = Clock()
    limiter = Limiter(MemoryAllowance(clock), clock=clock)
    levels = {"output_tokens": Level(20_000, 18_000)}
    for _ in range(50):  # each asks for most of a minute's worth and uses little: none has to wait
        limiter.call({"output_tokens": 16_000}, lambda: None, lambda _: (levels, {"output_tokens": 10.0}))
    assert clock.now == 100.0


def test_a_refusal_halves_what_runs_at_once_and_its_wait_is_capped() -> None:
    allowance, clock = Telling(), Clock()
    limiter = Limiter(allowance, clock=clock)

    def refuse() -> None:
        raise fault("rate_limit", "too many", retryable=True, retry_after=3_600)

    before = limiter.at_once
    with pytest.raises(ModelFault):
        limiter.call({"requests": 1}, refuse, lambda _: ({}, {}))
    assert (limiter.at_once, allowance.blocked) == (before // 2, [60.0])
    clock.now += 60
    limiter.call({"requests": 1}, lambda: None, lambda _: ({}, {}))


def test_concurrency_doubles_while_nothing_speaks_against_it_and_recovers() -> None:
    pace = Concurrency(64)
    for _ in range(56):
        pace.answered(0.3, more=True)
    assert pace.limit == 64
    pace.refused(sent_at=1.0, now=2.0)
    pace.refused(sent_at=1.5, now=2.1)  # was under way when the first was refused
    assert pace.limit == 32
    for _ in range(33 * 3):
        pace.answered(0.3, more=True)
    assert 34 <= pace.limit <= 36
    for _ in range(36 * 6):
        pace.answered(1.5, more=True)  # the service slows: more at once would only wait there
    assert pace.limit < 30
    with pytest.raises(ValueError, match="at least one"):
        Concurrency(0)


def test_nobody_waits_where_nobody_asks_for_more() -> None:
    pace = Concurrency(64)
    for _ in range(100):
        pace.answered(0.3, more=False)
    assert pace.limit == 8


def test_turns_are_kept_and_no_more_run_than_may() -> None:
    limiter = Limiter(Telling(), most=3)
    running, most, guard = 0, 0, threading.Lock()
    barrier = threading.Barrier(3, timeout=10)

    def send() -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        barrier.wait()  # passes only when three run at once
        with guard:
            running -= 1

    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(limiter.call, {"requests": 1}, send, lambda _: ({}, {})) for _ in range(30)]:
            done.result(timeout=20)
    assert most == 3


def test_an_error_nobody_foresaw_leaves_its_place_to_others() -> None:
    limiter = Limiter(Telling(), most=1)

    def fail() -> None:
        raise RuntimeError("a bug")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            limiter.call({"requests": 1}, fail, lambda _: ({}, {}))


def test_the_allowance_of_a_server_is_used_up_and_not_passed() -> None:
    server = ModelServer(latency_s=0.05, requests_per_minute=1_200, burst=40).start()
    adapter = AnthropicText("claude-haiku-5-5", "key", server.url)
    try:
        model = text_chain(adapter, MemoryJournal(), CONTEXT, limiter=Limiter())
        with ThreadPoolExecutor(16) as pool:
            prompts = [Prompt("name", 1, "Name it.", f"<turn>Exports crash on day {n}.</turn>") for n in range(100)]
            assert len(list(pool.map(lambda prompt: model.answer(prompt, Theme).name, prompts))) == 100
        counted = server.counters()
    finally:
        adapter.close()
        server.stop()
    assert counted["refused"] <= 1
    assert counted["asked"] - counted["refused"] >= 0.7 * counted["allowed"]


def test_vectors_wait_for_their_turn_too(model_server: ModelServer) -> None:
    adapter = OpenAIEmbeddings(dimensions=64, api_key="key", base_url=model_server.openai_url)
    limiter = Limiter()
    vectors = embedding_chain(adapter, MemoryJournal(), CONTEXT, limiter=limiter).embed(["some words", "others"])
    adapter.close()
    assert vectors.shape == (2, 64)
    assert limiter.per_minute() is None


def _refuse(limiter: Limiter, kind: str = "rate_limit", retry_after: float | None = None) -> None:
    def send() -> None:
        raise fault(kind, "too many", retryable=True, retry_after=retry_after)

    with pytest.raises(ModelFault):
        limiter.call({"requests": 1}, send, lambda _: ({}, {}))


@pytest.mark.parametrize("kind", ["rate_limit", "overloaded"])
def test_refusals_that_do_not_say_for_how_long_pause_longer_each_time(kind: str) -> None:
    allowance, clock = Telling(), Clock()
    limiter = Limiter(allowance, clock=clock, chance=lambda: 1.0)
    waits = []
    for _ in range(8):
        _refuse(limiter, kind)
        waits.append(limiter._blocked_until - clock.now)
        clock.now = limiter._blocked_until
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert (limiter.at_once, allowance.blocked) == (1, [])
    limiter.call({"requests": 1}, lambda: None, lambda _: ({}, {}))
    _refuse(limiter, kind)
    assert limiter._blocked_until - clock.now == 0.5  # an answer came: it begins anew


def test_calls_refused_together_pause_once() -> None:
    limiter = Limiter(Telling(), chance=lambda: 0.0)
    together = threading.Barrier(8, timeout=10)

    def send() -> None:
        together.wait()
        raise fault("rate_limit", "too many", retryable=True)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(limiter.call, {"requests": 1}, send, lambda _: ({}, {})) for _ in range(8)]:
            assert isinstance(done.exception(timeout=10), ModelFault)
    assert (limiter.at_once, limiter._refusals) == (4, 1)


def test_other_faults_slow_nothing() -> None:
    limiter = Limiter(Telling(), clock=Clock())
    for kind in ("timeout", "connection", "http_500", "auth", "bad_payload"):
        _refuse(limiter, kind)
    assert (limiter.at_once, limiter._refusals) == (8, 0)


def test_what_runs_at_once_grows_again_after_refusals() -> None:
    clock = Clock()
    limiter = Limiter(Telling(), clock=clock, chance=lambda: 1.0)
    for _ in range(3):
        _refuse(limiter)
        clock.now = limiter._blocked_until
    assert limiter.at_once == 1

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(limiter.call, {"requests": 1}, lambda: time.sleep(0.001), lambda _: ({}, {}))
                 for _ in range(300)]  # fmt: skip
        for done in calls:
            done.result(timeout=20)
    assert limiter.at_once > 2


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [("7", 7, 7), ("3600", 60, 60), ("in 40 s", 38, 40), ("in 7200 s", 60, 60), ("in -60 s", None, None)],
)
def test_a_service_may_say_seconds_or_a_date_and_is_capped(
    model_server: ModelServer, told: str, least: float | None, most: float | None
) -> None:
    if told.startswith("in "):
        at = datetime.now(UTC) + timedelta(seconds=int(told.split()[1]))
        told = format_datetime(at, usegmt=True)
    adapter = AnthropicText("claude-haiku-5-5", "key", model_server.url)
    allowance = Telling()
    model_server.script("messages", f"rate_limit:{told}")
    with pytest.raises(ModelFault):
        model = text_chain(adapter, MemoryJournal(), CONTEXT, limiter=Limiter(allowance), retrying=Retrying(attempts=1))
        model.answer(Prompt("name", 1, "Name it.", "<turn>Exports crash.</turn>"), Theme)
    adapter.close()
    if least is None or most is None:
        assert allowance.blocked == []
    else:
        (blocked,) = allowance.blocked
        assert least - 1 <= blocked <= most


def test_tokens_of_both_kinds_together_are_kept_where_the_service_counts_so(model_server: ModelServer) -> None:
    adapter = OpenAIText("gpt-5-mini", "key", model_server.openai_url)
    allowance = Telling()
    limiter = Limiter(allowance)
    limiter.call({"tokens": 1}, lambda: None, lambda _: ({"tokens": Level(60_000, 50_000)}, {}))
    model = text_chain(adapter, MemoryJournal(), CONTEXT, limiter=limiter)
    model.answer(Prompt("name", 1, "Name it.", "<turn>Exports crash.</turn>", max_tokens=2_000), Theme)
    adapter.close()
    assert any(lease.get("tokens", 0) > 2_000 for lease in allowance.leases)
