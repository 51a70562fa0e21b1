"""What is sent and never comes back is booked at the most it may have cost, so that no spending is unseen (I7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import BaseModel
from servers.chat import THOUGHT
from servers.clients import EAGER, ENDPOINTS, Provider, embedding_model, patience, text_model
from servers.model_server import ModelServer
from sqlalchemy import text

from elmer_pipelines.accounts import BudgetPurse
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.budgeted import worst_case_usd, worst_usage
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.recorded import CallContext, MemoryJournal
from elmer_pipelines.models.retrying import Retrying
from elmer_pipelines.store import journal as store
from elmer_pipelines.store.database import Database

PROMPT = Prompt("name_it", 1, "Name the theme.", "<turn>Exports crash every Friday.</turn>", max_tokens=1_000)
CONTEXT = CallContext("acme", "cluster_themes", "run-1")
ONCE = Retrying(attempts=1)
LOST = ("hang", "stall", "drop", "cut", "malformed", "empty_object", "all_none")
NOT_WORKED = ("html", "error_in_200", "error_event", "auth", "overloaded", "http_500", "rate_limit", "invalid")


class Theme(BaseModel):
    name: str


@pytest.fixture(params=["anthropic", "openai"])
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def adapter(
    request: pytest.FixtureRequest, provider: Provider, model_server: ModelServer
) -> Iterator[AnthropicText | OpenAIText]:
    own = text_model(provider, model_server, timeout=patience(request, 0.3))
    yield own
    own.close()


@pytest.mark.parametrize("name", LOST)
def test_a_lost_answer_costs_the_most_it_may_have(
    adapter: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer, name: str
) -> None:
    journal = MemoryJournal()
    model_server.script(ENDPOINTS[provider], name)
    with pytest.raises(ModelFault) as caught:
        text_chain(adapter, journal, CONTEXT, retrying=ONCE).answer(PROMPT, Theme)
    patient = text_model(provider, model_server)
    text_chain(patient, journal, CONTEXT, retrying=ONCE).answer(PROMPT, Theme)
    patient.close()
    lost, came = journal.calls
    assert caught.value.lost
    assert (lost.outcome, lost.estimated, came.estimated) == (caught.value.kind, True, False)
    worst = worst_usage(PROMPT, Theme)
    assert lost.usage == worst
    assert lost.cost_usd == pytest.approx(worst_case_usd(cost_usd, adapter.model, provider, worst))
    assert came.cost_usd is not None
    assert came.cost_usd < (lost.cost_usd or 0)


@pytest.mark.parametrize("name", NOT_WORKED)
def test_what_the_service_did_not_work_costs_nothing(
    adapter: AnthropicText | OpenAIText, provider: Provider, model_server: ModelServer, name: str
) -> None:
    journal = MemoryJournal()
    model_server.script(ENDPOINTS[provider], name)
    with pytest.raises(ModelFault):
        text_chain(adapter, journal, CONTEXT, retrying=ONCE).answer(PROMPT, Theme)
    (refused,) = journal.calls
    assert (refused.cost_usd, refused.estimated, refused.usage.input_tokens) == (0.0, False, 0)


def test_nothing_is_lost_where_nobody_answers_the_door() -> None:
    journal = MemoryJournal()
    adapter = AnthropicText("claude-haiku-5-5", "key", "http://127.0.0.1:9")
    with pytest.raises(ModelFault, match="can't be reached"):
        text_chain(adapter, journal, CONTEXT, retrying=ONCE).answer(PROMPT, Theme)
    adapter.close()
    assert (journal.calls[0].outcome, journal.calls[0].cost_usd) == ("connection", 0.0)


@pytest.mark.parametrize("name", ["short", "wrong_size", "cut", "malformed"])
def test_vectors_of_no_use_are_booked_too(model_server: ModelServer, name: str) -> None:
    journal = MemoryJournal()
    adapter = embedding_model(model_server)
    model_server.script("embeddings", name)
    chain = embedding_chain(adapter, journal, CONTEXT, retrying=EAGER)
    assert chain.embed(["some words"]).shape == (1, 64)
    adapter.close()
    lost, came = journal.calls
    assert (lost.estimated, lost.usage, lost.cost_usd) == (True, came.usage, came.cost_usd)


def test_thinking_is_told_apart_and_costs_nothing_more(adapter: AnthropicText | OpenAIText) -> None:
    journal = MemoryJournal()
    text_chain(adapter, journal, CONTEXT).answer(PROMPT, Theme)
    (call,) = journal.calls
    assert call.usage.thinking_tokens == THOUGHT < call.usage.output_tokens
    assert call.cost_usd == cost_usd(call.model, call.provider, replace(call.usage, thinking_tokens=0))


def test_lost_answers_use_up_the_budget(database: Database, workspace: str, model_server: ModelServer) -> None:
    adapter = text_model("anthropic", model_server, timeout=0.3)
    model_server.choose = lambda call: "hang"
    worst = worst_case_usd(cost_usd, adapter.model, "anthropic", worst_usage(PROMPT, Theme))
    ledger = Ledger(database, CONTEXT, BudgetPurse(database, CONTEXT, worst * 3.5))
    twice = Retrying(attempts=2, sleep=lambda _: None)
    with pytest.raises(ModelFault) as caught:
        text_chain(adapter, ledger, CONTEXT, purse=ledger.purse, retrying=twice).answer(PROMPT, Theme)
    assert caught.value.kind == "timeout"
    with pytest.raises(ModelFault) as caught:
        text_chain(adapter, ledger, CONTEXT, purse=ledger.purse, retrying=EAGER).answer(PROMPT, Theme)
    adapter.close()
    assert caught.value.kind == "budget"
    assert model_server.count() == 3
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM elmer.spend_reservations")).scalar() == 0
        (row,) = store.totals(connection, workspace)
    assert row["failed"] == 3
    assert row["lost_usd"] == pytest.approx(row["cost_usd"]) == pytest.approx(worst * 3)
