"""Long answers come as streams: the same answer in the end, and no way to end that is taken for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import BaseModel
from servers.chat import THOUGHT
from servers.clients import ENDPOINTS, Provider, patience, text_model
from servers.model_server import ModelServer

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.budgeted import worst_usage
from elmer_pipelines.models.chains import text_chain
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.recorded import CallContext, MemoryJournal
from elmer_pipelines.models.retrying import Retrying
from elmer_pipelines.models.streams import STREAMED_ABOVE, message

SHORT = Prompt("name_it", 1, "Name the theme.", "<turn>Exports crash on Friday, ü and 数据.</turn>", max_tokens=4_000)
LONG = replace(SHORT, max_tokens=STREAMED_ABOVE + 1)
CONTEXT = CallContext("acme", "prds")


class Theme(BaseModel):
    name: str
    summary: str


@pytest.fixture(params=["anthropic", "openai"])
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def model(
    request: pytest.FixtureRequest, provider: Provider, model_server: ModelServer
) -> Iterator[AnthropicText | OpenAIText]:
    own = text_model(provider, model_server, timeout=patience(request, 1.0))
    yield own
    own.close()


def test_a_stream_comes_to_what_the_whole_would_have_been(
    model: AnthropicText | OpenAIText, model_server: ModelServer
) -> None:
    whole, streamed = model.raw(SHORT, Theme), model.raw(LONG, Theme)
    assert [bool(call.body.get("stream")) for call in model_server.calls] == [False, True]
    assert model.parse(streamed, Theme) == model.parse(whole, Theme)
    assert (streamed.usage, streamed.request_id) == (whole.usage, whole.request_id)
    assert streamed.usage.thinking_tokens == THOUGHT
    assert streamed.extra["limits"] == whole.extra["limits"]


@pytest.mark.parametrize("name", ["refusal", "truncated", "no_stop_reason", "off_schema"])
def test_a_streamed_answer_of_no_use_is_the_fault_it_would_be_whole(
    model: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer, name: str
) -> None:
    kinds = []
    for prompt in (SHORT, LONG):
        model_server.script(ENDPOINTS[provider], name)
        with pytest.raises(ModelFault) as caught:
            model.parse(model.raw(prompt, Theme), Theme)
        kinds.append((caught.value.kind, caught.value.retryable))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("name", "kind", "lost"),
    [
        ("stream_end", "connection", True),  # closed cleanly, in the middle
        ("cut", "connection", True),
        ("stall", "timeout", True),
        ("stream_error", "overloaded", False),
        ("error_event", "overloaded", False),
    ],
)
def test_a_stream_that_ends_badly_is_tried_again_and_booked(
    model: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer, name: str, kind: str, lost: bool
) -> None:
    journal = MemoryJournal()
    model_server.script(ENDPOINTS[provider], name)
    quick = Retrying(attempts=2, sleep=lambda _: None)
    assert text_chain(model, journal, CONTEXT, retrying=quick).answer(LONG, Theme).name
    first, second = journal.calls
    assert (first.outcome, first.estimated, second.outcome) == (kind, lost, "ok")
    assert not lost or first.usage == worst_usage(LONG, Theme)


@pytest.mark.parametrize("name", ["slow"])
def test_a_slow_answer_is_no_silence(
    model: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer, name: str
) -> None:
    model_server.pause_s = 0.25  # eight of them: twice the time that a silence may last
    model_server.script(ENDPOINTS[provider], name)
    assert model.parse(model.raw(LONG, Theme), Theme).name
    assert model_server.count() == 1


def test_a_gateway_that_knows_no_streams_answers_at_once(
    model: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer
) -> None:
    model_server.script(ENDPOINTS[provider], "whole")
    assert model.parse(model.raw(LONG, Theme), Theme).name


def test_a_server_that_refuses_streams_is_asked_without(model_server: ModelServer) -> None:
    model = text_model("openai", model_server)
    model_server.script("completions", "without:stream_options")
    for _ in range(2):
        assert model.parse(model.raw(LONG, Theme), Theme).name
    assert [bool(call.body.get("stream")) for call in model_server.calls] == [True, False, False]
    model.close()


def test_an_event_that_is_no_object_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no object"):
        message([f"data: {json.dumps([1])}"], "Anthropic")
