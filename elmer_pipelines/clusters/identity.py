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

Happening = Literal["continued", "returned", "appeared", "split", "merged", "ended"]
HAPPENINGS: tuple[Happening, ...] = ("continued", "returned", "appeared", "split", "merged", "ended")
STAYED_SHARE = 0.5
NEARLY_SHARE = 0.4  # of both sides, where no other group and no other cluster has a better claim
SPLIT_SHARE = 0.25


@dataclass(frozen=True)
class ClusterEvent:
    """What became of one cluster; `detail` holds counts, and the clusters on the other side with how many signals."""

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
    """Members by old cluster and new group; only signals that exist now count, `retired` ones left nothing behind."""

    groups: dict[int, list[str]]
    survivors: dict[str, int]
    retired: dict[str, int]
    known: dict[int, int]  # of each group, how many were in a cluster before
    into: dict[str, dict[int, int]]
    sources: dict[int, dict[str, int]]


def match(
    previous: Mapping[str, str],
    current: Mapping[str, int],
    *,
    workspace_id: str,
    level: str = "theme",
    in_use: Collection[str] = (),
    former: Mapping[str, Collection[str]] | None = None,
    keep: Mapping[int, str] | None = None,
) -> Matching:
    """Give each current group a durable id: that of the cluster it continues or brings back, else a new one.

    `previous` maps signal ids to cluster ids, `current` signal ids to group numbers (negative: unclustered); `in_use`
    are further ids never to be given again, such as those of ended clusters. A group continues an old cluster when
    most of the group's earlier-clustered members come from it, and at least half of the cluster's members that still
    exist are in the group: signals that arrive or retire never cost a cluster its id. Where neither side has a better
    claimant, two fifths of both are enough. In a merger of equals the lowest id stays. One group continues one cluster
    at most, and the other way round. A group that continues none brings back an ended cluster of `former` (id: last
    members) by the same two halves. `keep` gives groups ids before anything is compared.
    """
    overlap = _overlap(previous, current)
    ids = {number: one for number, one in (keep or {}).items() if number in overlap.groups}
    ids = _nearly_continued(overlap, _continued(overlap, ids))
    ids = _returned(overlap, ids, former or {}, previous)
    taken = {*previous.values(), *in_use, *(former or {}), *ids.values()}
    for number in sorted(set(overlap.groups) - set(ids), key=lambda group: overlap.groups[group][0]):
        ids[number] = new_id(workspace_id, overlap.groups[number], taken, level)
        taken.add(ids[number])
    ended_before = {*in_use, *(former or {})} - set(previous.values())
    return Matching(ids, tuple(_events(set(previous.values()), ended_before, overlap, ids)))


def new_id(workspace_id: str, members: Collection[str], taken: Collection[str], level: str = "theme") -> str:
    """An id that nothing had yet, the same on every machine for the same members of the same workspace."""
    kind = [] if level == "theme" else [level]
    for attempt in count():
        marks = [str(attempt)] if attempt else []
        cluster_id = stable_id("C", workspace_id, *kind, *members, *marks)
        if cluster_id not in taken:
            return cluster_id
    raise AssertionError("count() does not end")


def _overlap(previous: Mapping[str, str], current: Mapping[str, int]) -> _Overlap:
    groups: dict[int, list[str]] = defaultdict(list)
    survivors: Counter[str] = Counter()
    known: Counter[int] = Counter()
    into: dict[str, Counter[int]] = defaultdict(Counter)
    sources: dict[int, Counter[str]] = defaultdict(Counter)
    for signal_id in sorted(current):
        number, old = current[signal_id], previous.get(signal_id)
        if old is not None:
            survivors[old] += 1
        if number < 0:
            continue
        groups[number].append(signal_id)
        if old is not None:
            known[number] += 1
            into[old][number] += 1
            sources[number][old] += 1
    retired = Counter(old for signal_id, old in previous.items() if signal_id not in current)
    return _Overlap(
        dict(groups), dict(survivors), dict(retired), dict(known), {old: dict(one) for old, one in into.items()},
        {number: dict(one) for number, one in sources.items()},
    )  # fmt: skip


def _continued(overlap: _Overlap, ids: Mapping[int, str]) -> dict[int, str]:
    """Groups whose largest source is a cluster at least half of which is in them."""
    found, used = dict(ids), set(ids.values())
    origin = {
        number: min(sources.items(), key=lambda item: (-item[1], item[0]))
        for number, sources in overlap.sources.items()
        if number not in found
    }
    for number, (old, members) in sorted(origin.items(), key=lambda item: (-item[1][1], overlap.groups[item[0]][0])):
        if members >= STAYED_SHARE * overlap.survivors[old] and old not in used:
            found[number] = old
            used.add(old)
    return found


def _nearly_continued(overlap: _Overlap, ids: Mapping[int, str]) -> dict[int, str]:
    """Of what is left, groups and clusters that share two fifths of each other."""
    found, used = dict(ids), set(ids.values())
    left = sorted(
        (-members, old, number)
        for number, sources in overlap.sources.items()
        if number not in found
        for old, members in sources.items()
        if members >= NEARLY_SHARE * max(overlap.survivors[old], overlap.known[number])
    )
    for _, old, number in left:
        if number not in found and old not in used:
            found[number] = old
            used.add(old)
    return found


def _returned(
    overlap: _Overlap, ids: Mapping[int, str], former: Mapping[str, Collection[str]], previous: Mapping[str, str]
) -> dict[int, str]:
    """Groups that are mostly what is left of an ended cluster, and it mostly them."""
    found, used = dict(ids), {*ids.values(), *previous.values()}
    group_of = {signal: number for number, members in overlap.groups.items() for signal in members}
    everybody = {signal for members in former.values() for signal in members} | previous.keys()
    known = Counter(group_of[signal] for signal in everybody if signal in group_of)
    claims: list[tuple[int, str, int]] = []
    for old, members in former.items():
        inside = Counter(group_of[signal] for signal in members if signal in group_of)
        alive = inside.total()
        claims += [
            (-shared, old, number)
            for number, shared in inside.items()
            if shared >= max(2, STAYED_SHARE * alive, STAYED_SHARE * known[number])
        ]
    for _, old, number in sorted(claims):
        if number not in found and old not in used:
            found[number] = old
            used.add(old)
    return found


def _events(old_ids: set[str], ended_before: set[str], overlap: _Overlap, ids: Mapping[int, str]) -> list[ClusterEvent]:
    kept = set(ids.values())
    events: list[ClusterEvent] = []
    for number, cluster_id in sorted(ids.items(), key=lambda item: item[1]):
        came: Happening = "appeared"
        if cluster_id in old_ids:
            came = "continued"
        elif cluster_id in ended_before:
            came = "returned"
        events.extend(_of_group(number, cluster_id, came, overlap))
    for old in sorted(old_ids):
        parts = _parts(old, overlap, ids)
        if len(parts) > 1:
            events.append(ClusterEvent(old, "split", {"into": parts}))
        if old not in kept:
            events.append(_ended(old, overlap, ids))
    return events


def _of_group(number: int, cluster_id: str, came: Happening, overlap: _Overlap) -> list[ClusterEvent]:
    size, sources = len(overlap.groups[number]), overlap.sources.get(number, {})
    if came == "continued":
        stayed, alive = sources.get(cluster_id, 0), overlap.survivors.get(cluster_id, 0)
        retired = overlap.retired.get(cluster_id, 0)
        counts = {"before": alive + retired, "size": size, "stayed": stayed, "joined": size - stayed}
        events = [ClusterEvent(cluster_id, came, {**counts, "left": alive - stayed, "retired": retired})]
    else:
        events = [ClusterEvent(cluster_id, came, {"size": size, "from": dict(sorted(sources.items()))})]
    whole = {old: shared for old, shared in sorted(sources.items()) if shared >= STAYED_SHARE * overlap.survivors[old]}
    if len(whole) > 1:
        events.append(ClusterEvent(cluster_id, "merged", {"from": whole}))
    return events


def _parts(old: str, overlap: _Overlap, ids: Mapping[int, str]) -> dict[str, int]:
    """Clusters that hold at least a quarter, and two or more, of what is left of an old one."""
    least = max(2, SPLIT_SHARE * overlap.survivors.get(old, 0))
    shares = overlap.into.get(old, {})
    return dict(sorted((ids[number], shared) for number, shared in shares.items() if shared >= least))


def _ended(old: str, overlap: _Overlap, ids: Mapping[int, str]) -> ClusterEvent:
    alive, retired = overlap.survivors.get(old, 0), overlap.retired.get(old, 0)
    into = dict(sorted((ids[number], shared) for number, shared in overlap.into.get(old, {}).items()))
    counts = {"before": alive + retired, "unclustered": alive - sum(into.values()), "retired": retired}
    return ClusterEvent(old, "ended", {"into": into, **counts})
