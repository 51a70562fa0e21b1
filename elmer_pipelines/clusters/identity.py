"""Durable ids of clusters (I5): which old cluster does a new group continue, and what happened to the others.

Pure: takes who was where and who is where, returns ids and events. Storing them is the step's work.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from elmer_pipelines.ids import stable_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Happening = Literal["continued", "split", "merged", "appeared", "ended"]
STAYED_SHARE = 0.5
SPLIT_SHARE = 0.25


@dataclass(frozen=True)
class ClusterEvent:
    """What became of one cluster; `detail` holds counts and the ids of the clusters on the other side."""

    cluster_id: str
    event: Happening
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Matching:
    """`ids`: the durable id of each current group; `events`: rows in a fixed order."""

    ids: dict[int, str]
    events: tuple[ClusterEvent, ...]


@dataclass(frozen=True)
class _Overlap:
    """Members by old cluster and new group; only signals that exist now count, retired ones left nothing behind."""

    groups: dict[int, list[str]]
    survivors: dict[str, int]
    shared: dict[tuple[str, int], int]


def match(
    previous: Mapping[str, str],
    current: Mapping[str, int],
    *,
    workspace_id: str,
    in_use: Collection[str] = (),
) -> Matching:
    """Give each current group a durable id: that of the cluster it continues, else a new one.

    `previous` maps signal ids to cluster ids, `current` signal ids to group numbers (negative: unclustered); `in_use`
    are further ids never to be given again, such as those of ended clusters. A group continues an old cluster when
    most of the group's earlier-clustered members come from it, and at least half of the cluster's members that still
    exist are in the group: signals that arrive or retire never cost a cluster its id. In a merger of equals the lowest
    id stays. One group continues one cluster at most, and the other way round.
    """
    overlap = _overlap(previous, current)
    ids = _continued(overlap)
    taken = {*previous.values(), *in_use}
    for number in sorted(set(overlap.groups) - set(ids), key=lambda group: overlap.groups[group][0]):
        ids[number] = _new_id(workspace_id, overlap.groups[number], taken)
        taken.add(ids[number])
    return Matching(ids, tuple(_events(set(previous.values()), overlap, ids)))


def _overlap(previous: Mapping[str, str], current: Mapping[str, int]) -> _Overlap:
    groups: dict[int, list[str]] = defaultdict(list)
    survivors: Counter[str] = Counter()
    shared: Counter[tuple[str, int]] = Counter()
    for signal_id in sorted(current):
        number, old = current[signal_id], previous.get(signal_id)
        if old is not None:
            survivors[old] += 1
        if number < 0:
            continue
        groups[number].append(signal_id)
        if old is not None:
            shared[old, number] += 1
    return _Overlap(dict(groups), dict(survivors), dict(shared))


def _continued(overlap: _Overlap) -> dict[int, str]:
    origin: dict[int, tuple[int, str]] = {}
    for (old, number), members in sorted(overlap.shared.items()):
        if number not in origin or members > origin[number][0]:
            origin[number] = (members, old)
    ids: dict[int, str] = {}
    for number, (members, old) in sorted(origin.items(), key=lambda item: (-item[1][0], overlap.groups[item[0]][0])):
        if members >= STAYED_SHARE * overlap.survivors[old] and old not in ids.values():
            ids[number] = old
    return ids


def _new_id(workspace_id: str, members: list[str], taken: set[str]) -> str:
    for attempt in count():
        marks = [str(attempt)] if attempt else []
        cluster_id = stable_id("C", workspace_id, *members, *marks)
        if cluster_id not in taken:
            return cluster_id
    raise AssertionError("count() does not end")


def _events(old_ids: set[str], overlap: _Overlap, ids: dict[int, str]) -> list[ClusterEvent]:
    kept = set(ids.values())
    events: list[ClusterEvent] = []
    for number, cluster_id in sorted(ids.items(), key=lambda item: item[1]):
        events.extend(_of_group(number, cluster_id, cluster_id in old_ids, overlap))
    for old in sorted(old_ids):
        parts = _parts(old, overlap, ids)
        if len(parts) > 1:
            events.append(ClusterEvent(old, "split", {"into": parts}))
        if old not in kept:
            events.append(ClusterEvent(old, "ended", {"into": parts}))
    return events


def _of_group(number: int, cluster_id: str, is_old: bool, overlap: _Overlap) -> list[ClusterEvent]:
    size = len(overlap.groups[number])
    sources = sorted(
        old
        for (old, group), members in overlap.shared.items()
        if group == number and members >= STAYED_SHARE * overlap.survivors[old]
    )
    if is_old:
        stayed = overlap.shared[cluster_id, number]
        counts = {"size": size, "stayed": stayed, "joined": size - stayed}
        left = overlap.survivors[cluster_id] - stayed
        events = [ClusterEvent(cluster_id, "continued", {**counts, "left": left})]
    else:
        origins = sorted(old for old, group in overlap.shared if group == number)
        events = [ClusterEvent(cluster_id, "appeared", {"size": size, "from": origins})]
    if len(sources) > 1:
        events.append(ClusterEvent(cluster_id, "merged", {"from": sources}))
    return events


def _parts(old: str, overlap: _Overlap, ids: dict[int, str]) -> list[str]:
    """Clusters that hold at least a quarter, and two or more, of what is left of an old one."""
    least = max(2, SPLIT_SHARE * overlap.survivors.get(old, 0))
    return sorted(
        ids[number] for (source, number), members in overlap.shared.items() if source == old and members >= least
    )
