"""Both services of message batches through the real SDKs: what is sent, what comes back, what a fault means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from servers.clients import KEY, MODELS, Provider, embedding_model, text_model
from servers.model_server import ModelServer

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ids import fingerprint
from elmer_pipelines.models import streams
from elmer_pipelines.models.anthropic_batches import AnthropicBatches
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.batches import BatchRequest, BatchService, custom_id
from elmer_pipelines.models.openai_batches import OpenAIBatches
from elmer_pipelines.models.openai_embeddings import read_vectors
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Prompt

PROMPT = Prompt("name_it", 1, "Name the theme.", "<turn>Exports crash every Friday.</turn>")
MARK = "B-0123456789ab"


class Theme(BaseModel):
    name: str


Adapter = AnthropicText | OpenAIText
BOTH = pytest.mark.parametrize("provider", ["anthropic", "openai"])


@pytest.fixture
def adapter(provider: Provider, model_server: ModelServer) -> Iterator[Adapter]:
    own = text_model(provider, model_server)
    yield own
    own.close()


@pytest.fixture
def service(adapter: Adapter) -> AnthropicBatches | OpenAIBatches:
    if isinstance(adapter, AnthropicText):
        return AnthropicBatches(adapter, KEY)
    return OpenAIBatches(adapter, KEY, offered=True)


@BOTH
def test_what_would_be_streamed_is_sent_in_one_piece(adapter: Adapter) -> None:
    long = adapter.request(replace(PROMPT, max_tokens=streams.STREAMED_ABOVE + 1), Theme)
    short = adapter.request(PROMPT, Theme)
    assert long.keys() == short.keys()
    assert not {"stream", "stream_options"} & long.keys()


def _requests(adapter: Adapter, number: int) -> list[BatchRequest]:
    return [
        BatchRequest(
            custom_id(MARK, fingerprint(n=n)),
            adapter.request(replace(PROMPT, material=f"<turn>Need {n} of ours.</turn>"), Theme),
        )
        for n in range(number)
    ]


def test_an_id_holds_the_mark_and_is_what_both_services_take() -> None:
    name = custom_id(MARK, fingerprint(n=1))
    assert len(name) == 64
    assert name.startswith(f"{MARK}-")
    assert custom_id(MARK, fingerprint(n=2)) != name
    assert name.replace("-", "").isalnum()


@BOTH
def test_what_was_asked_is_answered_as_if_it_were_asked_alone(
    adapter: Adapter, service: BatchService, model_server: ModelServer
) -> None:
    requests = _requests(adapter, 5)
    name = service.submit(MARK, requests)
    seen = service.look_up(name)
    assert seen is not None
    assert (seen.ended, seen.requests) == (False, 5)
    model_server.batches.end()
    seen = service.look_up(name)
    assert seen is not None and seen.ended
    results = list(service.results(name))
    assert [one.custom_id for one in results] != [one.custom_id for one in requests]
    assert {one.custom_id for one in results} == {one.custom_id for one in requests}
    by_id = {one.custom_id: one for one in results}
    for n, request in enumerate(requests):
        raw = service.answer(by_id[request.custom_id].body or "", adapter.model, name)
        alone = adapter.raw(replace(PROMPT, material=f"<turn>Need {n} of ours.</turn>"), Theme)
        assert adapter.parse(raw, Theme) == adapter.parse(alone, Theme)
        assert raw.usage == alone.usage
        assert raw.request_id == name


@BOTH
def test_batches_since_a_moment_are_listed_page_by_page(
    adapter: Adapter, service: BatchService, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"elmer_pipelines.models.{service.provider}_batches._PAGE", 2)
    names = [service.submit(f"B-{n}", _requests(adapter, n + 1)) for n in range(5)]
    model_server.batches.all[names[0]].created -= timedelta(hours=2)
    listed = list(service.since(datetime.now(UTC) - timedelta(hours=1)))
    assert [one.service_id for one in listed] == names[:0:-1]
    assert [one.requests for one in listed] == [5, 4, 3, 2]
    marks = [one.mark for one in listed]
    assert marks == ([None] * 4 if service.provider == "anthropic" else ["B-4", "B-3", "B-2", "B-1"])


@pytest.mark.parametrize(
    ("provider", "fate", "kind", "retryable"),
    [
        ("anthropic", "errored:invalid_request_error", "http_400", False),
        ("anthropic", "errored:authentication_error", "auth", False),
        ("anthropic", "errored:overloaded_error", "overloaded", True),
        ("anthropic", "errored:api_error", "http_500", True),
        ("anthropic", "expired", "expired", True),
        ("anthropic", "canceled", "expired", True),
        ("openai", "errored:invalid_request_error", "http_400", False),
        ("openai", "expired", "expired", True),
        ("openai", "canceled", "expired", True),
    ],
)
def test_a_request_that_fails_has_the_fault_it_would_have_alone(
    adapter: Adapter, service: BatchService, model_server: ModelServer, fate: str, kind: str, retryable: bool
) -> None:
    model_server.batches.fate = lambda *_: fate
    name = service.submit(MARK, _requests(adapter, 1))
    model_server.batches.end()
    (result,) = service.results(name)
    assert result.fault is not None
    assert (result.body, result.fault.kind, result.fault.retryable) == (None, kind, retryable)
    assert result.fault.next_step


@BOTH
@pytest.mark.parametrize(("fault", "kind"), [("auth", "auth"), ("overloaded", "overloaded"), ("lost", "connection")])
def test_a_creation_that_fails_is_a_typed_fault(
    adapter: Adapter, service: BatchService, model_server: ModelServer, fault: str, kind: str
) -> None:
    model_server.batches.script.append(fault)
    with pytest.raises(ModelFault) as caught:
        service.submit(MARK, _requests(adapter, 1))
    assert caught.value.kind == kind
    assert KEY not in str(caught.value)


@BOTH
def test_a_batch_nobody_knows_is_none(service: BatchService) -> None:
    assert service.look_up("msgbatch_none") is None


@pytest.mark.parametrize("provider", ["openai"])
def test_a_batch_refused_after_it_was_made_says_why(
    adapter: Adapter, service: BatchService, model_server: ModelServer
) -> None:
    model_server.batches.script.append("refused:line 3 is no JSON")
    seen = service.look_up(service.submit(MARK, _requests(adapter, 1)))
    assert seen is not None and seen.ended and seen.fault is not None
    assert "line 3 is no JSON" in str(seen.fault)


def test_vectors_come_back_as_if_they_were_asked_for_alone(model_server: ModelServer) -> None:
    adapter = embedding_model(model_server)
    service = OpenAIBatches(adapter, KEY, offered=True)
    texts = ["The export fails.", "Invoices are lost.", "I need a dark mode."]
    requests = [BatchRequest(custom_id(MARK, fingerprint(t=one)), adapter.request([one])) for one in texts]
    name = service.submit(MARK, requests)
    model_server.batches.end()
    bodies = {one.custom_id: one.body or "" for one in service.results(name)}
    alone = adapter.embed(texts)
    for number, request in enumerate(requests):
        vectors, usage = read_vectors(bodies[request.custom_id], 1, 64)
        assert vectors[0] == pytest.approx(alone[number], abs=1e-6)
        assert usage.input_tokens > 0
    adapter.close()


@pytest.mark.parametrize("provider", ["anthropic"])
def test_a_long_shared_beginning_is_paid_once_and_then_read_from_the_services_cache(
    adapter: Adapter, service: BatchService, model_server: ModelServer
) -> None:
    long = replace(PROMPT, instructions="Name the theme in the customer's own words, briefly. " * 120)
    for n in range(3):
        adapter.raw(replace(long, material=f"<turn>Need {n}.</turn>"), Theme)
    (body, *_) = [call.body for call in model_server.calls]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    requests = [
        BatchRequest(f"{MARK}-{n}", adapter.request(replace(long, material=f"<turn>Need {n} more.</turn>"), Theme))
        for n in range(4)
    ]
    assert len({str(one.params["system"]) for one in requests}) == 1
    name = service.submit(MARK, requests)
    model_server.batches.end()
    usages = [service.answer(one.body or "", MODELS["anthropic"], name).usage for one in service.results(name)]
    prefix = len(long.instructions) // 4
    assert [one.cache_read_tokens for one in usages] == [prefix] * 4
    assert all(one.input_tokens < 20 for one in usages)
    whole = replace(usages[0], input_tokens=usages[0].input_tokens + prefix, cache_read_tokens=0)
    cheap, dear = (cost_usd(MODELS["anthropic"], "anthropic", one) for one in (usages[0], whole))
    assert cheap is not None and dear is not None
    assert cheap < dear / 3


@pytest.mark.parametrize("provider", ["anthropic"])
def test_the_first_request_writes_the_shared_beginning_and_short_ones_are_not_cached(
    adapter: Adapter, model_server: ModelServer
) -> None:
    long = replace(PROMPT, instructions="Name the theme in the customer's own words, briefly. " * 120)
    first, second = (adapter.raw(long, Theme).usage for _ in range(2))
    assert first.cache_write_tokens == second.cache_read_tokens == len(long.instructions) // 4
    assert first.cache_read_tokens == second.cache_write_tokens == 0
    short = adapter.raw(PROMPT, Theme).usage
    assert (short.cache_write_tokens, short.cache_read_tokens) == (0, 0)
