"""The step `duplicate_signals`: which live signals say the same, in groups that keep their ids.

Which pairs are duplicates is decided in `duplicates.py`; merging is a person's, through the workbench.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.ids import stable_id
from elmer_pipelines.signals.duplicates import Duplicate, duplicates_among
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import duplicates as store
from elmer_pipelines.store import embeddings, signals
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.database import Database

_VERSION = 3  # raise when the same vectors would be grouped otherwise
_SHOWN = 10


def wanted_duplicates(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> dict[str, Determinants]:
    """What determines which of the workspace's signals say the same."""
    rows = signals.oldest_first(connection, workspace_id)
    return {WHOLE: _determined_by(connection, workspace_id, rows, embedder)}


def group_duplicates(
    database: Database, workspace_id: str, embedder: EmbeddingModel, *, run_id: str | None = None
) -> StepResult:
    """Group the live signals that say the same, over all of them; nothing is merged or dropped.

    Merges stay as people made them. Counts groups, signals in them and merged ones; a table shows the largest groups.
    """
    with database.begin() as connection:
        rows = signals.oldest_first(connection, workspace_id)
        determined_by = _determined_by(connection, workspace_id, rows, embedder)

    def do(connection: Connection) -> StepResult:
        found = _found(connection, workspace_id, rows, embedder)
        named = with_lasting_ids(found, store.group_of(connection, workspace_id), workspace_id)
        store.replace_groups(connection, workspace_id, [one.__dict__ for one in named])
        return StepResult("duplicate_signals")

    result = work_whole(database, workspace_id, "duplicate_signals", determined_by, do, run_id=run_id)
    with database.begin() as connection:
        result.counts.update(store.count(connection, workspace_id))
        largest = store.groups(connection, workspace_id, _SHOWN)
    shown = ("group", "said", "merged", "sources", "similarity", "quote")
    result.tables["largest_groups"] = [{name: one[name] for name in shown} for one in largest]
    return result


def with_lasting_ids(found: Sequence[Duplicate], before: Mapping[str, str], workspace_id: str) -> list[Duplicate]:
    """The duplicates under the group ids they had: a group is the old one that most of its signals were in.

    An old id goes to the group with most of its signals; a group that has none left is named after its oldest signal.
    """
    shared = Counter((before[one.signal_id], one.group_id) for one in found if one.signal_id in before)
    name_of: dict[str, str] = {}
    for (old, leader), _ in sorted(shared.items(), key=lambda pair: (-pair[1], pair[0])):
        if leader not in name_of and old not in name_of.values():
            name_of[leader] = old
    taken = set(name_of.values())
    for leader in dict.fromkeys(one.group_id for one in found):
        if leader not in name_of:
            fresh = stable_id("G", workspace_id, leader)
            name_of[leader] = fresh if fresh not in taken else stable_id("G", workspace_id, leader, "again")
    return [replace(one, group_id=name_of[one.group_id]) for one in found]


def _determined_by(
    connection: Connection, workspace_id: str, rows: Sequence[Mapping[str, Any]], embedder: EmbeddingModel
) -> Determinants:
    """Changes with the signals, with the model, and when vectors that were missing have come."""
    missing = embeddings.missing(connection, workspace_id, embedder.model, [row["text_hash"] for row in rows])
    return Determinants.of(
        signals=sorted([row["id"], row["text_hash"]] for row in rows),
        model=labelled(embedder.model),
        threshold=embedder.scale.duplicate,
        vectors=sorted(missing),
        rules=labelled(_VERSION),
    )


def _found(
    connection: Connection, workspace_id: str, rows: Sequence[Mapping[str, Any]], embedder: EmbeddingModel
) -> list[Duplicate]:
    order, matrix = embeddings.load(connection, workspace_id, embedder.model, [row["text_hash"] for row in rows])
    place = {text_hash: number for number, text_hash in enumerate(order)}
    having = [row for row in rows if row["text_hash"] in place]
    if not having:
        return []
    ids = [row["id"] for row in having]
    words = signals.verbatims(connection, workspace_id, ids)
    vectors = matrix[np.array([place[row["text_hash"]] for row in having])]
    return duplicates_among(ids, [words[one] for one in ids], vectors, threshold=embedder.scale.duplicate)
