"""Between two clusterings: new signals go where their neighbours are, retired ones leave, pins hold.

Touches the rows of new signals and of the clusters they join, nothing else. The rule is `placing.py`; when it is no
longer enough is `drift.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.clusters.identity import new_id
from elmer_pipelines.clusters.pins import honour
from elmer_pipelines.clusters.placing import NOWHERE, VOTERS, Bounds, Near, near_enough, nearest_of, once_joined, vote
from elmer_pipelines.clusters.reclustering import pins_of
from elmer_pipelines.clusters.summary import Member as Voice
from elmer_pipelines.clusters.tiers import summed_up
from elmer_pipelines.store import cluster_members as member_store
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import embeddings
from elmer_pipelines.store.cluster_members import Member
from elmer_pipelines.store.clusters import ClusterRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.clusterings import Clustering

_IN_MEMORY = 20_000  # members: up to here their vectors are read, half a second, and compared exactly
_MANY_SHARE = 0.02  # of the members: for more new signals than this one pass over all vectors is quicker than searching


@dataclass(frozen=True)
class Placed:
    """What came of it: signals placed in a cluster, placed in none, moved by pins, and members that left."""

    placed: int
    unplaced: int
    moved_by_pins: int
    left: int


@dataclass(frozen=True)
class _Around:
    """For each fresh text its nearest clustered texts, `clusters` being places; a place's theme and need by number."""

    near: Near
    names: list[tuple[str, str | None]]


def place_new(connection: Connection, workspace_id: str, embedder: EmbeddingModel, last: Clustering) -> Placed:
    """Place what came since the clustering `last`, and let go what went; all in the caller's transaction."""
    gone = member_store.let_leave(connection, workspace_id)
    fresh = member_store.fresh(connection, workspace_id, embedder.model)
    inherited, rest = _inherited(gone, fresh)
    bounds = Bounds(**last.figures["bounds"]) if last.figures.get("bounds") else None
    voted = _voted(connection, workspace_id, embedder, rest, bounds) if rest else []
    without = [Member(one, None, None, None) for one in member_store.waiting(connection, workspace_id, embedder.model)]
    member_store.put(connection, workspace_id, [*inherited, *voted, *without])
    pinned, events = _pinned(connection, workspace_id, embedder, bounds)
    changed = [*gone, *inherited, *voted, *pinned]
    _sum_up(connection, workspace_id, embedder, changed)
    events += _end_empty(connection, workspace_id, gone)
    store.note_events(connection, workspace_id, events)
    placed = [*inherited, *voted]
    within = sum(one.cluster_id is not None for one in placed)
    return Placed(within, len(placed) - within, len(pinned) // 2, len(gone))


def _inherited(gone: Sequence[Member], fresh: Sequence[tuple[str, str]]) -> tuple[list[Member], list[tuple[str, str]]]:
    """Fresh signals that say word for word what one said that left, in its place; and the others."""
    free: dict[str, list[Member]] = defaultdict(list)
    for one in gone:
        if one.cluster_id is not None and one.text_hash is not None:
            free[one.text_hash].append(one)
    heirs, rest = [], []
    for signal_id, text_hash in fresh:
        if free[text_hash]:
            heirs.append(replace(free[text_hash].pop(0), signal_id=signal_id))
        else:
            rest.append((signal_id, text_hash))
    return heirs, rest


def _voted(
    connection: Connection,
    workspace_id: str,
    embedder: EmbeddingModel,
    fresh: Sequence[tuple[str, str]],
    bounds: Bounds | None,
) -> list[Member]:
    """Each fresh signal in the cluster its neighbours vote for, or visibly in none with that one as the nearest."""
    hashes, vectors = embeddings.load(connection, workspace_id, embedder.model, [text_hash for _, text_hash in fresh])
    around = _around(connection, workspace_id, embedder, hashes, vectors)
    near, names = around.near, around.names
    themes = sorted({theme for theme, _ in names})
    number = {theme: row for row, theme in enumerate(themes)}
    theme_of = np.array([*(number[theme] for theme, _ in names), NOWHERE], dtype=np.int32)
    clusters = theme_of[near.clusters]
    least = bounds.neighbour if bounds else 0.0
    votes = vote(near.within(clusters), least)
    inside = np.where(clusters == votes.winner[:, None], near.clusters, np.int32(NOWHERE))
    places = vote(near.within(inside), least).winner
    winners = [themes[one] for one in set(votes.winner) - {NOWHERE}]
    to_centre = _to_winner(vectors, votes.winner, themes, store.centres(connection, workspace_id, "theme", winners))
    pulls = member_store.pulls(connection, workspace_id, winners)
    pull = np.array([pulls.get(themes[one], 0.0) if one != NOWHERE else 0.0 for one in votes.winner], dtype=np.float32)
    joined = once_joined(to_centre, pull)
    fits = near_enough(votes, joined, bounds) if bounds else np.zeros(len(hashes), dtype=bool)
    row_of = {text_hash: row for row, text_hash in enumerate(hashes)}
    found = []
    for signal_id, text_hash in fresh:
        row = row_of[text_hash]
        theme = themes[votes.winner[row]] if votes.winner[row] != NOWHERE else None
        need = names[places[row]][1] if fits[row] else None
        similarity = None if theme is None else float(to_centre[row])
        own = theme if fits[row] else None
        found.append(Member(signal_id, own, theme, similarity, need, text_hash, "neighbours"))
    return found


def _to_winner(
    vectors: NDArray[np.float32],
    winner: NDArray[np.int32],
    themes: Sequence[str],
    centres: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The similarity of each vector to the centre of its winning cluster; 0 where there is none."""
    return np.array(
        [
            float(vector @ centres[themes[one]]) if one != NOWHERE and themes[one] in centres else 0.0
            for vector, one in zip(vectors, winner.tolist(), strict=True)
        ],
        dtype=np.float32,
    )


def _around(
    connection: Connection,
    workspace_id: str,
    embedder: EmbeddingModel,
    hashes: Sequence[str],
    vectors: NDArray[np.float32],
) -> _Around:
    """By the model's index where few are new among many; else by comparing with every member."""
    members = member_store.count_clustered(connection, workspace_id)
    few = len(hashes) <= _MANY_SHARE * members
    if members > _IN_MEMORY and few and embedder.dimensions <= embeddings.INDEXABLE_DIMENSIONS:
        return _searched(connection, workspace_id, embedder, hashes)
    places = member_store.clustered_texts(connection, workspace_id)
    known, clustered = embeddings.load(connection, workspace_id, embedder.model, list(places))
    names = sorted({places[one] for one in known}, key=lambda place: (place[0], place[1] or ""))
    number = {place: row for row, place in enumerate(names)}
    labels = np.array([number[places[one]] for one in known], dtype=np.int32)
    if not known:
        clustered = np.empty((0, vectors.shape[1]), dtype=np.float32)
    return _Around(nearest_of(vectors, clustered, labels, mutual=True), names)


def _searched(connection: Connection, workspace_id: str, embedder: EmbeddingModel, hashes: Sequence[str]) -> _Around:
    rows = member_store.neighbours(connection, workspace_id, embedder.model, embedder.dimensions, hashes, VOTERS)
    names = sorted({(one.cluster_id, one.need_id) for one in rows}, key=lambda place: (place[0], place[1] or ""))
    number = {place: row for row, place in enumerate(names)}
    similarities = np.zeros((len(hashes), VOTERS), dtype=np.float32)
    places = np.full((len(hashes), VOTERS), NOWHERE, dtype=np.int32)
    row_of = {text_hash: row for row, text_hash in enumerate(hashes)}
    filled = np.zeros(len(hashes), dtype=np.intp)
    for one in rows:
        row = row_of[one.fresh]
        similarities[row, filled[row]] = one.similarity
        places[row, filled[row]] = number[one.cluster_id, one.need_id]
        filled[row] += 1
    return _Around(Near(similarities, places, np.zeros(places.shape, dtype=bool), similarities), names)


def _pinned(
    connection: Connection, workspace_id: str, embedder: EmbeddingModel, bounds: Bounds | None
) -> tuple[list[Member], list[dict[str, Any]]]:
    """Move whom pins move; returns their old and new places, and what happened to clusters by it."""
    pins = pins_of(connection, workspace_id)
    signal_ids = sorted({one for pin in pins for one in (pin.signal_id, pin.other_signal_id) if one})
    places = {
        one.signal_id: one
        for one in (member_store.places(connection, workspace_id, signal_ids) if signal_ids else [])
        if not one.retired
    }
    hashes, matrix = embeddings.load(
        connection, workspace_id, embedder.model, [one.text_hash for one in places.values()]
    )
    vectors = {signal: matrix[hashes.index(one.text_hash)] for signal, one in places.items() if one.text_hash in hashes}
    if not vectors:
        return [], []
    centres = store.centres(connection, workspace_id, "theme")
    names = list(centres)
    table = np.array([centres[one] for one in names]) if names else np.empty((0, embedder.dimensions))

    def choices(leaving: Sequence[str]) -> list[str]:
        near = table @ np.mean([vectors[one] for one in leaving], axis=0)
        least = bounds.centre if bounds else 0.0
        return [names[row] for row in np.argsort(-near).tolist() if near[row] >= least]

    where = {one: places[one].cluster_id for one in vectors}
    sizes = {one["id"]: int(one["size"]) for one in store.live(connection, workspace_id)}
    moves = honour(
        pins, where, sizes, choices, lambda one, to: float(vectors[one] @ centres[to]) if to in centres else 0.0
    )
    return _move(connection, workspace_id, moves, places, vectors, centres)


def _move(
    connection: Connection,
    workspace_id: str,
    moves: Mapping[str, str | None],
    places: Mapping[str, member_store.Place],
    vectors: Mapping[str, NDArray[np.float32]],
    centres: dict[str, NDArray[np.float32]],
) -> tuple[list[Member], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    known = store.known_ids(connection, workspace_id)
    names: dict[str, str] = {}
    for target in sorted({one for one in moves.values() if one is not None and one not in centres}):
        joining = sorted(one for one, to in moves.items() if to == target)
        own = new_id(workspace_id, joining, known) if target.startswith("new:") else target
        mean = np.mean([vectors[one] for one in joining], axis=0)
        centres[own] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
        names[target] = own
        store.save(
            connection, workspace_id, [ClusterRow(own, len(joining), None, None, None, "review", centre=centres[own])]
        )
        event = "returned" if own in known else "appeared"
        events.append({"cluster_id": own, "event": event, "detail": {"size": len(joining), "pinned": True}})
        known.add(own)
    needs = _needs_of(connection, workspace_id)
    before, after = [], []
    for signal, goal in sorted(moves.items()):
        old = places[signal]
        to = None if goal is None else names.get(goal, goal)
        similarity = None if to is None else float(vectors[signal] @ centres[to])
        inside = needs.get(to or "", {})
        need = max(inside, key=lambda one: float(vectors[signal] @ inside[one])) if inside else None
        before.append(Member(signal, old.cluster_id, None, None, old.need_id, old.text_hash))
        after.append(Member(signal, to, to, similarity, need, old.text_hash, "pin"))
    member_store.put(connection, workspace_id, after)
    return [*before, *after], events


def _needs_of(connection: Connection, workspace_id: str) -> dict[str, dict[str, NDArray[np.float32]]]:
    """The needs of each theme that has any, with their centres."""
    centres = store.centres(connection, workspace_id, "need")
    found: dict[str, dict[str, NDArray[np.float32]]] = defaultdict(dict)
    for one in store.live(connection, workspace_id, "need"):
        if one["id"] in centres:
            found[one["parent_id"]][one["id"]] = centres[one["id"]]
    return found


def _sum_up(connection: Connection, workspace_id: str, embedder: EmbeddingModel, changed: Sequence[Member]) -> None:
    """Sum up again the clusters whose members, or whose members' weights, have changed."""
    touched = {one for member in changed for one in (member.cluster_id, member.need_id) if one is not None}
    touched |= set(store.outdated(connection, workspace_id))
    known = store.find(connection, workspace_id, sorted(touched))
    known |= store.find(
        connection, workspace_id, sorted({one["parent_id"] for one in known.values() if one["parent_id"]})
    )
    rows = []
    for cluster_id, members in member_store.of_clusters(connection, workspace_id, sorted(known)).items():
        if not members:
            continue
        voices = [
            Voice(one["signal_id"], one["similarity"] or 0.0, one["severity"], one["frequency"]) for one in members
        ]
        was = known[cluster_id]
        row = replace(summed_up(cluster_id, voices, embedder.scale), level=was["level"], parent_id=was["parent_id"])
        if was["level"] != "theme":  # similarities are to the theme's centre: these two wait for the next clustering
            row = replace(row, confidence=was["confidence"], suggested_action=was["suggested_action"])
        rows.append(row)
    store.save(connection, workspace_id, rows)


def _end_empty(connection: Connection, workspace_id: str, gone: Sequence[Member]) -> list[dict[str, Any]]:
    """Clusters that nobody is in any more end; returns these events."""
    empty = store.empty_ids(connection, workspace_id)
    last: dict[str, list[str]] = {one: [] for one in empty}
    for member in gone:
        for own in (member.cluster_id, member.need_id):
            if own in last:
                last[own].append(member.signal_id)
    store.end(connection, workspace_id, last)
    return [
        {"cluster_id": one, "event": "ended",
         "detail": {"into": {}, "before": len(members), "unclustered": 0, "retired": len(members)}}
        for one, members in last.items()
    ]  # fmt: skip
