"""The steps `signal_embeddings` and `project_embeddings`: texts in, vectors out, each text once per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.ids import fingerprint
from elmer_pipelines.store import embeddings as store
from elmer_pipelines.work import Finished, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

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

    def work_on(records: Sequence[str]) -> list[Finished]:
        with database.begin() as connection:
            missing = set(store.missing(connection, workspace_id, embedder.model, [hashes[r] for r in records]))
            texts = texts_of(connection, records)
        todo = {hashes[record]: texts[record] for record in records if hashes[record] in missing}

        def keep(vectors: dict[str, NDArray[np.float32]]) -> None:
            with database.begin() as connection:  # before it is used: what was paid for survives whatever comes next
                store.insert(connection, workspace_id, embedder.model, vectors)

        faults = _embed(embedder, todo, keep)
        return [Finished(record, error=faults.get(hashes[record])) for record in records]

    result = work_through(database, workspace_id, step, wanted, work_on, chunk=CHUNK, workers=workers, run_id=run_id)
    if result.done:
        with database.begin() as connection:
            store.ensure_index(connection, embedder.model, embedder.dimensions)
    result.counts.update({"texts": len(set(hashes.values())), "model": embedder.model})
    result.counts["dimensions"] = embedder.dimensions
    return result


def _embed(
    embedder: EmbeddingModel, todo: dict[str, str], keep: Callable[[dict[str, NDArray[np.float32]]], None]
) -> dict[str, ModelFault]:
    """Keep the vectors by text hash, request by request; the faults of the rest.

    A request that fails for what is in it is halved, down to one text.
    """
    if not todo:
        return {}
    keys, done = list(todo), 0
    try:
        for span, vectors in _packs(embedder, list(todo.values())):
            keep(dict(zip(keys[span.start : span.stop], vectors, strict=True)))
            done = span.stop
        return {}
    except ModelFault as fault:
        rest = keys[done:]
        if len(rest) == 1 or fault.kind not in {"too_large", "http_400", "bad_payload"}:
            return dict.fromkeys(rest, fault)
    middle = len(rest) // 2
    left = _embed(embedder, {key: todo[key] for key in rest[:middle]}, keep)
    return left | _embed(embedder, {key: todo[key] for key in rest[middle:]}, keep)


def _packs(embedder: EmbeddingModel, texts: list[str]) -> Iterator[tuple[range, NDArray[np.float32]]]:
    """The vectors request by request where the model has requests, else at once."""
    packs = getattr(embedder, "packs", None)
    if packs is None:
        yield range(len(texts)), embedder.embed(texts)
        return
    for pack in packs(texts):
        yield pack.span, pack.vectors
