"""How calls are tried again, judged by llmock from what it saw: waits are kept, what is final is asked once.

llmock measures waits from outside, where a machine that stalls only lengthens them. That they grow is therefore read
from what the client meant to wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from llmock.pytest_plugin import LLMock
from pydantic import BaseModel

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.retrying import Retrying

PROMPT = Prompt("name_it", 1, "Name the theme.", "Exports crash every Friday.")
OWN_S = (0.02, 0.04, 0.08)  # what the client waits of its own
ASKED_S = 0.3  # more than that, by more than the twentieth of a second llmock forgives; unasked it would say one second


class Theme(BaseModel):
    name: str


@pytest.fixture
def timeout() -> float:
    """Seconds: so many that a busy machine is no slow service."""
    return 30.0


@pytest.fixture
def waits() -> list[float]:
    """Seconds the client waited between tries, as it meant to."""
    return []


@pytest.fixture
def quick(waits: list[float]) -> Retrying:
    """Waits shorter than a service gets, without chance."""

    def wait(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    return Retrying(first_wait_s=OWN_S[0], chance=lambda: 1.0, sleep=wait)


@pytest.fixture(params=["anthropic", "openai"])
def model(
    request: pytest.FixtureRequest, llmock: LLMock, timeout: float, quick: Retrying
) -> Iterator[AnthropicText | OpenAIText]:
    own: AnthropicText | OpenAIText
    if request.param == "anthropic":
        own = AnthropicText("claude-haiku-5-5", "key", llmock.base_url("anthropic"), timeout, retrying=quick)
    else:
        own = OpenAIText("gpt-5-mini", "key", llmock.base_url("openai"), timeout, retrying=quick)
    yield own
    own.close()


def _said(llmock: LLMock) -> None:
    llmock.reply(json.dumps({"name": "Exports crash"}), times=None)


def test_a_wait_that_is_asked_for_is_kept(
    model: AnthropicText | OpenAIText, llmock: LLMock, waits: list[float]
) -> None:
    llmock.rate_limit(times=2, retry_after=ASKED_S)
    _said(llmock)
    assert model.answer(PROMPT, Theme).name == "Exports crash"
    assert len(llmock.requests) == 3
    assert waits == pytest.approx([ASKED_S, ASKED_S])
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [408, 500, 502])
def test_a_passing_error_is_waited_out(
    model: AnthropicText | OpenAIText, llmock: LLMock, status: int, waits: list[float]
) -> None:
    llmock.fail(status, times=2)
    _said(llmock)
    assert model.answer(PROMPT, Theme).name == "Exports crash"
    assert waits == pytest.approx(OWN_S[:2])
    llmock.assert_resilient()


@pytest.mark.parametrize("status", [503, 504, 529])
def test_a_passing_error_is_waited_out_as_long_as_asked(
    model: AnthropicText | OpenAIText, llmock: LLMock, status: int, waits: list[float]
) -> None:
    llmock.fail(status, times=2, retry_after=ASKED_S)
    _said(llmock)
    assert model.answer(PROMPT, Theme).name == "Exports crash"
    assert waits == pytest.approx([ASKED_S, ASKED_S])
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("timeout", [1.0])
def test_a_slow_answer_is_given_up_and_asked_for_again(model: AnthropicText | OpenAIText, llmock: LLMock) -> None:
    llmock.delay(1.5, times=1)
    _said(llmock)
    assert model.answer(PROMPT, Theme).name == "Exports crash"
    llmock.assert_resilient()


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (403, "permission"), (404, "not_found")])
def test_what_is_final_is_asked_once(model: AnthropicText | OpenAIText, llmock: LLMock, status: int, kind: str) -> None:
    llmock.fail(status, times=None)
    with pytest.raises(ModelFault) as caught:
        model.answer(PROMPT, Theme)
    assert (caught.value.kind, len(llmock.requests)) == (kind, 1)
    llmock.assert_resilient(strict=True)


def test_more_than_the_context_holds_is_asked_once(model: AnthropicText | OpenAIText, llmock: LLMock) -> None:
    llmock.context_overflow()
    with pytest.raises(ModelFault) as caught:
        model.answer(PROMPT, Theme)
    assert (caught.value.kind, len(llmock.requests)) == ("too_large", 1)


def test_an_outage_ends_after_four_tries(model: AnthropicText | OpenAIText, llmock: LLMock) -> None:
    llmock.fail(503, times=None, retry_after=ASKED_S)
    with pytest.raises(ModelFault) as caught:
        model.answer(PROMPT, Theme)
    assert (caught.value.kind, caught.value.retryable, len(llmock.requests)) == ("http_503", True, 4)


def test_embeddings_wait_too(llmock: LLMock, quick: Retrying, waits: list[float]) -> None:
    llmock.rate_limit(times=1, retry_after=ASKED_S).fail(503, times=1, retry_after=ASKED_S)
    own = OpenAIEmbeddings(api_key="key", base_url=llmock.base_url("openai"), timeout=30, retrying=quick)
    assert own.embed(["The export crashes."]).shape == (1, 1_536)
    own.close()
    assert waits == pytest.approx([ASKED_S, ASKED_S])
    llmock.assert_resilient(strict=True)
