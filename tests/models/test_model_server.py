"""The loopback server itself: answers made from the material, by the rules of the protocols."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import anthropic
import openai
import pytest
from pydantic import BaseModel
from servers.model_server import ModelServer

from elmer_pipelines.models.allowances import limits_in
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.protocols import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = ["S-0123456789ab", "S-ba9876543210", "S-aaaabbbbcccc", "S-ccccbbbbaaaa"]
MATERIAL = "".join(f'<signal id="{one}">The export of reports number {n} fails.</signal>' for n, one in enumerate(IDS))


class Section(BaseModel):
    heading: str
    text: str
    signal_ids: list[str]


class Draft(BaseModel):
    title: str
    sections: list[Section]
    confidence: float


class Named(BaseModel):
    cluster_id: str
    theme: str


class Names(BaseModel):
    clusters: list[Named]


@pytest.fixture
def model(model_server: ModelServer) -> Iterator[AnthropicText]:
    own = AnthropicText("claude-sonnet-5-5", "key", base_url=model_server.url)
    yield own
    own.close()


def test_a_draft_cites_only_signals_of_the_material(model: AnthropicText) -> None:
    draft = model.answer(Prompt("draft", 1, "Cite as [S-…].", MATERIAL), Draft)
    assert draft == model.answer(Prompt("draft", 1, "Cite as [S-…].", MATERIAL), Draft)
    assert sorted(one for section in draft.sections for one in section.signal_ids) == sorted(IDS)
    assert all(f"[{section.signal_ids[0]}]" in section.text for section in draft.sections)
    assert 0.5 <= draft.confidence < 1
    assert "export" in draft.title.lower()


def test_a_list_about_given_things_has_one_item_for_each(model: AnthropicText) -> None:
    material = '<cluster id="C-000000000001">Slow exports.</cluster><cluster id="C-000000000002">Prices.</cluster>'
    names = model.answer(Prompt("name", 1, "Name them.", material), Names)
    assert [one.cluster_id for one in names.clusters] == ["C-000000000001", "C-000000000002"]


def test_what_the_services_refuse_is_refused(model_server: ModelServer) -> None:
    with anthropic.Anthropic(api_key="key", base_url=model_server.url, max_retries=0) as client:
        asked = [{"role": "user", "content": "Hello"}]
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            client.messages.create(
                model="claude-sonnet-5-5", max_tokens=9, messages=asked, extra_body={"temperature": 0}
            )
        with pytest.raises(anthropic.BadRequestError, match="additionalProperties"):
            loose = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}
            client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=asked, output_config=loose)
        with pytest.warns(DeprecationWarning), pytest.raises(anthropic.NotFoundError):
            client.messages.create(model="claude-sonnet-4-20250514", max_tokens=9, messages=asked)
        assert [one.id for one in client.models.list()][:1] == ["claude-sonnet-5-5"]
    with openai.OpenAI(api_key="key", base_url=model_server.openai_url, max_retries=0) as other:
        for wrong in ([""], [], ["a"] * 2_049, ["word " * 9_000], ["word " * 8_000] * 38):
            with pytest.raises(openai.BadRequestError):
                other.embeddings.create(model="text-embedding-3-small", input=wrong)
        answer = other.embeddings.create(model="text-embedding-3-small", input="some words")
        assert len(answer.data[0].embedding) == 1_536


def test_a_strict_server_refuses_beyond_its_allowance_and_tells_what_is_left() -> None:
    server = ModelServer(requests_per_minute=60, burst=2).start()
    asked = [{"role": "user", "content": "Hello"}]
    try:
        with anthropic.Anthropic(api_key="key", base_url=server.url, max_retries=0) as client:
            answers = [
                client.messages.with_raw_response.create(model="claude-sonnet-5-5", max_tokens=9, messages=asked)
                for _ in range(2)
            ]
            with pytest.raises(anthropic.RateLimitError) as refused:
                client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=asked)
        other = openai.OpenAI(api_key="key", base_url=server.openai_url, max_retries=0)
        with other, pytest.raises(openai.RateLimitError) as also:
            other.embeddings.create(model="text-embedding-3-small", input="words")
        counted = server.counters()
    finally:
        server.stop()
    left = [limits_in(answer.headers)["requests"] for answer in answers]
    assert [(one.per_minute, one.left) for one in left] == [(60, 1), (60, 0)]
    assert refused.value.response.headers["retry-after"] == "1"
    assert limits_in(also.value.response.headers)["requests"].left == 0
    assert (counted["asked"], counted["refused"], counted["in_flight_max"]) == (4, 2, 1)
    assert 2 <= counted["allowed"] < 3


def test_a_slow_server_answers_many_at_once() -> None:
    server = ModelServer(latency_s=0.3).start()
    adapter = AnthropicText("claude-sonnet-5-5", "key", base_url=server.url)
    try:
        adapter.raw(Prompt("name", 1, "Name them.", MATERIAL), Names)
        with ThreadPoolExecutor(40) as pool:
            list(pool.map(lambda _: adapter.raw(Prompt("name", 1, "Name them.", MATERIAL), Names), range(40)))
        most = server.counters()["in_flight_max"]
    finally:
        adapter.close()
        server.stop()
    assert most > 8
