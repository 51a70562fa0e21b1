"""The steps `signal_embeddings` and `project_embeddings`: texts in, vectors out, each text once per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ids import fingerprint, text_hash
from elmer_pipelines.models.redacted import redaction_of
from elmer_pipelines.store import embeddings as store
from elmer_pipelines.store import outcomes
from elmer_pipelines.work import Finished, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

_READ_AT_ONCE = 10_000
CHUNK = 2_048  # texts claimed at once: one full request to OpenAI


def embed_records(
    database: Database,
    workspace_id: str,
    step: str,
    hashes: Mapping[str, str],
    texts_of: Callable[[Connection, Sequence[str]], Mapping[str, str]],
    embedder: EmbeddingModel,
    *,
    workers: int = 2,
    run_id: str | None = None,
) -> StepResult:
    """Give every record's text a vector of this model; records with the same text share one.

    `hashes` maps record ids to text hashes; `texts_of` reads the texts of some of the records.
    """
    wanted = {record: fingerprint(text=text, model=embedder.model) for record, text in hashes.items()}
    _mark_redacted(database, wanted, texts_of, embedder)
    _drop_sent_otherwise(database, workspace_id, step, wanted, hashes, embedder.model)

    def work_on(records: Sequence[str]) -> list[Finished]:
        with database.begin() as connection:
            missing = set(store.missing(connection, workspace_id, embedder.model, [hashes[r] for r in records]))
            texts = texts_of(connection, records)
        todo = {hashes[record]: texts[record] for record in records if hashes[record] in missing}
        vectors, faults = _embed(embedder, todo)
        with database.begin() as connection:  # kept before it is used: what was paid for survives whatever comes next
            store.insert(connection, workspace_id, embedder.model, vectors)
        return [Finished(record, error=faults.get(hashes[record])) for record in records]

    result = work_through(database, workspace_id, step, wanted, work_on, chunk=CHUNK, workers=workers, run_id=run_id)
    if result.done:
        with database.begin() as connection:
            store.ensure_index(connection, embedder.model, embedder.dimensions)
    result.counts.update({"texts": len(set(hashes.values())), "model": embedder.model})
    result.counts["dimensions"] = embedder.dimensions
    return result


def _mark_redacted(
    database: Database,
    wanted: dict[str, str],
    texts_of: Callable[[Connection, Sequence[str]], Mapping[str, str]],
    embedder: EmbeddingModel,
) -> None:
    """Behind the fingerprint of a text that is not sent as it is, `/` and the hash of what is sent."""
    redaction = redaction_of(embedder)
    records = list(wanted) if redaction is not None else []
    for start in range(0, len(records), _READ_AT_ONCE):
        with database.begin() as connection:
            texts = texts_of(connection, records[start : start + _READ_AT_ONCE])
        for record, text in texts.items():
            sent = redaction.clean(text) if redaction is not None else text
            if sent != text:
                wanted[record] += f"/{text_hash(sent)}"


def _drop_sent_otherwise(
    database: Database,
    workspace_id: str,
    step: str,
    wanted: Mapping[str, str],
    hashes: Mapping[str, str],
    model: str,
) -> None:
    """Forget vectors of texts that were sent in another form: redaction was switched on or off, or its terms changed.

    The same text under the same model has the same fingerprint up to the `/`.
    """
    with database.begin() as connection:
        before = outcomes.fingerprints(connection, workspace_id, step, list(wanted))
        otherwise = [
            hashes[record]
            for record, mark in before.items()
            if mark != wanted[record] and mark.partition("/")[0] == wanted[record].partition("/")[0]
        ]
        store.forget(connection, workspace_id, otherwise, model)


def _embed(
    embedder: EmbeddingModel, todo: dict[str, str]
) -> tuple[dict[str, NDArray[np.float32]], dict[str, ModelFault]]:
    """The vectors by text hash, and the faults; a request that fails for what is in it is halved, down to one text."""
    if not todo:
        return {}, {}
    try:
        matrix = embedder.embed(list(todo.values()))
        return dict(zip(todo, matrix, strict=True)), {}
    except ModelFault as fault:
        if len(todo) == 1 or fault.kind not in {"too_large", "http_400", "bad_payload"}:
            return {}, dict.fromkeys(todo, fault)
    keys = list(todo)
    middle = len(keys) // 2
    left = _embed(embedder, {key: todo[key] for key in keys[:middle]})
    right = _embed(embedder, {key: todo[key] for key in keys[middle:]})
    return {**left[0], **right[0]}, {**left[1], **right[1]}
