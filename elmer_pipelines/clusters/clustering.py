"""The step `signal_clusters`: vectors in, groups out, under ids that last.

How groups are found, matched and summed up is in the modules beside this one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters.grouping import UNCLUSTERED, Grouping, group
from elmer_pipelines.clusters.identity import match
from elmer_pipelines.clusters.summary import Member as Voice
from elmer_pipelines.clusters.summary import summarise
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import embeddings, signals
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.database import Database

_GROUPING_VERSION = 1  # raise when the same vectors would be grouped, matched or summed up otherwise


def wanted_clusters(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> dict[str, Determinants]:
    """What determines the grouping of the workspace's signals."""
    rows = signals.for_clustering(connection, workspace_id)
    return {WHOLE: _determined_by(connection, workspace_id, rows, embedder, _GROUPING_VERSION)}


def cluster_signals(
    database: Database, workspace_id: str, embedder: EmbeddingModel, *, run_id: str | None = None
) -> StepResult:
    """Group every live signal that has a vector; clusters that mostly kept their members keep their ids (I5)."""
    with database.begin() as connection:
        rows = signals.for_clustering(connection, workspace_id)
        determined_by = _determined_by(connection, workspace_id, rows, embedder, _GROUPING_VERSION)

    def do(connection: Connection) -> StepResult:
        return _cluster(connection, workspace_id, rows, embedder)

    result = work_whole(database, workspace_id, "signal_clusters", determined_by, do, run_id=run_id)
    with database.begin() as connection:
        live = store.live(connection, workspace_id)
        result.counts["clusters"] = len(live)
        result.counts["unclustered"] = store.unclustered(connection, workspace_id)
    result.counts["clustered"] = sum(one["size"] for one in live)
    return result


def _determined_by(
    connection: Connection, workspace_id: str, rows: list[dict[str, Any]], embedder: EmbeddingModel, version: int
) -> Determinants:
    """Changes with the signals, with the model, and when vectors that were missing have come."""
    missing = embeddings.missing(connection, workspace_id, embedder.model, [row["text_hash"] for row in rows])
    return Determinants.of(
        signals=sorted([row["id"], row["text_hash"]] for row in rows),
        weights=sorted(([row["id"], row["severity"], row["frequency"]] for row in rows), key=lambda row: row[0]),
        model=labelled(embedder.model),
        vectors=sorted(missing),
        rules=labelled(version),
    )


def _with_vectors(
    connection: Connection, workspace_id: str, rows: list[dict[str, Any]], embedder: EmbeddingModel
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    order, matrix = embeddings.load(connection, workspace_id, embedder.model, [row["text_hash"] for row in rows])
    number = {text_hash: position for position, text_hash in enumerate(order)}
    having = [row for row in rows if row["text_hash"] in number]
    if not having:
        return [], np.empty((0, embedder.dimensions), np.float32)
    return having, matrix[[number[row["text_hash"]] for row in having]]


def _cluster(
    connection: Connection, workspace_id: str, rows: list[dict[str, Any]], embedder: EmbeddingModel
) -> StepResult:
    having, vectors = _with_vectors(connection, workspace_id, rows, embedder)
    ids = [row["id"] for row in having]
    # Keys of the words, not of ids: the same documents are grouped alike in every workspace.
    keys = [f"{row['text_hash']}-{number:08}" for number, row in enumerate(having)]
    grouping = group(vectors, keys, unrelated=embedder.scale.unrelated)
    matching = match(
        store.membership(connection, workspace_id),
        dict(zip(ids, grouping.labels.tolist(), strict=True)),
        workspace_id=workspace_id,
        in_use=store.known_ids(connection, workspace_id),
    )
    store.save(connection, workspace_id, _cluster_rows(having, grouping, matching.ids, embedder))
    store.replace_members(connection, workspace_id, _members(ids, rows, grouping, matching.ids))
    happened = [one for one in matching.events if one.event != "continued" or one.detail]
    store.note_events(connection, workspace_id, [one.__dict__ for one in happened])
    result = StepResult("signal_clusters")
    result.counts.update(_tally([one.event for one in matching.events]))
    return result


def _tally(events: list[str]) -> dict[str, int | float | str]:
    return {event: events.count(event) for event in ("continued", "split", "merged", "appeared", "ended")}


def _members(
    ids: list[str], rows: list[dict[str, Any]], grouping: Grouping, names: dict[int, str]
) -> list[store.Member]:
    """Every live signal: in a cluster, or unclustered with its nearest one, or without a vector yet."""
    placed = [
        store.Member(
            signal_id=signal_id,
            cluster_id=names.get(label),
            nearest_id=names.get(nearest),
            similarity=None if np.isnan(similarity) else float(similarity),
        )
        for signal_id, label, nearest, similarity in zip(
            ids, grouping.labels.tolist(), grouping.nearest.tolist(), grouping.similarity, strict=True
        )
    ]
    without = {row["id"] for row in rows} - set(ids)
    return placed + [store.Member(one, None, None, None) for one in sorted(without)]


def _cluster_rows(
    rows: list[dict[str, Any]], grouping: Grouping, names: dict[int, str], embedder: EmbeddingModel
) -> list[store.ClusterRow]:
    voices: dict[int, list[Voice]] = defaultdict(list)
    for row, label, similarity in zip(rows, grouping.labels.tolist(), grouping.similarity.tolist(), strict=True):
        if label != UNCLUSTERED:
            voices[label].append(Voice(row["id"], similarity, row["severity"], row["frequency"]))
    scale = embedder.scale
    found = []
    for label in sorted(voices):
        summed = summarise(voices[label], link=scale.link, coherent=scale.coherent)
        found.append(
            store.ClusterRow(
                names[label], summed.size, summed.severity, summed.frequency, summed.confidence, summed.action
            )
        )
    return found
