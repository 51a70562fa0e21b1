"""The real SDK against the loopback server: every answer and every fault."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import pytest
from pydantic import BaseModel
from servers.clients import PATIENT

from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.prompts import envelope
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.retried import Retried
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.model_server import ModelServer

KEY = "sk-ant-never-shown-0123456789"
PROMPT = Prompt(
    "name_it", 1, "Name the theme.", envelope("turn", "Exports crash, the exports, every Friday & nobody helps.")
)


class Theme(BaseModel):
    name: str
    mood: Literal["bad", "good"] | None
    signal_ids: list[str]


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def model(model_server: ModelServer, waits: list[float]) -> Iterator[AnthropicText]:
    retrying = Retrying(sleep=waits.append, chance=lambda: 1.0)
    own = AnthropicText("claude-haiku-5-5", KEY, base_url=model_server.url, timeout=PATIENT, retrying=retrying)
    yield own
    own.close()


def test_an_answer_fits_the_schema_and_the_request_keeps_the_protocol(
    model: AnthropicText, model_server: ModelServer
) -> None:
    theme = model.answer(PROMPT, Theme)
    assert theme.name == "Exports crash every"
    (call,) = model_server.calls
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body["output_config"]["effort"] == "low"
    assert call.body["output_config"]["format"]["type"] == "json_schema"
    assert call.body["messages"] == [{"role": "user", "content": PROMPT.material}]
    assert call.body["max_tokens"] == 8_000


def test_the_two_halves_give_usage_and_request_id(model: AnthropicText) -> None:
    raw = model.raw(PROMPT, Theme)
    assert raw.request_id == "req_loopback"
    assert raw.usage.input_tokens == 22
    assert raw.usage.output_tokens > 5
    assert raw.extra["limits"] == {"anthropic-ratelimit-requests-remaining": "999"}
    assert model.parse(raw, Theme).name == "Exports crash every"


@pytest.mark.parametrize(
    "name", ["rate_limit:7", "overloaded", "http_500", "malformed", "html", "empty_object", "drop"]
)
def test_what_passes_is_tried_again(
    model: AnthropicText, model_server: ModelServer, waits: list[float], name: str
) -> None:
    model_server.script("messages", name)
    assert model.answer(PROMPT, Theme).name
    assert model_server.count() == 2
    assert waits == [7.0 if name == "rate_limit:7" else 1.0]


@pytest.mark.parametrize(
    ("name", "kind", "retryable", "calls"),
    [
        ("auth", "auth", False, 1),
        ("billing", "quota", False, 1),
        ("permission", "permission", False, 1),
        ("not_found", "not_found", False, 1),
        ("quota", "quota", False, 1),
        ("invalid", "http_400", False, 1),
        ("too_large", "too_large", False, 1),
        ("refusal", "refusal", False, 1),
        ("truncated", "truncated", False, 1),
        ("rate_limit", "rate_limit", True, 4),
        ("overloaded", "overloaded", True, 4),
        ("http_500", "http_500", True, 4),
        ("malformed", "bad_payload", True, 4),
        ("html", "bad_payload", True, 4),
        ("empty_object", "bad_payload", True, 4),
        ("drop", "connection", True, 4),
    ],
)
def test_every_fault_has_its_kind(
    model: AnthropicText, model_server: ModelServer, name: str, kind: str, retryable: bool, calls: int
) -> None:
    model_server.script("messages", *[name] * calls)
    with pytest.raises(ModelFault) as caught:
        model.parse(Retried(model, Retrying(sleep=lambda _: None)).raw(PROMPT, Theme), Theme)
    found = caught.value
    assert (found.kind, found.retryable, model_server.count()) == (kind, retryable, calls)
    assert found.next_step
    assert KEY not in "".join(traceback.format_exception(found)) + repr(found) + repr(vars(found))


@pytest.mark.parametrize(("name", "kind"), [("off_schema", "schema"), ("no_stop_reason", "truncated")])
def test_a_broken_answer_is_asked_for_once_more(
    model: AnthropicText, model_server: ModelServer, name: str, kind: str
) -> None:
    model_server.script("messages", name, "ok", name, name)
    assert model.answer(PROMPT, Theme).name
    with pytest.raises(ModelFault) as caught:
        model.answer(PROMPT, Theme)
    assert (caught.value.kind, model_server.count()) == (kind, 4)


def test_a_hostile_wait_is_capped(model: AnthropicText, model_server: ModelServer, waits: list[float]) -> None:
    model_server.script("messages", "rate_limit:86400")
    model.answer(PROMPT, Theme)
    assert waits == [60.0]


def test_silence_is_a_timeout(model_server: ModelServer) -> None:
    model_server.script("messages", "hang")
    slow = AnthropicText("claude-haiku-5-5", KEY, model_server.url, timeout=0.2, retrying=Retrying(attempts=1))
    with pytest.raises(ModelFault) as caught:
        slow.answer(PROMPT, Theme)
    slow.close()
    assert (caught.value.kind, caught.value.retryable) == ("timeout", True)


def test_nobody_there_is_a_connection_fault() -> None:
    lonely = AnthropicText("claude-haiku-5-5", KEY, "http://127.0.0.1:9", retrying=Retrying(attempts=1))
    with pytest.raises(ModelFault) as caught:
        lonely.answer(PROMPT, Theme)
    lonely.close()
    assert caught.value.kind == "connection"


def test_many_threads_share_one_client(model: AnthropicText, model_server: ModelServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        themes = list(pool.map(lambda _: model.answer(PROMPT, Theme), range(24)))
    assert len({theme.name for theme in themes}) == 1
    assert model_server.count() == 24


def test_the_key_is_not_shown_and_must_be_there(model: AnthropicText) -> None:
    assert repr(model) == "AnthropicText('claude-haiku-5-5')"
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY"):
        AnthropicText("claude-haiku-5-5", " ")
