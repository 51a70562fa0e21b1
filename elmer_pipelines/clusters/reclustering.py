"""A full clustering: group everything, match it to what was there, honour the pins; worked out first, then written.

Working it out only reads, so that a dry run is the same work without the writing. When one is made is `drift.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters.grouping import UNCLUSTERED, Grouping, centroids, group, place
from elmer_pipelines.clusters.identity import ClusterEvent, Matching, match
from elmer_pipelines.clusters.pins import Pin, honour
from elmer_pipelines.clusters.placing import Bounds, calibrate
from elmer_pipelines.clusters.tiers import LEVELS, Levels, cluster_rows
from elmer_pipelines.store import cluster_members as member_store
from elmer_pipelines.store import clusterings, embeddings, signals
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import pins as pin_store
from elmer_pipelines.store.cluster_members import Member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.cluster_members import Place
    from elmer_pipelines.store.clusters import ClusterRow, Level

    Labels = NDArray[np.int32]

REMEMBERED_DAYS = 90  # for so long an ended cluster comes back under its id when its members come together again


@dataclass(frozen=True)
class Before:
    """Where signals were before, by level: signal id to cluster id; `everybody` had a place, if only in no cluster.

    `placed_since` counts the members that neighbours took into each theme after the last clustering, `newcomers` are
    they: a clustering starts without them, so that they may turn out to be about something new. A signal that is
    new, but says word for word what one said that is gone, stands in its place: the signals of a renamed document keep
    their clusters.
    """

    theme: dict[str, str]
    need: dict[str, str]
    area: dict[str, str]
    placed_since: dict[str, int]
    newcomers: frozenset[str]
    everybody: frozenset[str]

    def at(self, level: Level) -> dict[str, str]:
        """The clusters of a level."""
        return {"theme": self.theme, "need": self.need, "area": self.area}[level]


@dataclass(frozen=True)
class Reclustering:
    """A full clustering as it would be written: `moved` of the `kept` signals, there before, have another theme now."""

    members: list[Member]
    rows: list[ClusterRow]
    events: dict[Level, tuple[ClusterEvent, ...]]
    ended: dict[str, list[str]]
    figures: dict[str, Any]
    signals: int
    unclustered: int
    kept: int
    moved: int

    @property
    def clusters(self) -> int:
        """How many themes there are."""
        return sum(row.level == "theme" for row in self.rows)


def work_out(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> Reclustering:
    """Cluster every live signal that has a vector; only reads."""
    rows = signals.for_clustering(connection, workspace_id)
    having, vectors = with_vectors(connection, workspace_id, rows, embedder)
    before = _before(member_store.places(connection, workspace_id), having)
    ids = [row["id"] for row in having]
    # Keys of the words, not of ids: the same documents are grouped alike in every workspace.
    keys = [f"{row['text_hash']}-{number:08}" for number, row in enumerate(having)]
    start = {level: [None if one in before.newcomers else before.at(level).get(one) for one in ids] for level in LEVELS}
    grouping = regroup(vectors, keys, embedder.scale.unrelated, start)
    levels = Levels.of(grouping)
    centres = centroids(vectors, levels.themes)
    bounds = calibrate(vectors, levels.themes, centres, embedder.scale.unrelated)
    matcher = _Matcher(connection, workspace_id, before, ids)
    first = matcher.match("theme", levels.themes)
    pins = pins_of(connection, workspace_id)
    targets, keep = _pinned(pins, ids, vectors, levels.themes, first.ids, bounds)
    levels = levels.moved(targets, vectors)
    matchings = {"theme": matcher.match("theme", levels.themes, {**first.ids, **keep})}
    matchings |= {level: matcher.match(level, levels.labels(level)) for level in LEVELS if level != "theme"}
    found = _assembled(rows, having, vectors, levels, matchings, before, set(targets), pins, embedder, bounds)
    return replace(found, figures={**found.figures, "neighbour_recall": grouping.recall})


def regroup(
    vectors: NDArray[np.float32], keys: list[str], unrelated: float, previous: Mapping[Level, Sequence[str | None]]
) -> Grouping:
    """Group the rows, starting on each level from the clusters they were in (None: in none): what need not move stays.

    Without themes to start from, from scratch.
    """
    start = {level: _numbered(names) for level, names in previous.items()}
    if "theme" not in start or not np.any(start["theme"] >= 0):
        return group(vectors, keys, unrelated=unrelated)
    return group(
        vectors,
        keys,
        unrelated=unrelated,
        previous=start["theme"],
        previous_needs=start.get("need"),
        previous_areas=start.get("area"),
    )


def _numbered(names: Sequence[str | None]) -> Labels:
    number = {name: place for place, name in enumerate(sorted({one for one in names if one is not None}))}
    return np.array([UNCLUSTERED if one is None else number[one] for one in names], dtype=np.int32)


def with_vectors(
    connection: Connection, workspace_id: str, rows: list[dict[str, Any]], embedder: EmbeddingModel
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """The rows that have a vector of the model, by their `text_hash`, and these vectors."""
    order, matrix = embeddings.load(connection, workspace_id, embedder.model, [row["text_hash"] for row in rows])
    number = {text_hash: position for position, text_hash in enumerate(order)}
    having = [row for row in rows if row["text_hash"] in number]
    if not having:
        return [], np.empty((0, embedder.dimensions), np.float32)
    return having, matrix[[number[row["text_hash"]] for row in having]]


def pins_of(connection: Connection, workspace_id: str) -> list[Pin]:
    """The workspace's pins, the oldest first."""
    return [
        Pin(row["id"], row["kind"], row["signal_id"], row["other_signal_id"], row["cluster_id"])
        for row in pin_store.every(connection, workspace_id)
    ]


def _before(places: Sequence[Place], having: Sequence[Mapping[str, Any]]) -> Before:
    known = {one.signal_id for one in places}
    heirs: dict[str, list[str]] = defaultdict(list)
    for row in having:
        if row["id"] not in known:
            heirs[row["text_hash"]].append(row["id"])
    maps: dict[str, dict[str, str]] = {"theme": {}, "need": {}, "area": {}}
    for one in sorted(places):
        waiting = heirs.get(one.text_hash, []) if one.retired else []
        stands_for = waiting.pop(0) if waiting else one.signal_id
        for level, cluster_id in (("theme", one.cluster_id), ("need", one.need_id), ("area", one.area_id)):
            if cluster_id is not None:
                maps[level][stands_for] = cluster_id
    since = Counter(one.cluster_id for one in places if one.placed_by == "neighbours" and one.cluster_id is not None)
    return Before(
        **maps,
        placed_since=dict(since),
        newcomers=frozenset(one.signal_id for one in places if one.placed_by == "neighbours"),
        everybody=frozenset(known),
    )


class _Matcher:
    """Matches one level after the other; an id given at one is not given at another."""

    def __init__(self, connection: Connection, workspace_id: str, before: Before, ids: Sequence[str]) -> None:
        self._connection, self._workspace_id, self._before, self._ids = connection, workspace_id, before, ids
        self._in_use = store.known_ids(connection, workspace_id)

    def match(self, level: Level, labels: Labels, keep: Mapping[int, str] | None = None) -> Matching:
        """The level's groups under their durable ids."""
        return match(
            self._before.at(level),
            dict(zip(self._ids, labels.tolist(), strict=True)),
            workspace_id=self._workspace_id,
            level=level,
            in_use=self._in_use,
            former=store.former(self._connection, self._workspace_id, level, REMEMBERED_DAYS),
            keep=keep,
        )


def _pinned(
    pins: Sequence[Pin],
    ids: Sequence[str],
    vectors: NDArray[np.float32],
    themes: Labels,
    names: Mapping[int, str],
    bounds: Bounds | None,
) -> tuple[dict[int, int], dict[int, str]]:
    """The rows that pins move and the theme each goes to, with the ids of themes that are there for pins only."""
    row_of = {signal: row for row, signal in enumerate(ids)}
    concerned = {one for pin in pins for one in (pin.signal_id, pin.other_signal_id) if one in row_of}
    if not concerned:
        return {}, {}
    centres = centroids(vectors, themes)
    number = {name: label for label, name in names.items()}

    def closeness(signal: str, cluster: str) -> float:
        return float(vectors[row_of[signal]] @ centres[number[cluster]]) if cluster in number else 0.0

    def choices(leaving: Sequence[str]) -> list[str]:
        near = centres @ vectors[[row_of[one] for one in leaving]].mean(axis=0)
        least = bounds.centre if bounds else 0.0
        return [names[label] for label in np.argsort(-near).tolist() if near[label] >= least and label in names]

    where = {
        one: None if themes[row_of[one]] == UNCLUSTERED else names[int(themes[row_of[one]])]
        for one in sorted(concerned)
    }
    sizes = {names[label]: size for label, size in Counter(themes.tolist()).items() if label in names}
    moves = honour(pins, where, sizes, choices, closeness)
    following = int(themes.max(initial=UNCLUSTERED)) + 1
    for target in sorted({one for one in moves.values() if one is not None and one not in number}):
        number[target] = following
        following += 1
    keep = {label: name for name, label in number.items() if label not in names and not name.startswith("new:")}
    return {row_of[one]: UNCLUSTERED if to is None else number[to] for one, to in moves.items()}, keep


def _assembled(
    rows: list[dict[str, Any]],
    having: list[dict[str, Any]],
    vectors: NDArray[np.float32],
    levels: Levels,
    matchings: Mapping[Any, Matching],
    before: Before,
    moved_by_pins: set[int],
    pins: Sequence[Pin],
    embedder: EmbeddingModel,
    bounds: Bounds | None,
) -> Reclustering:
    """Put together what is written: members, clusters of every level, events, and who was in what ended."""
    names: dict[Level, Mapping[int, str]] = {level: matchings[level].ids for level in LEVELS}
    belongs = {pin.signal_id for pin in pins if pin.kind == "belongs"}
    by_pin = {row for row, one in enumerate(having) if row in moved_by_pins or one["id"] in belongs}
    members = _members(having, vectors, levels, names, by_pin)
    without = sorted({row["id"] for row in rows} - {one.signal_id for one in members})
    members += [Member(one, None, None, None) for one in without]
    theme_of = {one.signal_id: one.cluster_id for one in members}
    ended = {level: {one.cluster_id for one in matchings[level].events if one.event == "ended"} for level in LEVELS}
    last: dict[str, list[str]] = {}
    for level in LEVELS:
        for signal, cluster in sorted(before.at(level).items()):
            if cluster in ended[level]:
                last.setdefault(cluster, []).append(signal)
    return Reclustering(
        members,
        cluster_rows(having, vectors, levels, names, embedder.scale),
        {level: _with_placed(matchings[level].events, before) for level in LEVELS},
        last,
        {"bounds": bounds.as_json() if bounds else None, "dimensions": int(vectors.shape[1])},
        len(having),
        sum(one.cluster_id is None for one in members) - len(without),
        sum(one in theme_of for one in before.everybody),
        sum(theme_of[one] != before.theme.get(one) for one in before.everybody if one in theme_of),
    )


def _members(
    having: Sequence[Mapping[str, Any]],
    vectors: NDArray[np.float32],
    levels: Levels,
    names: Mapping[Level, Mapping[int, str]],
    by_pin: set[int],
) -> list[Member]:
    """Every signal with a vector: in a theme and perhaps a need, or unclustered with the nearest theme."""
    nearest, similarities = place(vectors, levels.themes, centroids(vectors, levels.themes))
    columns = zip(
        having, levels.themes.tolist(), levels.labels("need").tolist(), nearest.tolist(), similarities, strict=True
    )
    return [
        Member(
            signal_id=row["id"],
            cluster_id=names["theme"].get(theme),
            nearest_id=names["theme"].get(near),
            similarity=None if np.isnan(similarity) else float(similarity),
            need_id=names["need"].get(need),
            text_hash=row["text_hash"],
            placed_by="pin" if number in by_pin else "clustering",
        )
        for number, (row, theme, need, near, similarity) in enumerate(columns)
    ]


def _with_placed(events: Sequence[ClusterEvent], before: Before) -> tuple[ClusterEvent, ...]:
    """Events of clusters that went on also say how many of their members had been placed since the last clustering."""
    return tuple(
        ClusterEvent(one.cluster_id, one.event, {**one.detail, "placed": before.placed_since[one.cluster_id]})
        if one.event == "continued" and one.cluster_id in before.placed_since
        else one
        for one in events
    )


def write(
    connection: Connection,
    workspace_id: str,
    found: Reclustering,
    *,
    reason: str,
    model: str,
    rules: int,
    asked: int,
    run_id: str | None,
) -> None:
    """Make a clustering the one that holds: clusters, members, history, and the figures for placing."""
    clustering_id = clusterings.record(
        connection,
        workspace_id,
        run_id=run_id,
        reason=reason,
        model=model,
        signals=found.signals,
        unclustered=found.unclustered,
        clusters=found.clusters,
        figures={**found.figures, "rules": rules, "asked": asked, "kept": found.kept, "moved": found.moved},
    )
    kept = {row.id for row in found.rows}
    ended = {one: found.ended.get(one, []) for one in store.live_ids(connection, workspace_id) if one not in kept}
    store.end(connection, workspace_id, ended)
    store.save(connection, workspace_id, found.rows)
    member_store.replace(connection, workspace_id, found.members)
    happened = [one.__dict__ for level in LEVELS for one in found.events[level] if worth_noting(one)]
    store.note_events(connection, workspace_id, happened, clustering_id)


def worth_noting(event: ClusterEvent) -> bool:
    """A cluster that went on with the very same members has no news."""
    return event.event != "continued" or any(event.detail.get(one) for one in ("joined", "left", "retired", "placed"))
