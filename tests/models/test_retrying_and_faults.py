"""When a call is tried again, and what exceptions without a server mean."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.faults import classify, fault, redact, retry_after
from elmer_pipelines.models.retrying import Retrying

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_tries_end_with_the_last_fault_after_the_bound() -> None:
    waits: list[float] = []
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise fault("overloaded", "busy", retryable=True)

    with pytest.raises(ModelFault, match="busy"):
        Retrying(sleep=waits.append, chance=lambda: 1.0).call(fail)
    assert (len(tries), waits) == (4, [1.0, 2.0, 4.0])


def test_a_final_fault_is_not_tried_again() -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise fault("auth", "no", retryable=False)

    with pytest.raises(ModelFault):
        Retrying(sleep=lambda _: pytest.fail("waited")).call(fail)
    assert len(tries) == 1


@given(st.integers(0, 30), st.one_of(st.none(), st.floats(0, 1e12)), st.floats(0, 1))
def test_a_wait_is_bounded_whatever_the_service_asks(failures: int, asked: float | None, chance: float) -> None:
    wait = replace(Retrying(), chance=lambda: chance).wait(failures, asked)
    assert 0 <= wait <= 60
    assert wait >= min(60, asked or 0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_what_a_service_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


class _Small(BaseModel):
    size: int


def _raised(body: str) -> Exception:
    try:
        json.loads(body) if body == "{" else _Small.model_validate_json(body)
    except (ValueError, ValidationError) as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (_raised("{"), "bad_payload", True),
        (AttributeError("data"), "bad_payload", True),
        (RecursionError(), "bad_payload", True),
        (TimeoutError(), "timeout", True),
        (ConnectionResetError("reset"), "connection", True),
        (_raised('{"size": "the customer\'s own words"}'), "schema", True),
        (OSError("disk"), "unknown", False),
    ],
)
def test_exceptions_without_a_status(error: Exception, kind: str, retryable: bool) -> None:
    found = classify(error, "Anthropic")
    assert (found.kind, found.retryable) == (kind, retryable)
    assert found.next_step
    assert "customer" not in str(found)


def test_a_message_shows_no_key() -> None:
    assert redact("bad key abc-123-secret\n now", "abc-123-secret") == "bad key [key] now"
    assert "sk-ant" not in redact("key sk-ant-api03-zzzzzzzzzzzz", "")
