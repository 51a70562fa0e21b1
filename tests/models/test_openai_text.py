"""OpenAI's chat protocol: the real SDK against the loopback server, and servers that speak less of it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from servers.model_server import ModelServer

from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.models import openai_text
from elmer_pipelines.models.naming import split_model
from elmer_pipelines.models.openai_text import OpenAIText, strict_schema
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.prompts import envelope
from elmer_pipelines.models.protocols import Prompt, RawAnswer, Usage
from elmer_pipelines.models.retrying import Retrying

KEY = "sk-never-shown-0123456789"
PROMPT = Prompt(
    "name_it", 1, "Name the theme.", envelope("turn", "Exports crash, the exports, every Friday & nobody helps.")
)


class Theme(BaseModel):
    name: str
    mood: Literal["bad", "good"] | None
    signal_ids: list[str]


@pytest.fixture
def model(model_server: ModelServer) -> Iterator[OpenAIText]:
    own = OpenAIText("gpt-5-mini", KEY, model_server.openai_url, 5, retrying=Retrying(sleep=lambda _: None))
    yield own
    own.close()


def test_an_answer_fits_the_schema_and_the_request_keeps_the_protocol(
    model: OpenAIText, model_server: ModelServer
) -> None:
    assert model.answer(PROMPT, Theme).name == "Exports crash every"
    (call,) = model_server.calls
    assert (call.endpoint, call.headers["authorization"]) == ("completions", f"Bearer {KEY}")
    form = call.body["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Theme", True)
    assert [one["role"] for one in call.body["messages"]] == ["system", "user"]
    assert call.body["messages"][1]["content"] == PROMPT.material
    assert (call.body["max_completion_tokens"], call.body["reasoning_effort"]) == (8_000, "low")
    assert not {"temperature", "stream", "max_tokens"} & call.body.keys()


def test_the_two_halves_give_usage_and_request_id(model: OpenAIText) -> None:
    raw = model.raw(PROMPT, Theme)
    assert raw.request_id == "req_loopback"
    assert raw.usage.input_tokens > 20
    assert raw.usage.output_tokens > 5
    assert model.parse(raw, Theme).name == "Exports crash every"


def test_cached_tokens_are_counted_once() -> None:
    counted: dict[str, Any] = {"prompt_tokens": 100, "completion_tokens": 7}
    assert openai_text._usage(counted) == Usage(100, 7)
    counted["prompt_tokens_details"] = {"cached_tokens": 60, "cache_write_tokens": 30}
    assert openai_text._usage(counted) == Usage(10, 7, cache_read_tokens=60, cache_write_tokens=30)
    with pytest.raises(ValueError, match="prompt_tokens"):
        openai_text._usage({"prompt_tokens": "many"})


def test_a_model_without_a_known_price_costs_nobody_knows_what() -> None:
    assert cost_usd("gpt-5-mini", "openai", Usage(1_000_000, 0)) == pytest.approx(0.25)
    assert cost_usd("llama3.2:3b", "openai", Usage(1_000_000, 0)) is None


def test_an_answer_between_fences_and_after_thoughts_is_read(model: OpenAIText, model_server: ModelServer) -> None:
    model_server.script("completions", "fenced")
    assert model.answer(PROMPT, Theme).name == "Exports crash every"
    assert model_server.count() == 1


@pytest.mark.parametrize(
    ("missing", "instead"),
    [("max_completion_tokens", "max_tokens"), ("reasoning_effort", None), ("response_format", None)],
)
def test_what_a_server_does_not_know_is_left_out_from_then_on(
    model: OpenAIText, model_server: ModelServer, missing: str, instead: str | None
) -> None:
    model_server.script("completions", *[f"without:{missing}"] * 3)
    assert model.answer(PROMPT, Theme).name == "Exports crash every"
    assert model.answer(PROMPT, Theme).name == "Exports crash every"
    refused, taken, again = (call.body.keys() for call in model_server.calls)
    assert missing in refused
    assert missing not in taken | again
    assert instead is None or instead in taken & again


def test_a_server_that_is_not_openai_is_told_the_schema_in_words(model: OpenAIText, model_server: ModelServer) -> None:
    model.answer(PROMPT, Theme)
    assert '"additionalProperties": false' in model_server.calls[0].body["messages"][0]["content"]
    theirs = OpenAIText("gpt-5-mini", KEY)
    request = theirs._request(PROMPT, "Theme", strict_schema(Theme), openai_text.Dialect())
    assert request["messages"][0]["content"] == PROMPT.instructions


class _Bounded(BaseModel):
    score: Annotated[int, Field(ge=1, le=5)] = 3
    note: str | None = Field(None, max_length=10)
    default: str = "a property may have this name"
    parts: list[Theme] = Field(default_factory=list, max_length=3)


def test_a_strict_schema_has_closed_objects_and_no_rules_it_cannot_hold() -> None:
    shape = strict_schema(_Bounded)
    assert shape["required"] == ["score", "note", "default", "parts"]
    assert shape["additionalProperties"] is False
    assert shape["$defs"]["Theme"]["additionalProperties"] is False
    assert not {"minimum", "maximum", "default"} & shape["properties"]["score"].keys()
    assert "maxItems" not in shape["properties"]["parts"]
    assert "maxLength" not in str(shape["properties"]["note"])


def test_rules_the_service_does_not_hold_are_checked_here(model: OpenAIText) -> None:
    body = '{"usage": {}, "choices": [{"finish_reason": "stop", "message": {"content": "{\\"score\\": 9}"}}]}'
    with pytest.raises(ModelFault, match=r"score \(less_than_equal\)"):
        model.parse(RawAnswer(body, Usage(), "gpt-5-mini"), _Bounded)


def test_a_refusal_is_not_a_dialect(model: OpenAIText, model_server: ModelServer) -> None:
    model_server.script("completions", "invalid")
    with pytest.raises(ModelFault) as caught:
        model.answer(PROMPT, Theme)
    assert (caught.value.kind, model_server.count()) == ("http_400", 1)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))


def test_a_model_is_looked_up_in_the_list(model: OpenAIText, model_server: ModelServer) -> None:
    assert model.lifecycle() == ("active", None)
    absent = OpenAIText("gpt-5-minni", KEY, model_server.openai_url)
    with pytest.raises(ModelFault, match=r"has no model gpt-5-minni; it has gpt-5-mini") as caught:
        absent.lifecycle()
    absent.close()
    assert (caught.value.kind, caught.value.retryable) == ("not_found", False)


def test_the_key_is_not_shown_and_must_be_there(model: OpenAIText) -> None:
    assert repr(model) == "OpenAIText('gpt-5-mini')"
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        OpenAIText("gpt-5-mini", " ")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("claude-sonnet-5-5", ("anthropic", "claude-sonnet-5-5")),
        ("anthropic:claude-sonnet-5-5", ("anthropic", "claude-sonnet-5-5")),
        ("openai:gpt-5-mini", ("openai", "gpt-5-mini")),
        (" OpenAI: llama3.2:3b ", ("openai", "llama3.2:3b")),
        ("gateway/claude:beta", ("anthropic", "gateway/claude:beta")),
    ],
)
def test_a_name_says_its_provider(name: str, split: tuple[str, str]) -> None:
    assert split_model(name) == split


def test_a_provider_without_a_model_is_refused() -> None:
    with pytest.raises(SettingsError, match="openai:MODEL"):
        split_model("openai:")
