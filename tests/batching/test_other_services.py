"""Batches of OpenAI's protocol: texts to a chat model, and large loads of texts to embed."""

from __future__ import annotations

import json

import pytest
from batched import Batched

from elmer_pipelines.batching import patience
from elmer_pipelines.workbench import Workbench


@pytest.fixture
def openai(batched: Batched, monkeypatch: pytest.MonkeyPatch) -> Batched:
    """The same installation with OpenAI's models only."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    return batched.again(
        monkeypatch,
        OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL=batched.server.openai_url,
        ELMER_MODEL_EXTRACT="openai:gpt-5-mini",
    )


def _vectors(batched: Batched) -> list[tuple[str, str]]:
    rows = batched.rows("SELECT text_hash, embedding::text FROM elmer.embeddings WHERE workspace_id = :w ORDER BY 1")
    return [tuple(row) for row in rows]


def test_a_chat_models_requests_go_up_as_a_file_and_come_back_in_any_order(openai: Batched) -> None:
    openai.write(6)
    assert openai.signals().waiting == 6
    assert openai.server.batches.bodies[0]["metadata"] == {"elmer_batch": openai.batches()[0]["id"]}
    openai.server.batches.end()
    result = openai.signals()
    assert (result.done, result.waiting) == (6, 0)
    assert openai.server.count() == 0
    (batch,) = openai.server.batches.all.values()
    assert openai.server.batches.deleted == {batch.file, f"{batch.id}-out"}
    rows = openai.rows("SELECT provider, outcome, count(*) FROM elmer.model_calls GROUP BY 1, 2 ORDER BY 2")
    assert rows == [("openai", "cached", 6), ("openai", "ok", 6)]


def test_a_file_that_is_gone_already_keeps_no_other(openai: Batched) -> None:
    openai.write(2)
    openai.signals()
    openai.server.batches.end()
    openai.server.batches.gone = {"batch_001-out"}
    assert openai.signals().done == 2
    assert openai.server.batches.deleted == {"file-1"}


def test_a_lost_answer_to_a_creation_is_known_by_the_batchs_mark_while_it_runs(openai: Batched) -> None:
    openai.write(2)
    openai.server.batches.script.append("lost")
    openai.signals()
    assert openai.batches()[0]["state"] == "submitting"
    result = openai.signals()
    assert "was found at the service" in str(result.counts["batches_not_in"])
    assert openai.batches()[0]["state"] == "submitted"
    assert len(openai.server.batches.all) == 1


def test_a_batch_refused_at_validation_fails_its_records_with_the_reason(openai: Batched) -> None:
    openai.write(2)
    openai.server.batches.script.append("refused:the file is no JSON")
    openai.signals()
    result = openai.signals()
    assert (result.failed, result.waiting) == (2, 0)
    assert "the file is no JSON" in Workbench("acme", pipeline=openai.pipeline).failures()["message"][0]
    assert openai.server.batches.deleted == {"file-1"}


def test_another_server_of_the_protocol_is_asked_at_once_unless_told_otherwise(
    openai: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = openai.again(monkeypatch, ELMER_BATCH="auto")
    own.write(2)
    with patience.patiently():
        assert own.signals().done == 2
    assert (own.server.count("completions"), own.server.batches.all) == (2, {})
    own.pipeline.close()


def test_vectors_of_a_large_load_come_with_a_batch_and_equal_those_asked_for_at_once(
    openai: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai.write(9)
    openai.signals()
    openai.server.batches.end()
    openai.signals()
    first = openai.pipeline.signal_embeddings("acme", run_id="run-2")
    assert (first.done, first.waiting) == (0, first.pending)
    assert first.pending >= 9
    assert {one["input"][0] for one in openai.server.batches.requests() if "input" in one} == {
        row.verbatim for row in openai.found()
    }
    openai.server.batches.end()
    second = openai.pipeline.signal_embeddings("acme", run_id="run-3")
    assert (second.done, second.waiting, openai.server.count()) == (first.pending, 0, 0)
    batched, cost = _vectors(openai), openai.spent()
    assert len(batched) == len({row.verbatim for row in openai.found()})
    assert openai.rows("SELECT count(*) FROM elmer.model_answers")[0][0] == 9  # vectors are their own cache

    openai.rows("DELETE FROM elmer.embeddings WHERE workspace_id = :w")
    openai.rows("DELETE FROM elmer.outcomes WHERE workspace_id = :w AND step = 'signal_embeddings'")
    alone = openai.again(monkeypatch, ELMER_BATCH="never")
    assert alone.pipeline.signal_embeddings("acme").done == first.pending
    assert [key for key, _ in _vectors(alone)] == [key for key, _ in batched]
    for (_, one), (_, other) in zip(_vectors(alone), batched, strict=True):
        assert json.loads(one) == pytest.approx(json.loads(other), abs=2e-3)
    of_vectors = "SELECT sum(cost_usd) FROM elmer.model_calls WHERE step = 'signal_embeddings' AND run_id = 'run-2'"
    half = float(openai.rows(of_vectors)[0][0])
    assert alone.spent() - cost == pytest.approx(2 * half)
    alone.pipeline.close()


def test_vectors_of_redacted_texts_are_kept_under_the_words_that_were_said(openai: Batched) -> None:
    (openai.folder / "workspace.toml").write_text("[privacy]\nredact = true\n")
    (openai.folder / "a.txt").write_text("Write to ada@example.com when the invoices are lost every month.")
    openai.pipeline.documents("acme")
    openai.signals()
    openai.server.batches.end()
    assert openai.signals().done == 1
    openai.pipeline.signal_embeddings("acme")
    assert "ada@example.com" not in json.dumps(openai.server.batches.requests())
    openai.server.batches.end()
    assert openai.pipeline.signal_embeddings("acme").done >= 1
    hashes = {row[0] for row in openai.rows("SELECT text_hash FROM elmer.signals WHERE workspace_id = :w")}
    assert {key for key, _ in _vectors(openai)} == hashes


def test_a_text_that_fails_in_its_batch_fails_alone(openai: Batched) -> None:
    openai.write(4)
    openai.signals()
    openai.server.batches.end()
    openai.signals()
    broken = openai.found()[0].verbatim
    openai.server.batches.fate = lambda _, params: (
        "errored:invalid_request_error" if params.get("input") == [broken] else "ok"
    )
    pending = openai.pipeline.signal_embeddings("acme").waiting
    openai.server.batches.end()
    result = openai.pipeline.signal_embeddings("acme")
    assert (result.done, result.failed) == (pending - 1, 1)


def test_a_dead_key_leaves_texts_pending_and_a_later_step_of_the_run_submits_nothing(openai: Batched) -> None:
    openai.write(4)
    openai.signals()
    openai.server.batches.end()
    openai.signals()
    openai.server.batches.script.append("auth")
    before = len(openai.server.batches.bodies)
    for _ in range(2):
        result = openai.pipeline.signal_embeddings("acme", run_id="run-9")
        assert (result.done, result.failed, result.waiting) == (0, 0, 0)
        assert (result.counts["stopped_by"], result.counts["left"]) == ("auth", result.pending)
    assert len(openai.server.batches.bodies) == before + 1
    assert openai.pipeline.signal_embeddings("acme", run_id="run-10").waiting == result.pending
