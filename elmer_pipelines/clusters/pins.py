"""A person's word on who belongs where: kept together, kept apart, belonging to one cluster.

Pure: which pins contradict each other, and what honouring them changes in an assignment. They are stored in
`store/pins.py` and applied by full clusterings and by placing alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

Kind = Literal["together", "apart", "belongs"]


@dataclass(frozen=True)
class Pin:
    """`together` and `apart` are about two signals, `belongs` about a signal and a cluster; `id` 0: not stored yet."""

    id: int
    kind: Kind
    signal_id: str
    other_signal_id: str | None = None
    cluster_id: str | None = None

    def __str__(self) -> str:
        """As in `pin 3 (S-a together with S-b)`."""
        said = {
            "together": f"{self.signal_id} together with {self.other_signal_id}",
            "apart": f"{self.signal_id} apart from {self.other_signal_id}",
            "belongs": f"{self.signal_id} belongs to {self.cluster_id}",
        }[self.kind]
        return f"pin {self.id} ({said})" if self.id else said


def contradiction(pins: Iterable[Pin], new: Pin) -> list[Pin] | None:
    """The pins that `new` can't be honoured beside, in the order that shows why; None where it can."""
    pins = list(pins)
    if new.kind == "apart":
        against = _why_together(pins, new.signal_id, new.other_signal_id or "")
        return against or None
    everything = [*pins, new]
    part = _parts(everything)[new.signal_id]
    for one in everything:
        if one.kind == "apart" and one.signal_id in part and one.other_signal_id in part:
            return [*_why_together(pins, one.signal_id, one.other_signal_id, new), one]
    homes = [one for one in everything if one.kind == "belongs" and one.signal_id in part]
    for one in homes:
        if one.cluster_id != homes[0].cluster_id:
            return _without(new, [homes[0], *_path(everything, homes[0].signal_id, one.signal_id), one])
    return _shares_a_home(everything, part, homes, new)


def _shares_a_home(pins: Sequence[Pin], part: Collection[str], homes: Sequence[Pin], new: Pin) -> list[Pin] | None:
    """A signal kept apart from one of this part has the same cluster for a home."""
    parts = _parts(pins)
    for one in pins:
        ends = {one.signal_id, one.other_signal_id}
        if one.kind != "apart" or not homes or not ends & set(part):
            continue
        across = parts[next(end for end in ends if end and end not in part)]
        for other in pins:
            if other.kind == "belongs" and other.signal_id in across and other.cluster_id == homes[0].cluster_id:
                return _without(new, [homes[0], one, other])
    return None


def _why_together(pins: Sequence[Pin], signal: str, other: str, new: Pin | None = None) -> list[Pin]:
    """The pins by which two signals end up in one cluster; none where nothing says so."""
    everything = [*pins, *([new] if new else [])]
    chain = _path(everything, signal, other)
    if not chain and signal != other:
        parts = _parts(everything)
        mine = [one for one in everything if one.kind == "belongs" and one.signal_id in parts.get(signal, {signal})]
        theirs = [one for one in everything if one.kind == "belongs" and one.signal_id in parts.get(other, {other})]
        chain = [*mine[:1], *theirs[:1]] if mine and theirs and mine[0].cluster_id == theirs[0].cluster_id else []
    return _without(new, chain)


def _without(new: Pin | None, pins: Iterable[Pin]) -> list[Pin]:
    return list(dict.fromkeys(one for one in pins if one is not new))


def _path(pins: Sequence[Pin], start: str, end: str) -> list[Pin]:
    """The shortest chain of `together` pins from one signal to another."""
    edges: dict[str, list[tuple[str, Pin]]] = defaultdict(list)
    for one in pins:
        if one.kind == "together" and one.other_signal_id:
            edges[one.signal_id].append((one.other_signal_id, one))
            edges[one.other_signal_id].append((one.signal_id, one))
    trails: dict[str, list[Pin]] = {start: []}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for there, pin in edges[here]:
            if there not in trails:
                trails[there] = [*trails[here], pin]
                waiting.append(there)
    return trails.get(end, [])


def _parts(pins: Iterable[Pin]) -> dict[str, frozenset[str]]:
    """Of every pinned signal, all that are kept together with it, itself included."""
    leader: dict[str, str] = {}

    def find(signal: str) -> str:
        leader.setdefault(signal, signal)
        while leader[signal] != signal:
            leader[signal] = leader[leader[signal]]
            signal = leader[signal]
        return signal

    for one in pins:
        first, second = find(one.signal_id), find(one.other_signal_id or one.signal_id)
        if one.kind == "together":
            leader[max(first, second)] = min(first, second)
    members: dict[str, set[str]] = defaultdict(set)
    for signal in list(leader):
        members[find(signal)].add(signal)
    return {signal: frozenset(members[find(signal)]) for signal in leader}


def honour(
    pins: Sequence[Pin],
    where: Mapping[str, str | None],
    sizes: Mapping[str, int],
    choices: Callable[[Sequence[str]], Sequence[str]],
    closeness: Callable[[str, str], float],
) -> dict[str, str | None]:
    """What has to move for the pins to hold: signals to the name of their cluster, or to None (unclustered).

    `where` has the cluster of every live pinned signal; pins on others wait until these live. `sizes` are the
    clusters' members; `choices(signals)` the clusters near enough to signals that have to leave theirs, the nearest
    first; `closeness(signal, cluster)` is their similarity. Signals kept together go where one of them belongs, else
    where most of them are, the larger cluster winning a tie; where all are unclustered they make a cluster of their
    own, named `new:` and the first of them. Of two kept apart in one cluster the weaker leaves, and all kept with it.
    """
    alive = [one for one in pins if one.signal_id in where and (one.other_signal_id or one.signal_id) in where]
    parts = sorted(set(_parts(alive).values()), key=min)
    home = {one.signal_id: one.cluster_id for one in alive if one.kind == "belongs"}
    seat: dict[frozenset[str], str | None] = {}
    for part in parts:
        seat[part] = _seat(part, where, sizes, home)
    _set_apart(alive, seat, home, choices, closeness)
    return {signal: target for part, target in seat.items() for signal in sorted(part) if target != where[signal]}


def _seat(
    part: frozenset[str], where: Mapping[str, str | None], sizes: Mapping[str, int], home: Mapping[str, str | None]
) -> str | None:
    belongs = [home[signal] for signal in sorted(part) if signal in home]
    if belongs:
        return belongs[0]
    votes = Counter(cluster for signal in part if (cluster := where[signal]) is not None)
    if votes:
        return min(votes, key=lambda cluster: (-votes[cluster], -sizes.get(cluster, 0), cluster))
    return f"new:{min(part)}" if len(part) > 1 else None


def _set_apart(
    pins: Sequence[Pin],
    seat: dict[frozenset[str], str | None],
    home: Mapping[str, str | None],
    choices: Callable[[Sequence[str]], Sequence[str]],
    closeness: Callable[[str, str], float],
) -> None:
    """Move the weaker of each two parts that may not sit in one cluster."""
    part_of = {signal: part for part in seat for signal in part}
    foes: dict[frozenset[str], set[frozenset[str]]] = defaultdict(set)
    for one in pins:
        if one.kind == "apart" and one.other_signal_id:
            first, second = part_of[one.signal_id], part_of[one.other_signal_id]
            foes[first].add(second)
            foes[second].add(first)

    def strength(part: frozenset[str]) -> tuple[bool, int, float, str]:
        target = seat[part] or ""
        mean = sum(closeness(signal, target) for signal in part) / len(part)
        return any(signal in home for signal in part), len(part), mean, min(part)

    for part in sorted(foes, key=min):
        for foe in sorted(foes[part], key=min):
            if part == foe or seat[part] is None or seat[part] != seat[foe]:
                continue
            weaker = min(part, foe, key=strength)
            taken = {seat[other] for other in foes[weaker]}
            free = [one for one in choices(sorted(weaker)) if one not in taken and one != seat[weaker]]
            seat[weaker] = free[0] if free else None
