"""A bad day: 500 documents, three answers in ten wrong, in every way there is. Nothing is lost or there twice."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.clients import EAGER, embedding_model, text_model
from servers.model_server import Call, ModelServer
from sqlalchemy import text

from elmer_pipelines import checks
from elmer_pipelines.documents.ingest import ingest_documents
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.anthropic_text import AnthropicText
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
    "error_event", "no_stop_reason", "off_schema", "drop", "cut", "rate_limit",
)  # fmt: skip
SLOW = ("hang", "stall")
FINAL = (
    "auth", "billing", "permission", "no_model", "invalid", "too_large", "quota", "oversize", "truncated", "refusal",
    "quota:contract_spend_limit_reached",
)  # fmt: skip
VECTORS = ("short", "wrong_size", "same_index", "not_finite", "bad_base64", "reversed", *PASSING[:6], "cut", "drop")


class BadDay:
    """Chooses a fault for three calls in ten, the same ones whatever the order they come in.

    Requests for vectors are few and depend on what came before: there every third fails, each time in another way.
    """

    def __init__(self) -> None:
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
        chance = random.Random(zlib.crc32(f"{self._asked[said]} {said}".encode()))
        if chance.random() >= SHARE:
            return "ok"
        name = chance.choice(SLOW) if chance.random() < 0.02 else chance.choice((*PASSING, *FINAL))
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
def extractor(model_server: ModelServer) -> Iterator[AnthropicText]:
    model = text_model("anthropic", model_server, timeout=1.0)
    assert isinstance(model, AnthropicText)
    yield model
    model.close()


@pytest.fixture
def embedder(model_server: ModelServer) -> Iterator[OpenAIEmbeddings]:
    model = embedding_model(model_server, timeout=5.0)
    yield model
    model.close()


def _signals(database: Database, model: AnthropicText) -> StepResult:
    ledger = Ledger(database, CallContext("acme", "signals"))
    return extract_signals(
        database, "acme", ClaudeExtractor(text_chain(model, ledger, ledger.context, retrying=EAGER)), workers=8
    )


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


def test_after_a_bad_day_every_document_is_done_or_listed(
    database: Database,
    folder: Path,
    model_server: ModelServer,
    extractor: AnthropicText,
    embedder: OpenAIEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 20)  # many requests for vectors, so that many fail
    ingest_documents(database, "acme", str(folder))
    day = model_server.choose = BadDay()
    first = _signals(database, extractor)
    assert first.done + first.failed == DOCUMENTS
    assert _states(database, "signals") == {"pending": 0, "done": first.done, "failed": first.failed}
    assert first.failed > 20
    assert set(PASSING) | set(FINAL) <= set(day.met)
    _assert_sound(database)
    vectors = _vectors(database, embedder)
    assert vectors.done + vectors.failed == 2 * first.done
    assert set(VECTORS) <= set(day.met)
    _assert_sound(database)

    model_server.choose = lambda call: "ok"
    asked = model_server.count("messages")
    with database.begin() as connection:
        outcomes.retry(connection, "acme")  # what `elmer failures --retry` does
    second = _signals(database, extractor)
    assert second.pending == first.failed
    with database.begin() as connection:
        left = {row["error_kind"] for row in outcomes.failures(connection, "acme", "signals")}
    assert left <= {"refusal", "truncated"}  # these answers came and were paid for: asking the same again is refused
    assert first.done + second.done + second.failed == DOCUMENTS
    assert model_server.count("messages") - asked <= first.failed
    third = _vectors(database, embedder)
    assert third.failed == 0
    assert _states(database, "signal_embeddings") == {"pending": 0, "done": 2 * (first.done + second.done), "failed": 0}
    _assert_sound(database)
    print(first, day.met, second, sep="\n")
