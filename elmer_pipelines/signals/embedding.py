"""The steps `signal_embeddings` and `project_embeddings`: texts in, vectors out, each text once per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, differences, labelled
from elmer_pipelines.errors import ModelFault, Waiting
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.provenance import keeping_as
from elmer_pipelines.models.redacted import redaction_of
from elmer_pipelines.store import embeddings as store
from elmer_pipelines.store import outcomes
from elmer_pipelines.work import Finished, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.models.redaction import Redaction
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

_READ_AT_ONCE = 10_000
WORKERS = 2  # requests at once: each holds thousands of texts
CHUNK = 2_048  # texts claimed at once: one full request to OpenAI
MOST_FAULTS = 20  # in a row: halving a full request down to one bad text meets 12, and its neighbours may be as bad
_HALVED = {"too_large", "http_400", "bad_payload"}


def wanted_embeddings(
    hashes: Mapping[str, str], model: str, sent: Mapping[str, str] | None = None
) -> dict[str, Determinants]:
    """What determines the vector of every record: `hashes` maps record ids to text hashes, `sent` those of texts that
    are not sent as they are to the hashes of what is sent."""
    by, otherwise = labelled(model), sent or {}
    return {
        record: Determinants.of(text=text, model=by, **({"sent": otherwise[record]} if record in otherwise else {}))
        for record, text in hashes.items()
    }


def sent_otherwise(
    connection: Connection,
    records: Sequence[str],
    texts_of: Callable[[Connection, Sequence[str]], Mapping[str, str]],
    redaction: Redaction,
) -> dict[str, str]:
    """By record, the hash of what is sent in place of a text that holds something to be kept back."""
    found: dict[str, str] = {}
    for start in range(0, len(records), _READ_AT_ONCE):
        for record, text in texts_of(connection, records[start : start + _READ_AT_ONCE]).items():
            sent = redaction.clean(text)
            if sent != text:
                found[record] = text_hash(sent)
    return found


def resent(connection: Connection, workspace_id: str, step: str, wanted: Mapping[str, Determinants]) -> list[str]:
    """The records whose text was sent in another form: redaction was switched on or off, or its terms changed."""
    fingerprints = {record: one.fingerprint for record, one in wanted.items()}
    before = outcomes.made_otherwise(connection, workspace_id, step, fingerprints)
    return [
        record
        for record, parts in before.items()
        if [one.part for one in differences(parts, wanted[record])] == ["sent"]
    ]


def embed_records(
    database: Database,
    workspace_id: str,
    step: str,
    hashes: Mapping[str, str],
    texts_of: Callable[[Connection, Sequence[str]], Mapping[str, str]],
    embedder: EmbeddingModel,
    *,
    workers: int = WORKERS,
    run_id: str | None = None,
) -> StepResult:
    """Give every record's text a vector of this model; records with the same text share one.

    `hashes` maps record ids to text hashes; `texts_of` reads the texts of some of the records.
    """
    redaction = redaction_of(embedder)
    with database.begin() as connection:
        sent = {} if redaction is None else sent_otherwise(connection, list(hashes), texts_of, redaction)
        wanted = wanted_embeddings(hashes, embedder.model, sent)
        changed = resent(connection, workspace_id, step, wanted)
        store.forget(connection, workspace_id, [hashes[record] for record in changed], embedder.model)

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
) -> dict[str, ModelFault | Waiting]:
    """Keep the vectors by text hash, request by request; the faults of the rest, or that they wait for a batch.

    A request that fails for what is in it is halved, down to one text. After MOST_FAULTS in a row it is the service
    that fails, not a text: the rest gets the same fault unasked.
    """
    faults: dict[str, ModelFault | Waiting] = {}
    waiting, in_a_row = [list(todo)] if todo else [], 0
    while waiting:
        keys, done = waiting.pop(), 0
        try:
            with keeping_as(keys):
                for span, vectors in _packs(embedder, [todo[key] for key in keys]):
                    keep(dict(zip(keys[span.start : span.stop], vectors, strict=True)))
                    done, in_a_row = span.stop, 0
        except Waiting as one:
            faults |= dict.fromkeys(keys[done:], one)
        except ModelFault as fault:
            rest = keys[done:]
            in_a_row += 1
            if in_a_row == MOST_FAULTS or fault.kind not in _HALVED:
                unasked = [*rest, *(key for part in waiting for key in part)]
                return {**dict.fromkeys(unasked, fault), **faults}
            if len(rest) == 1:
                faults[rest[0]] = fault
            else:
                waiting += [rest[len(rest) // 2 :], rest[: len(rest) // 2]]
    return faults


def _packs(embedder: EmbeddingModel, texts: list[str]) -> Iterator[tuple[range, NDArray[np.float32]]]:
    """The vectors request by request where the model has requests, else at once."""
    packs = getattr(embedder, "packs", None)
    if packs is None:
        yield range(len(texts)), embedder.embed(texts)
        return
    for pack in packs(texts):
        yield pack.span, pack.vectors
