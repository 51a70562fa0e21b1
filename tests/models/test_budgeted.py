"""Nothing is sent before its worst case is set aside (I7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from servers.model_server import ModelServer

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.budgeted import tokens_at_most, worst_case_usd, worst_usage
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Prompt, Usage
from elmer_pipelines.models.recorded import CallContext, MemoryJournal
from elmer_pipelines.models.retrying import Retrying

PROMPT = Prompt("name_it", 4, "Name the theme.", "<turn>Exports crash every Friday.</turn>", max_tokens=1_000)
CONTEXT = CallContext("acme", "cluster_themes", "run-1")


class Theme(BaseModel):
    name: str


class MemoryPurse:
    """So much may be spent; what is open is known."""

    def __init__(self, left: float = 1.0) -> None:
        self.left, self.open, self.amounts = left, set[int](), list[float]()

    def reserve(self, worst_usd: float) -> int:
        if worst_usd > self.left:
            raise ModelFault("budget", "spent", next_step="wait", retryable=False)
        self.amounts.append(worst_usd)
        self.open.add(len(self.amounts))
        return len(self.amounts)

    def release(self, reservation: int) -> None:
        self.open.remove(reservation)

    cancel = release


@pytest.fixture
def adapter(model_server: ModelServer) -> Iterator[AnthropicText]:
    own = AnthropicText("claude-haiku-5-5", "key", base_url=model_server.url)
    yield own
    own.close()


def test_the_worst_case_is_more_than_it_came_to(adapter: AnthropicText) -> None:
    purse, journal = MemoryPurse(), MemoryJournal()
    text_chain(adapter, journal, CONTEXT, purse=purse).answer(PROMPT, Theme)
    (call,) = journal.calls
    assert call.cost_usd is not None
    assert purse.amounts[0] > call.cost_usd
    assert purse.amounts[0] >= 1_000 * 5e-7  # an answer of full length
    assert purse.open == set()


def test_every_attempt_reserves_anew(adapter: AnthropicText, model_server: ModelServer) -> None:
    purse = MemoryPurse()
    model_server.script("messages", "overloaded")
    quick = Retrying(sleep=lambda _: None)
    text_chain(adapter, MemoryJournal(), CONTEXT, purse=purse, retrying=quick).answer(PROMPT, Theme)
    assert (len(purse.amounts), purse.open) == (2, set())


def test_what_does_not_fit_is_not_sent_and_is_no_attempt(adapter: AnthropicText, model_server: ModelServer) -> None:
    journal = MemoryJournal()
    with pytest.raises(ModelFault) as caught:
        text_chain(adapter, journal, CONTEXT, purse=MemoryPurse(0.0)).answer(PROMPT, Theme)
    assert (caught.value.kind, model_server.count(), journal.calls) == ("budget", 0, [])


def test_an_unknown_price_refuses_to_spend(adapter: AnthropicText, model_server: ModelServer) -> None:
    with pytest.raises(ModelFault) as caught:
        text_chain(adapter, MemoryJournal(), CONTEXT, purse=MemoryPurse(), price=lambda *_: None).answer(PROMPT, Theme)
    assert (caught.value.kind, model_server.count()) == ("unknown_price", 0)
    assert text_chain(adapter, MemoryJournal(), CONTEXT, price=lambda *_: None).answer(PROMPT, Theme).name


def test_vectors_reserve_too(model_server: ModelServer) -> None:
    adapter = OpenAIEmbeddings(dimensions=64, api_key="key", base_url=model_server.openai_url)
    purse, journal = MemoryPurse(), MemoryJournal()
    embedding_chain(adapter, journal, CONTEXT, purse=purse).embed(["some words"])
    adapter.close()
    assert purse.amounts == [pytest.approx(journal.calls[0].cost_usd)]


@pytest.mark.parametrize(("words", "tokens"), [("", 0), ("abcdef", 2), ("数据", 2), ("é", 1), ("\ud800", 1)])
def test_tokens_are_estimated_by_bytes(words: str, tokens: int) -> None:
    assert tokens_at_most(words) == tokens


def test_a_batch_costs_half() -> None:
    usage = worst_usage(PROMPT, Theme)
    listed = worst_case_usd(cost_usd, "claude-haiku-5-5", "anthropic", usage)
    assert worst_case_usd(cost_usd, "claude-haiku-5-5", "anthropic", usage, batch=True) == pytest.approx(listed / 2)
    assert usage.output_tokens == 1_000
    assert isinstance(usage, Usage)
