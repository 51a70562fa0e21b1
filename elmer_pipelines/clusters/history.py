"""What became of clusters, in words: the history of one, and what a clustering would change before it is made.

Only reads. The events themselves come from `identity.py`; a dry run is `reclustering.work_out` without the writing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters import reclustering
from elmer_pipelines.clusters.clustering import standing
from elmer_pipelines.clusters.tiers import LEVELS
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import signals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from elmer_pipelines.clusters.identity import ClusterEvent
    from elmer_pipelines.clusters.reclustering import Reclustering
    from elmer_pipelines.models.protocols import EmbeddingModel

UNNAMED = "not named yet"


@dataclass(frozen=True)
class Entry:
    """One thing that happened to a cluster: when, what, in words, and the counts behind them."""

    at: datetime
    event: str
    said: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What a clustering would do to one cluster; `quote` is the most central signal of a new one."""

    level: str
    cluster_id: str
    theme: str | None
    event: str
    said: str
    detail: dict[str, Any]
    quote: str | None = None


@dataclass(frozen=True)
class Preview:
    """What a full clustering would change if it were made now; nothing was written.

    `next_run` is what the next run would do by itself, `whole` whether that is this. `moved` of the `kept` signals,
    those that had a place before, would be in another theme, `unclustered` of all `signals` in none.
    """

    next_run: str
    signals: int
    kept: int
    moved: int
    unclustered: int
    clusters_before: int
    clusters: int
    changes: tuple[Change, ...]
    whole: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def own_id(record_id: str) -> str:
    """An id as it is written, whatever case and brackets a person gave it."""
    named = record_id.strip().strip("[]")
    return named[:1].upper() + named[1:].lower()


def cluster_of(connection: Connection, workspace_id: str, cluster_id: str) -> dict[str, Any]:
    """The cluster of any level, ended ones too. Raises NotFoundError."""
    wanted = own_id(cluster_id)
    found = store.find(connection, workspace_id, [wanted]).get(wanted)
    if found is None:
        raise NotFoundError(
            f"Workspace {workspace_id!r} has no cluster {cluster_id!r}. `elmer clusters` lists those there are, "
            "each with its id (C-…)."
        )
    return found


def history(connection: Connection, workspace_id: str, cluster_id: str) -> list[Entry]:
    """What happened to a cluster, the oldest first, the others by their names. Raises NotFoundError."""
    found = cluster_of(connection, workspace_id, cluster_id)
    wanted, level = found["id"], found["level"]
    rows = store.history(connection, workspace_id, wanted)
    names = names_of(connection, workspace_id, (one for row in rows for one in others(row["detail"])))
    return [
        Entry(row["at"], row["event"], sentence(row["event"], row["detail"], wanted, names, level), row["detail"])
        for row in rows
    ]


def names_of(connection: Connection, workspace_id: str, cluster_ids: Iterable[str]) -> dict[str, str]:
    """The clusters' themes by id, `not named yet` where there is none."""
    found = store.find(connection, workspace_id, sorted(set(cluster_ids)))
    return {one: row["theme"] or UNNAMED for one, row in found.items()}


def preview(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> Preview:
    """What a full clustering would change now; nothing is written."""
    now = standing(connection, workspace_id, embedder)
    found = reclustering.work_out(connection, workspace_id, embedder)
    events = [(level, one) for level in LEVELS for one in found.events[level] if reclustering.worth_noting(one)]
    ids = {one.cluster_id for _, one in events} | {other for _, one in events for other in others(one.detail)}
    names = names_of(connection, workspace_id, ids)
    quotes = _quotes(connection, workspace_id, found, {one.cluster_id for _, one in events} - names.keys())
    return Preview(
        now.decision.said,
        found.signals,
        found.kept,
        found.moved,
        found.unclustered,
        len(store.live(connection, workspace_id)),
        found.clusters,
        tuple(_change(level, one, names, quotes) for level, one in events),
        now.decision.reason is not None,
    )


def _change(level: str, one: ClusterEvent, names: Mapping[str, str], quotes: Mapping[str, str]) -> Change:
    said = sentence(one.event, one.detail, one.cluster_id, names, level)
    return Change(
        level, one.cluster_id, names.get(one.cluster_id), one.event, said, one.detail, quotes.get(one.cluster_id)
    )


def _quotes(connection: Connection, workspace_id: str, found: Reclustering, new: set[str]) -> dict[str, str]:
    """The most central signal of each new theme or need, in its words."""
    central: dict[str, tuple[float, str]] = {}
    for one in found.members:
        for own in (one.cluster_id, one.need_id):
            if own in new:
                central[own] = max(central.get(own, (-2.0, "")), (one.similarity or 0.0, one.signal_id))
    words = signals.verbatims(connection, workspace_id, [signal for _, signal in central.values()])
    return {own: words[signal] for own, (_, signal) in central.items() if signal in words}


def others(detail: Mapping[str, Any]) -> list[str]:
    """The other clusters that an event speaks of."""
    return [*detail.get("into", {}), *detail.get("from", {})]


def sentence(event: str, detail: Mapping[str, Any], own: str, names: Mapping[str, str], level: str = "theme") -> str:
    """An event for people. Events of earlier versions, which named the others without counts, are told as well.

    Signals that leave a need or an area for no other one are not unclustered by that: their theme may keep them.
    """
    into, source = _counted(detail.get("into", {})), _counted(detail.get("from", {}))
    if event in ("appeared", "returned"):
        came = {"appeared": "appeared", "returned": "came back"}[event]
        parts = [f"{came} with {_signals(detail.get('size'))}", _listed("from", source, own, names)]
        parts += ["by a pin"] if detail.get("pinned") else []
    elif event == "continued":
        parts = [f"went on with {_signals(detail.get('size'))}"]
        joined = detail.get("joined", 0)
        parts += [f"{joined:,} joined"] if joined else []
        parts += [f"{detail['placed']:,} had been placed since the last clustering"] if detail.get("placed") else []
        parts += [f"{detail[one]:,} {one}" for one in ("left", "retired") if detail.get(one)]
    elif event == "split":
        parts = [f"split: {into[own]:,} stayed" if own in into else "split", _listed("to", into, own, names)]
    elif event == "merged":
        parts = [_listed("took in", source, own, names) or "merged"]
    else:
        parts = ["ended" if event == "ended" else event, _listed("to", into, own, names)]
        nowhere = "unclustered" if level == "theme" else f"to no other {level}"
        told = (("unclustered", nowhere), ("retired", "retired"))
        parts += [f"{detail[one]:,} {words}" for one, words in told if detail.get(one)]
    return ", ".join(part for part in parts if part)


def _counted(others: Mapping[str, int] | Sequence[str]) -> dict[str, int | None]:
    return dict(others) if isinstance(others, dict) else dict.fromkeys(others)


def _listed(word: str, others: Mapping[str, int | None], own: str, names: Mapping[str, str]) -> str:
    told = [
        (f"{number:,} {word}" if number is not None and word != "took in" else word)
        + f" {names.get(other, 'a new cluster')} ({other}"
        + (f", {_signals(number)})" if number is not None and word == "took in" else ")")
        for other, number in others.items()
        if other != own
    ]
    return ", ".join(told)


def _signals(number: int | None) -> str:
    return "its signals" if number is None else f"{number:,} signal{'' if number == 1 else 's'}"
