"""The step `signals`: documents in, placed signals out. How quotes are found and placed is in the modules beside."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.provenance import drawn_from
from elmer_pipelines.signals.placing import keep_customers, place
from elmer_pipelines.signals.reconciling import reconcile
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import signals as store
from elmer_pipelines.work import Finished, as_record_error, work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.signals.model import Extractor, PlacedQuote, Quote, RejectedQuote
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

STEP = "signals"
PLACING_VERSION = 1  # raise when placing or merging would come out differently for the same quotes


def wanted_signals(connection: Connection, workspace_id: str, extractor: Extractor) -> dict[str, Determinants]:
    """What determines the signals of every live document."""
    how = {**extractor.determinants.parts, "placing": labelled(PLACING_VERSION)}
    contents = document_store.content_hashes(connection, workspace_id)
    return {document_id: Determinants.of(content=content, **how) for document_id, content in contents.items()}


def extract_signals(
    database: Database,
    workspace_id: str,
    extractor: Extractor,
    *,
    chunk: int = 1,
    workers: int = 4,
    run_id: str | None = None,
) -> StepResult:
    """Extract the signals of every live document whose content, or the way of extracting, is new or changed.

    A change of title or date alone is worked too, as signals point to a version; the same words cost no call (I2).
    """
    with database.begin() as connection:
        wanted = wanted_signals(connection, workspace_id, extractor)

    def work_on(document_ids: Sequence[str]) -> list[Finished]:
        with database.begin() as connection:
            rows = document_store.load(connection, workspace_id, document_ids)
        return _extract(workspace_id, extractor, rows)

    result = work_through(database, workspace_id, STEP, wanted, work_on, chunk=chunk, workers=workers, run_id=run_id)
    return _described(database, workspace_id, result)


def document_of(row: dict[str, Any]) -> Document:
    """The document as it was read, from a row of `store.documents.load`."""
    return Document(
        address=row["address"],
        kind=row["kind"],
        format=row["format"],
        title=row["title"],
        text=row["text"],
        segments=tuple(Segment.from_json(one) for one in row["segments"]),
        occurred_at=row["occurred_at"],
        people=tuple(row["people"]),
        metadata=row["metadata"],
    )


def _extract(workspace_id: str, extractor: Extractor, rows: list[dict[str, Any]]) -> list[Finished]:
    """Many documents at once where the extractor can, and each alone where that fails: one never stops the others."""
    documents = [document_of(row) for row in rows]
    many = getattr(extractor, "extract_many", None)
    if many is not None and len(documents) > 1:
        try:
            answers: list[list[Quote]] = many(documents)
        except Exception:  # noqa: BLE001 - below, each document meets its own error and that is recorded
            many = None
        else:
            return [
                _finished(workspace_id, extractor.name, row, document, quotes)
                for row, document, quotes in zip(rows, documents, answers, strict=True)
            ]
    return [_alone(workspace_id, extractor, row, document) for row, document in zip(rows, documents, strict=True)]


def _alone(workspace_id: str, extractor: Extractor, row: dict[str, Any], document: Document) -> Finished:
    try:
        with drawn_from([row["id"]]):
            quotes = extractor.extract(document)
        return _finished(workspace_id, extractor.name, row, document, quotes)
    except Exception as error:  # noqa: BLE001 - I8
        return Finished(row["id"], error=as_record_error(error))


def _finished(
    workspace_id: str, extractor: str, row: dict[str, Any], document: Document, quotes: list[Quote]
) -> Finished:
    try:
        placed, rejected = place(document.text, quotes)
        merged, ours = keep_customers(document, placed)
        rejected = [*rejected, *ours]
        signals = [_positioned(document, one) for one in merged]
        return Finished(row["id"], save=partial(_save, workspace_id, row, extractor, merged, signals, rejected))
    except Exception as error:  # noqa: BLE001 - I8
        return Finished(row["id"], error=as_record_error(error))


def _positioned(document: Document, placed: PlacedQuote) -> dict[str, Any]:
    """The columns that depend on where the quote stands: its speaker and its moment."""
    starts = [segment.start for segment in document.segments]
    number = bisect_right(starts, placed.start) - 1
    segment = document.segments[number] if number >= 0 else None
    return {
        "start": placed.start,
        "end": placed.end,
        "verbatim": placed.verbatim,
        "text_hash": text_hash(placed.verbatim),
        "match": placed.match,
        "interpretation": placed.quote.interpretation,
        "severity": placed.quote.severity,
        "frequency": placed.quote.frequency,
        "segment": placed.quote.segment,
        "speaker": segment.speaker if segment else None,
        "occurred_at": segment.at if segment else None,
    }


def _save(
    workspace_id: str,
    row: dict[str, Any],
    extractor: str,
    placed: list[PlacedQuote],
    signals: list[dict[str, Any]],
    rejected: list[RejectedQuote],
    connection: Connection,
) -> None:
    earlier = store.of_document(connection, workspace_id, row["id"])
    ids, gone = reconcile(row["id"], row["content_hash"], placed, earlier)
    rows = [store.SignalRow(id=one, **columns) for one, columns in zip(ids, signals, strict=True)]
    store.replace_of_document(connection, workspace_id, row["id"], row["content_hash"], extractor, rows, gone)
    store.replace_rejected(
        connection, workspace_id, row["id"], extractor, [(one.words, one.reason) for one in rejected]
    )


def _described(database: Database, workspace_id: str, result: StepResult) -> StepResult:
    with database.begin() as connection:
        found = store.counts(connection, workspace_id)
    result.counts["signals"] = sum(found["status"].values())
    result.counts["quotes_rejected"] = sum(found["rejected"].values())
    result.tables["Signals by severity"] = [{"severity": k, "signals": v} for k, v in found["severity"].items()]
    if found["rejected"]:
        result.tables["Quotes that could not be placed"] = [
            {"reason": k, "quotes": v} for k, v in found["rejected"].items()
        ]
    return result
