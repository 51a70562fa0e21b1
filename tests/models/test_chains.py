"""Nothing is paid for twice (I2), and every call is in the ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anew import asking_anew
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.cached import Cached
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.protocols import Prompt, RawAnswer, reject
from elmer_pipelines.models.recorded import CallContext, MemoryJournal, prompt_fingerprint
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.model_server import ModelServer

PROMPT = Prompt("name_it", 4, "Name the theme.", "<turn>Exports crash every Friday.</turn>")
CONTEXT = CallContext("acme", "cluster_themes", "run-1")
QUICK = Retrying(attempts=2, sleep=lambda _: None)


class Theme(BaseModel):
    name: str


class Mood(BaseModel):
    mood: str


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def adapter(model_server: ModelServer) -> Iterator[AnthropicText]:
    own = AnthropicText("claude-haiku-5-5", "key", base_url=model_server.url)
    yield own
    own.close()


def test_the_second_time_costs_nothing(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    first = text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(PROMPT, Theme)
    second = text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(
        replace(PROMPT, name="renamed", version=5), Theme
    )
    assert first == second
    assert model_server.count() == 1
    paid, cached = journal.calls
    assert (paid.outcome, paid.provider, paid.model, paid.step) == ("ok", "anthropic", "claude-haiku-5-5", CONTEXT.step)
    assert (paid.prompt, paid.prompt_version, paid.workspace_id, paid.run_id) == ("name_it", 4, "acme", "run-1")
    # $0.10 and $0.50 a million tokens
    expected = paid.usage.input_tokens * 1e-7 + paid.usage.output_tokens * 5e-7
    assert paid.cost_usd == pytest.approx(expected)
    assert paid.request_id == "req_loopback"
    assert (cached.outcome, cached.cost_usd, cached.usage.input_tokens) == ("cached", 0.0, 0)
    assert cached.fingerprint == paid.fingerprint


def test_whatever_determines_the_answer_is_in_the_fingerprint() -> None:
    changed = [
        prompt_fingerprint(replace(PROMPT, **{field: value}), Theme, "m")
        for field, value in {"instructions": "x", "material": "x", "max_tokens": 9, "effort": "high"}.items()
    ]
    others = [prompt_fingerprint(PROMPT, Mood, "m"), prompt_fingerprint(PROMPT, Theme, "n")]
    own = prompt_fingerprint(PROMPT, Theme, "m")
    assert len({own, *changed, *others}) == 7
    assert own == prompt_fingerprint(replace(PROMPT, name="x", version=9), Theme, "m")


class _Dying:
    """An adapter of a process that is killed when it first looks into an answer."""

    def __init__(self, inner: AnthropicText) -> None:
        self._inner, self.provider, self.model = inner, inner.provider, inner.model

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        return self._inner.raw(prompt, schema)

    def parse(self, raw: RawAnswer, schema: type[BaseModel]) -> BaseModel:
        raise KeyboardInterrupt


def test_an_answer_is_kept_before_it_is_used(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Cached(_Dying(adapter), journal, CONTEXT).answer(PROMPT, Theme)
    assert text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(PROMPT, Theme).name
    assert model_server.count() == 1


def test_a_broken_answer_is_paid_noted_and_asked_for_again(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    model_server.script("messages", "off_schema")
    assert text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(PROMPT, Theme).name
    assert [call.outcome for call in journal.calls] == ["schema", "ok"]
    assert all(call.cost_usd for call in journal.calls)
    model_server.script("messages", "off_schema", "off_schema")
    other = replace(PROMPT, material="<turn>Other words.</turn>")
    with pytest.raises(ModelFault, match="schema"):
        text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(other, Theme)
    assert (
        text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(other, Theme).name
    )  # what is broken is never an answer
    assert [call.outcome for call in journal.calls[2:]] == ["schema", "schema", "cached", "ok"]


@pytest.mark.parametrize(("name", "kind"), [("refusal", "refusal"), ("truncated", "truncated")])
def test_a_final_answer_is_not_paid_twice_even_if_it_is_a_no(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer, name: str, kind: str
) -> None:
    model_server.script("messages", name)
    for _ in range(2):
        with pytest.raises(ModelFault) as caught:
            text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(PROMPT, Theme)
        assert caught.value.kind == kind
    assert model_server.count() == 1
    assert [call.outcome for call in journal.calls] == [kind, "cached"]


def test_every_attempt_is_in_the_ledger(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    model_server.script("messages", "overloaded", "overloaded")
    with pytest.raises(ModelFault):
        text_chain(adapter, journal, CONTEXT, retrying=QUICK).answer(PROMPT, Theme)
    assert [(call.outcome, call.cost_usd) for call in journal.calls] == [("overloaded", 0.0)] * 2
    assert all(call.latency_s > 0 for call in journal.calls)
    assert journal.answers == {}


def test_threads_that_ask_the_same_send_it_once(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    recorded = text_chain(adapter, journal, CONTEXT, retrying=QUICK)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: recorded.answer(PROMPT, Theme).name, range(16)))
    assert len(set(answers)) == 1
    assert model_server.count() == 1
    assert sorted(call.outcome for call in journal.calls) == ["cached"] * 15 + ["ok"]


def test_a_price_nobody_knows_stays_unknown(adapter: AnthropicText, journal: MemoryJournal) -> None:
    text_chain(adapter, journal, CONTEXT, retrying=QUICK, price=lambda *_: None).answer(PROMPT, Theme)
    assert journal.calls[0].cost_usd is None


def test_requests_for_vectors_are_in_the_ledger(journal: MemoryJournal, model_server: ModelServer) -> None:
    adapter = OpenAIEmbeddings(dimensions=64, api_key="key", base_url=model_server.openai_url)
    recorded = embedding_chain(adapter, journal, replace(CONTEXT, step="signal_embeddings"), retrying=QUICK)
    vectors = recorded.embed([f"words {number}" for number in range(2_050)])
    model_server.script("embeddings", "auth")
    with pytest.raises(ModelFault):
        recorded.embed(["more words"])
    adapter.close()
    assert vectors.shape == (2_050, recorded.dimensions)
    assert [(call.outcome, call.inputs) for call in journal.calls] == [("ok", 2_048), ("ok", 2), ("auth", 1)]
    assert journal.calls[0].cost_usd == pytest.approx(journal.calls[0].usage.input_tokens * 2e-8)
    assert (recorded.model, recorded.scale) == (adapter.model, adapter.scale)
    assert journal.calls[0].prompt is None


def test_the_memory_journal_returns_what_it_was_given(journal: MemoryJournal) -> None:
    from elmer_pipelines.models.protocols import Usage

    answer = RawAnswer("{}", Usage(1, 2), "m")
    journal.store("v1:a", answer)
    assert (journal.lookup("v1:a"), journal.lookup("v1:b")) == (answer, None)


def test_an_answer_of_no_use_is_asked_for_anew(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer
) -> None:
    model = text_chain(adapter, journal, CONTEXT, retrying=QUICK)
    model.answer(PROMPT, Theme)
    reject(model, PROMPT, Theme)
    model.answer(PROMPT, Theme)
    reject(adapter, PROMPT, Theme)  # keeps nothing: nothing to forget
    assert [call.outcome for call in journal.calls] == ["ok", "ok"]
    assert model_server.count() == 2


@pytest.mark.parametrize("name", ["refusal", "truncated"])
def test_a_fault_for_good_is_kept_until_a_person_wants_it_asked_anew(
    adapter: AnthropicText, journal: MemoryJournal, model_server: ModelServer, name: str
) -> None:
    model = text_chain(adapter, journal, CONTEXT, retrying=QUICK)
    model_server.script("messages", name)
    for _ in range(2):
        with pytest.raises(ModelFault):
            model.answer(PROMPT, Theme)
    assert model_server.count() == 1
    with asking_anew():
        assert model.answer(PROMPT, Theme).name
        assert model.answer(PROMPT, Theme).name  # what is good is given again
    assert model_server.count() == 2
