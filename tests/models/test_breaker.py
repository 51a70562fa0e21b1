"""A key that is dead, a limit that is spent, a model that is gone: known after the first refusal, not the last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from elmer_pipelines.errors import OF_THE_ACCOUNT, ModelFault
from elmer_pipelines.models.breaker import Breaker
from elmer_pipelines.models.faults import fault


class Service:
    """Does what the test last said, and counts."""

    def __init__(self) -> None:
        self.says = "ok"
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.says != "ok":
            raise fault(self.says, "no", retryable=False)
        return "came"


@pytest.fixture
def service() -> Service:
    return Service()


def _refusal(breaker: Breaker, run: object, send: Callable[[], str]) -> ModelFault:
    with pytest.raises(ModelFault) as caught:
        breaker.call(run, send)
    return caught.value


@pytest.mark.parametrize("kind", sorted(OF_THE_ACCOUNT))
def test_the_first_refusal_of_a_run_is_enough(service: Service, kind: str) -> None:
    breaker = Breaker()
    service.says = kind
    first, second = (_refusal(breaker, "run-1", service) for _ in range(2))
    assert (first.unsent, second.unsent) == (False, True)
    assert (second.kind, str(second), service.asked) == (kind, str(first), 1)
    assert "The next run goes on by itself" in second.next_step


@pytest.mark.parametrize("kind", ["rate_limit", "timeout", "refusal", "too_large", "http_400"])
def test_what_is_about_one_call_stops_no_other(service: Service, kind: str) -> None:
    breaker = Breaker()
    service.says = kind
    assert not any(_refusal(breaker, "run-1", service).unsent for _ in range(20))


def test_one_odd_refusal_does_not_stop_a_run_that_goes_well(service: Service) -> None:
    breaker = Breaker()
    for _ in range(4):
        service.says = "ok"
        breaker.call("run-1", service)
        service.says = "auth"
        assert not _refusal(breaker, "run-1", service).unsent
    for _ in range(4):
        assert not _refusal(breaker, "run-1", service).unsent
    assert _refusal(breaker, "run-1", service).unsent


def test_the_next_run_sends_one_call_to_see(service: Service) -> None:
    breaker = Breaker()
    service.says = "quota"
    _refusal(breaker, "run-1", service)
    assert not _refusal(breaker, "run-2", service).unsent
    assert _refusal(breaker, "run-2", service).unsent
    assert _refusal(breaker, "run-1", service).unsent
    assert service.asked == 2
    service.says = "ok"
    assert breaker.call("run-3", service) == "came"
    assert breaker.call("run-2", service) == "came"


def test_the_others_wait_for_the_one_that_looks(service: Service) -> None:
    breaker, asked, go = Breaker(), threading.Semaphore(0), threading.Event()
    service.says = "auth"
    _refusal(breaker, "run-1", service)
    service.says = "ok"

    def slow() -> str:
        asked.release()
        assert go.wait(10)
        return service()

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(breaker.call, "run-2", slow) for _ in range(4)]
        assert asked.acquire(timeout=10)
        assert not asked.acquire(timeout=0.1)  # the other three have not sent anything
        go.set()
        assert [call.result(timeout=10) for call in calls] == ["came"] * 4


def test_a_look_that_says_nothing_lets_the_next_one_look(service: Service) -> None:
    breaker = Breaker()
    service.says = "auth"
    _refusal(breaker, "run-1", service)
    service.says = "timeout"
    assert not _refusal(breaker, "run-2", service).unsent
    service.says = "auth"
    assert not _refusal(breaker, "run-2", service).unsent
    assert _refusal(breaker, "run-2", service).unsent


def test_an_error_nobody_foresaw_leaves_the_look_to_others(service: Service) -> None:
    breaker = Breaker()
    service.says = "auth"
    _refusal(breaker, "run-1", service)

    def bug() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaker.call("run-2", bug)
    service.says = "ok"
    assert breaker.call("run-2", service) == "came"
