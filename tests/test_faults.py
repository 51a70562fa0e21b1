"""Every way a model's service can fail, met by the real SDKs: each ends as the record's outcome with its next step.

The list: status codes, spend limits, broken bodies, broken transport, refusals, answers cut off or off the schema, and
input the model does not take. Extraction is streamed, as its answers may be long; both ways are in
`models/test_streams.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from servers.clients import EAGER, ENDPOINTS, KEY, SILENT, Provider, embedding_model, text_model
from servers.model_server import Call, ModelServer
from sqlalchemy import Connection, text

from elmer_pipelines.documents.ingest import ingest_documents
from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.ids import text_hash
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models import choosing
from elmer_pipelines.models.chains import text_chain
from elmer_pipelines.models.protocols import Prompt, RawAnswer
from elmer_pipelines.models.recorded import CallContext
from elmer_pipelines.settings import load_settings
from elmer_pipelines.signals import embedding
from elmer_pipelines.signals.claude_extractor import ClaudeExtractor
from elmer_pipelines.signals.embedding import embed_records
from elmer_pipelines.signals.extraction import extract_signals
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import outcomes
from elmer_pipelines.store.database import Database

Outcome = tuple[str, bool]
BOTH: dict[str, Outcome] = {
    "auth": ("auth", False),  # a wrong or missing key
    "billing": ("quota", False),
    "permission": ("permission", False),
    "no_model": ("not_found", False),  # a wrong name, a retired model
    "invalid": ("http_400", False),
    "slow_request": ("http_408", True),
    "conflict": ("http_409", True),
    "unprocessable": ("http_422", False),
    "unavailable": ("http_503", True),
    "gateway_timeout": ("http_504", True),
    "too_large": ("too_large", False),
    "oversize": ("too_large", False),
    "quota": ("quota", False),  # a 429 that no waiting helps
    "rate_limit": ("rate_limit", True),
    "overloaded": ("overloaded", True),
    "http_500": ("http_500", True),
    "malformed": ("bad_payload", True),
    "html": ("bad_payload", True),
    "empty_object": ("bad_payload", True),
    "all_none": ("bad_payload", True),
    "error_in_200": ("overloaded", True),
    "error_event": ("overloaded", True),
    "stream_end": ("connection", True),
    "stream_error": ("overloaded", True),
    "truncated": ("truncated", False),
    "no_stop_reason": ("truncated", True),
    "refusal": ("refusal", False),
    "off_schema": ("schema", True),
    "drop": ("connection", True),
    "cut": ("connection", True),
    "hang": ("timeout", True),
    "stall": ("timeout", True),
}
LISTS: dict[Provider, dict[str, Outcome]] = {
    "anthropic": BOTH
    | {
        "quota:contract_spend_limit_reached": ("quota", False),
        "quota:enforced_spend_limit_reached": ("quota", False),
        "quota:ramp_limit_exceeded": ("rate_limit", True),  # a 429 that passes
        "context_full": ("truncated", False),
        "paused": ("schema", True),
    },
    "openai": BOTH
    | {
        "quota:insufficient_quota": ("quota", False),
        "quota:rate_limit_exceeded": ("rate_limit", True),
        "content_filter": ("refusal", False),
        "no_choices": ("bad_payload", True),
    },
}


def marked(call: Call) -> str:
    """The fault that the material of a call asks for, in double brackets."""
    found = re.search(r"\[\[([a-z0-9_:]+)\]\]", str(call.body.get("messages") or call.body.get("input")))
    return found[1] if found else "ok"


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    return tmp_path / workspace


class ByMaterial:
    """The provider's model, which gives up soon only where the material asks for silence."""

    def __init__(self, provider: Provider, server: ModelServer) -> None:
        self._patient, self._hasty = text_model(provider, server), text_model(provider, server, timeout=0.5)
        self.provider, self.model, self.parse = self._patient.provider, self._patient.model, self._patient.parse

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        silent = any(f"[[{name}]]" in prompt.material for name in SILENT)
        return (self._hasty if silent else self._patient).raw(prompt, schema)

    def close(self) -> None:
        self._patient.close()
        self._hasty.close()


def _extract(database: Database, server: ModelServer, provider: Provider) -> StepResult:
    model = ByMaterial(provider, server)
    ledger = Ledger(database, CallContext("acme", "signals"))
    try:
        return extract_signals(
            database, "acme", ClaudeExtractor(text_chain(model, ledger, ledger.context, retrying=EAGER)), workers=8
        )
    finally:
        model.close()


def _failures(database: Database) -> dict[str, dict[str, Any]]:
    """Failed records by the fault in their document's text."""
    with database.begin() as connection:
        rows = outcomes.failures(connection, "acme", "signals")
        names = {row.id: row.address for row in connection.execute(text("SELECT id, address FROM elmer.documents"))}
    return {names[row["record_id"]].removesuffix(".txt").replace("+", ":"): row for row in rows}


@pytest.mark.parametrize("provider", LISTS)
def test_every_fault_becomes_its_records_outcome(
    database: Database, folder: Path, model_server: ModelServer, provider: Provider
) -> None:
    expected = LISTS[provider]
    for name in (*expected, "ok"):
        (folder / f"{name.replace(':', '+')}.txt").write_text(f"The export of [[{name}]] fails every day for us.\n")
    ingest_documents(database, "acme", str(folder))
    model_server.choose = marked
    result = _extract(database, model_server, provider)
    failed = _failures(database)
    assert {name: (row["error_kind"], row["retryable"]) for name, row in failed.items()} == expected
    assert (result.done, result.failed) == (1, len(expected))
    for name, row in failed.items():
        assert row["next_step"], name
        assert KEY not in row["message"] + row["next_step"], name
    tries = {marked(call): 0 for call in model_server.calls}
    for call in model_server.calls:
        tries[marked(call)] += 1
    assert {name for name, count in tries.items() if count == 1} == {
        "ok", *(name for name, (_, retryable) in expected.items() if not retryable)
    }  # fmt: skip
    assert max(tries.values()) <= 8

    model_server.choose = lambda call: (
        "ok"
    )  # a better day: what may be retried is, and what a person may have mended; the rest waits
    result = _extract(database, model_server, provider)
    final = {name for name, (kind, retryable) in expected.items() if not retryable and kind not in outcomes.MENDABLE}
    assert (result.done, result.failed) == (len(expected) - len(final), 0)
    assert set(_failures(database)) == final


@pytest.mark.parametrize("provider", LISTS)
def test_a_document_the_model_finds_too_long_is_asked_in_parts(
    database: Database, folder: Path, model_server: ModelServer, provider: Provider
) -> None:
    lines = [f"Ana: The export of report {number} fails every time." for number in range(160)]
    (folder / "call.txt").write_text("\n\n".join(lines))
    ingest_documents(database, "acme", str(folder))
    model_server.choose = lambda call: "oversize" if len(str(call.body["messages"][-1])) > 5_000 else "ok"
    assert _extract(database, model_server, provider).done == 1
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM elmer.signals")).scalar_one() == 160
    assert model_server.count(ENDPOINTS[provider]) == 7  # the whole, two halves, four quarters


def test_a_missing_key_is_said_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMER_MODEL_CLASSIFY", "openai:gpt-5-mini")
    settings = load_settings(tmp_path)
    assert choosing.text_model(settings, "extract") is None  # the local models, which doctor says
    with pytest.raises(SettingsError, match=r"ELMER_MODEL_CLASSIFY .* OPENAI_API_KEY is not set"):
        choosing.text_model(settings, "classify")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    model = choosing.text_model(load_settings(tmp_path), "classify")
    assert repr(model) == "OpenAIText('gpt-5-mini')"


EMBEDDINGS: dict[str, Outcome] = {
    "short": ("bad_payload", True),
    "wrong_size": ("bad_payload", True),
    "not_finite": ("bad_payload", True),
    "zero": ("bad_payload", True),
    "empty_object": ("bad_payload", True),
    "bad_base64": ("bad_payload", True),
    "malformed": ("bad_payload", True),
    "html": ("bad_payload", True),
    "oversize": ("too_large", False),
    "invalid": ("http_400", False),
}


def _embed(database: Database, server: ModelServer, texts: Mapping[str, str]) -> StepResult:
    model = embedding_model(server)
    hashes = {name: text_hash(words) for name, words in texts.items()}

    def read(_: Connection, names: Any) -> dict[str, str]:
        return {name: texts[name] for name in names}

    try:
        return embed_records(database, "acme", "signal_embeddings", hashes, read, model, workers=1)
    finally:
        model.close()


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_a_text_whose_vector_is_broken_fails_alone(
    database: Database, workspace: str, model_server: ModelServer, name: str
) -> None:
    texts = {f"S-{number}": f"The export of report {number} fails." for number in range(9)}
    texts["S-bad"] = f"The export of [[{name}]] fails."
    model_server.choose = marked
    result = _embed(database, model_server, texts)
    with database.begin() as connection:
        (row,) = outcomes.failures(connection, workspace)
    assert (result.done, row["record_id"]) == (9, "S-bad")
    assert (row["error_kind"], row["retryable"]) == EMBEDDINGS[name]
    assert row["next_step"]


def test_vectors_out_of_order_find_their_texts(database: Database, workspace: str, model_server: ModelServer) -> None:
    texts = {"S-1": "The export crashes.", "S-2": "Billing is confusing.", "S-3": "Photos are lost."}
    model_server.choose = lambda call: "reversed"
    assert _embed(database, model_server, texts).done == 3
    model_server.choose = lambda call: "ok"
    model = embedding_model(model_server)
    with database.begin() as connection:
        stored = connection.execute(text("SELECT text_hash, embedding::text AS numbers FROM elmer.embeddings"))
        vectors = {row.text_hash: np.array(row.numbers.strip("[]").split(","), dtype=float) for row in stored}
    for words in texts.values():
        vector = vectors[text_hash(words)]
        assert vector @ model.embed([words])[0] == pytest.approx(1, abs=1e-3)
    model.close()


@pytest.mark.parametrize(
    ("name", "kind", "requests"),
    [("html", "bad_payload", embedding.MOST_FAULTS * 4), ("overloaded", "overloaded", 4), ("auth", "auth", 1)],
)
def test_a_service_that_is_down_is_not_asked_text_by_text(
    database: Database, workspace: str, model_server: ModelServer, name: str, kind: str, requests: int
) -> None:
    model_server.choose = lambda call: name
    result = _embed(database, model_server, {f"S-{n}": f"The export of report {n} fails." for n in range(100)})
    assert (result.done, result.failed) == (0, 100)
    assert model_server.count() == requests
    with database.begin() as connection:
        assert {row["error_kind"] for row in outcomes.failures(connection, workspace)} == {kind}


def test_a_text_too_long_to_embed_is_cut_not_refused(
    database: Database, workspace: str, model_server: ModelServer
) -> None:
    assert _embed(database, model_server, {"S-1": "long words " * 9_000, "S-2": "short words"}).done == 2


@pytest.mark.parametrize("provider", LISTS)
def test_a_model_looked_up_at_a_service_with_trouble(provider: Provider, model_server: ModelServer) -> None:
    model = text_model(provider, model_server)
    for name, kind in (("auth", "auth"), ("html", "bad_payload"), ("malformed", "bad_payload"), ("drop", "connection")):
        model_server.script("models", name)
        with pytest.raises(ModelFault) as caught:
            model.lifecycle()
        assert (caught.value.kind, KEY in str(caught.value)) == (kind, False)
    model.close()
