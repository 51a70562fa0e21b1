"""A bad day: 500 documents, three answers in ten wrong, in every way there is. Nothing is lost or there twice."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.clients import EAGER, ENDPOINTS, PATIENT, Provider, embedding_model, text_model
from servers.model_server import Call, ModelServer
from sqlalchemy import text

from elmer_pipelines import checks
from elmer_pipelines.accounts import BudgetPurse
from elmer_pipelines.documents.ingest import ingest_documents
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.chains import embedding_chain, text_chain
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.recorded import CallContext
from elmer_pipelines.signals import embedding
from elmer_pipelines.signals.claude_extractor import ClaudeExtractor
from elmer_pipelines.signals.embedding import embed_records
from elmer_pipelines.signals.extraction import extract_signals
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import outcomes
from elmer_pipelines.store import signals as signal_store
from elmer_pipelines.store.database import Database

DOCUMENTS, SHARE = 500, 0.3
PASSING = (
    "rate_limit:0", "overloaded", "http_500", "malformed", "html", "empty_object", "all_none", "error_in_200",
    "error_event", "no_stop_reason", "off_schema", "drop", "cut", "rate_limit", "stream_end", "stream_error",
)  # fmt: skip
SLOW = ("hang", "stall")
_FINAL = (
    "auth", "billing", "permission", "no_model", "invalid", "too_large", "quota", "oversize", "truncated", "refusal",
)  # fmt: skip
FINAL: dict[Provider, tuple[str, ...]] = {
    "anthropic": (*_FINAL, "quota:contract_spend_limit_reached"),
    "openai": (*_FINAL, "quota:insufficient_quota", "content_filter"),
}
LITTLE_USD, ENOUGH_USD = 1.0, 40.0  # the first is spent long before the documents are read
VECTORS = ("short", "wrong_size", "same_index", "not_finite", "bad_base64", "reversed", *PASSING[:6], "cut", "drop")


class BadDay:
    """Chooses a fault for three calls in ten, the same ones whatever the order they come in.

    Requests for vectors are few and depend on what came before: there every third fails, each time in another way.
    """

    def __init__(self, provider: Provider) -> None:
        self._names = (*PASSING, *FINAL[provider])
        self.met: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._vectors = 0

    def __call__(self, call: Call) -> str:
        if call.endpoint == "embeddings":
            self._vectors += 1
            name = "ok" if self._vectors % 3 else VECTORS[self._vectors // 3 % len(VECTORS)]
            self.met[name] += 1
            return name
        said = str(call.body["messages"])
        self._asked[said] += 1
        chance = random.Random(zlib.crc32(f"a{self._asked[said]} {said}".encode()))
        if chance.random() >= SHARE:
            return "ok"
        name = chance.choice(SLOW) if chance.random() < 0.02 else chance.choice(self._names)
        self.met[name] += 1
        return name


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    for number in range(DOCUMENTS):
        (tmp_path / workspace / f"{number:03}.txt").write_text(
            f"The export of report {number} fails every week.\n\nUser {number} needs {number % 7 + 2} clicks for it.\n"
        )
    return tmp_path / workspace


@pytest.fixture
def embedder(model_server: ModelServer) -> Iterator[OpenAIEmbeddings]:
    model = embedding_model(model_server)
    yield model
    model.close()


def _signals(
    database: Database,
    server: ModelServer,
    provider: Provider,
    cap_usd: float | None = None,
    *,
    timeout: float = 1.0,
) -> StepResult:
    """A run of its own that may spend so much, and waits so many seconds for an answer."""
    context = CallContext("acme", "signals", f"run-{cap_usd}")
    purse = None if cap_usd is None else BudgetPurse(database, context, cap_usd)
    ledger = Ledger(database, context, purse)
    model = text_model(provider, server, timeout=timeout)
    chain = text_chain(model, ledger, context, retrying=EAGER, purse=purse)
    try:
        return extract_signals(database, "acme", ClaudeExtractor(chain), workers=8)
    finally:
        ledger.flush()
        model.close()


def _vectors(database: Database, model: OpenAIEmbeddings) -> StepResult:
    ledger = Ledger(database, CallContext("acme", "signal_embeddings"))
    with database.begin() as connection:
        hashes = signal_store.live_texts(connection, "acme")
    recorded = embedding_chain(model, ledger, ledger.context, retrying=EAGER)
    return embed_records(
        database, "acme", "signal_embeddings", hashes,
        lambda connection, ids: signal_store.verbatims(connection, "acme", ids), recorded,
    )  # fmt: skip


def _states(database: Database, step: str) -> dict[str, int]:
    with database.begin() as connection:
        return outcomes.counts(connection, "acme")[step]


def _assert_sound(database: Database) -> None:
    """Every signal is there once, in its place, from a document that is done; every failure says what to do."""
    with database.begin() as connection:
        twice = connection.execute(
            text('SELECT document_id, start, "end" FROM elmer.signals GROUP BY 1, 2, 3 HAVING count(*) > 1')
        ).all()
        done = connection.execute(
            text("SELECT count(*) FROM elmer.outcomes WHERE step = 'signals' AND state = 'done'")
        ).scalar_one()
        found = connection.execute(text("SELECT document_id, count(*) AS n FROM elmer.signals GROUP BY 1")).all()
        assert twice == []
        assert [row.n for row in found] == [2] * done
        assert checks.quotes_are_verbatim(connection, "acme").passed
        for row in outcomes.failures(connection, "acme"):
            assert row["error_kind"] not in ("internal", "unknown"), row
            assert row["next_step"], row


def _spent(database: Database) -> tuple[float, float, int]:
    """US dollars that calls came to, those that are reserved, and how many calls were sent."""
    with database.begin() as connection:
        row = connection.execute(
            text(
                "SELECT coalesce(sum(cost_usd), 0), (SELECT count(*) FROM elmer.spend_reservations), "
                "count(*) FILTER (WHERE outcome <> 'cached') FROM elmer.model_calls WHERE step = 'signals'"
            )
        ).one()
    return float(row[0]), int(row[1]), int(row[2])


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_after_a_bad_day_every_document_is_done_or_listed(
    database: Database, folder: Path, model_server: ModelServer, provider: Provider
) -> None:
    ingest_documents(database, "acme", str(folder))
    day = model_server.choose = BadDay(provider)
    stopped = _signals(database, model_server, provider, LITTLE_USD)
    spent, reserved, _ = _spent(database)
    assert stopped.counts["stopped_by"] == "budget"
    assert 0 < spent <= LITTLE_USD
    assert (reserved, stopped.done + stopped.failed + int(stopped.counts["left"])) == (0, DOCUMENTS)
    _assert_sound(database)

    first = _signals(database, model_server, provider, ENOUGH_USD)
    spent, reserved, calls = _spent(database)
    assert spent <= ENOUGH_USD
    assert (reserved, calls) == (0, model_server.count(ENDPOINTS[provider]))  # nothing was sent that is not booked
    states = _states(database, "signals")
    assert states["pending"] == 0
    assert states["done"] + states["failed"] == DOCUMENTS
    assert states["failed"] > 20
    assert {*PASSING, *FINAL[provider]} <= set(day.met)
    _assert_sound(database)

    model_server.choose = lambda call: "ok"
    with database.begin() as connection:
        outcomes.retry(connection, "acme")  # what `elmer failures --retry` does
    second = _signals(database, model_server, provider, timeout=PATIENT)
    assert (second.pending, second.done) == (states["failed"], states["failed"])
    assert model_server.count(ENDPOINTS[provider]) - calls <= states["failed"]
    assert _states(database, "signals") == {"pending": 0, "done": DOCUMENTS, "failed": 0}
    _assert_sound(database)
    print(stopped, first, day.met, second, spent, sep="\n")


def test_after_a_bad_day_every_vector_is_there_or_listed(
    database: Database,
    folder: Path,
    model_server: ModelServer,
    embedder: OpenAIEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 10)  # many requests for vectors, so that many fail
    for file in sorted(folder.glob("*.txt"))[200:]:
        file.unlink()
    ingest_documents(database, "acme", str(folder))
    signals = 2 * _signals(database, model_server, "anthropic", timeout=PATIENT).done
    day = model_server.choose = BadDay("openai")
    first = _vectors(database, embedder)
    assert first.done + first.failed == signals == 400
    assert set(VECTORS) <= set(day.met)
    _assert_sound(database)
    model_server.choose = lambda call: "ok"
    with database.begin() as connection:
        outcomes.retry(connection, "acme")
    assert _vectors(database, embedder).failed == 0
    assert _states(database, "signal_embeddings") == {"pending": 0, "done": signals, "failed": 0}
    _assert_sound(database)
