"""How a cluster's share of what customers say changes, week by week, with the arithmetic behind the verdict.

Pure functions over dates; nothing here forecasts. Why documents are counted and not signals:
`docs/decisions/0010-trends-count-documents.md`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

Verdict = Literal["new", "growing", "stable", "fading", "unclear"]
RECENT_WEEKS = 4
PAST_WEEKS = 26
FALSE_DISCOVERY_RATE = 0.1
SPIKE_RATE = FALSE_DISCOVERY_RATE / RECENT_WEEKS  # what one look may spend: a week is recent in four of them
MIN_DOCUMENTS = 3  # heard in fewer dated documents than that, a cluster has no trend
_WEEK = timedelta(weeks=1)
_SPREADS = 12.0  # standard deviations beyond which a distribution is cut off
_TIE = 1 + 1e-7  # by so much a probability may differ and still be the same


@dataclass(frozen=True)
class Heard:
    """One dated signal: its document, when it was said (with time zone), and the clusters it is in."""

    document: str
    at: datetime
    clusters: tuple[str, ...]


@dataclass(frozen=True)
class Week:
    """One week, `start` its Monday (UTC): signals of the cluster and of all, and the documents they were heard in."""

    start: date
    count: int
    total: int
    documents: int
    documents_total: int

    @property
    def share(self) -> float | None:
        """The cluster's part of the week's signals; None in a week without any."""
        return self.count / self.total if self.total else None

    def as_json(self) -> dict[str, Any]:
        """Start in ISO form, counts and share."""
        return {**self.__dict__, "start": self.start.isoformat(), "share": self.share}


@dataclass(frozen=True)
class Arithmetic:
    """What the verdict rests on: in how many documents a cluster was heard, of how many, lately and in the past.

    Lately are the last four weeks, the past up to 26 before them; a document that spans weeks counts once in each.
    `expected` is how many recent ones there would be, were nothing to change; `p_value` how likely a number that far
    from it is then, `q_value` the same after Benjamini and Hochberg over all clusters. None where nothing was tested.
    """

    recent: int
    recent_total: int
    past: int
    past_total: int
    expected: float | None = None
    p_value: float | None = None
    q_value: float | None = None

    @property
    def told(self) -> str:
        """The same in words."""
        lately = f"Heard in {self.recent:,} of {self.recent_total:,} documents of the last {RECENT_WEEKS} weeks"
        before = f"in {self.past:,} of {self.past_total:,} of up to {PAST_WEEKS} weeks before"
        if self.expected is None or self.q_value is None:
            return f"{lately} and {before}: too little to compare."
        change = f"without a change {self.expected:.1f} were to be expected lately"
        return f"{lately} and {before}; {change} (p = {self.p_value:.3g}, q = {self.q_value:.3g})."

    def as_json(self) -> dict[str, Any]:
        """The fields, the two shares, and all of it in words."""
        shares = {
            "recent_share": self.recent / self.recent_total if self.recent_total else None,
            "past_share": self.past / self.past_total if self.past_total else None,
        }
        return {**self.__dict__, **shares, "told": self.told}


@dataclass(frozen=True)
class Trend:
    """Weeks without gaps from the first dated signal of all to the end, a verdict, and why."""

    weeks: tuple[Week, ...]
    verdict: Verdict
    arithmetic: Arithmetic


@dataclass(frozen=True)
class _Unit:
    """A document in a week. `stratum`: documents with about as many signals are compared with each other."""

    week: date
    stratum: int
    clusters: frozenset[str]


def cluster_trends(
    heard: Sequence[Heard], clusters: Collection[str], *, until: datetime | None = None
) -> dict[str, Trend]:
    """The trend of each of these clusters, which should be of one level; `heard` are all signals, clustered or not.

    What was said after `until` (default: the last signal) doesn't count. Verdicts: `new`, `growing` or `fading` when
    the cluster is heard in more or fewer documents than before at a false discovery rate of 10 % (`new`: and was never
    heard before); `unclear` with fewer than three documents, nothing to compare, or all of them recent by what may be
    chance; else `stable`, which says that no change is proven. As documents are compared with documents as rich in
    signals, neither more of them nor longer ones alone make anything grow.
    """
    end = until or max((one.at for one in heard), default=None)
    if end is None:
        return {cluster_id: Trend((), "unclear", Arithmetic(0, 0, 0, 0)) for cluster_id in clusters}
    counted = [one for one in heard if one.at <= end]
    units = _units(counted)
    weeks = _weeks(counted, monday(end))
    tested = _with_q_values({one: _compare(one, units, weeks) for one in sorted(clusters)})
    by_week = _by_week(counted, units)
    first_recent = weeks[-RECENT_WEEKS:][0]
    earlier = {one for unit in units if unit.week < first_recent for one in unit.clusters}
    return {
        one: Trend(
            tuple(Week(week, *(table[one, week] for table in by_week)) for week in weeks),
            _verdict(found, one not in earlier),
            found,
        )
        for one, found in tested.items()
    }


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: at most x of those below x are false discoveries, on average."""
    count = len(p_values)
    adjusted = [1.0] * count
    lowest = 1.0
    for rank, row in reversed(list(enumerate(sorted(range(count), key=lambda row: p_values[row]), start=1))):
        lowest = min(lowest, p_values[row] * count / rank)
        adjusted[row] = lowest
    return adjusted


def stratified_test(tables: Sequence[tuple[int, int, int, int]]) -> tuple[float, float]:
    """How likely it is by chance that so many recent units hold something: (expected number, two-sided p-value).

    A table is one stratum: recent with it, recent in all, past with it, past in all. Given the margins each stratum's
    number is hypergeometric; their sum is compared as in Fisher's exact test, of which this is the form for several
    tables (Cox 1970; the Mantel-Haenszel test is its approximation).
    """
    from scipy.stats import hypergeom

    sums = np.ones(1)
    lowest, expected = 0, 0.0
    for recent, recent_total, past, past_total in tables:
        held, units = recent + past, recent_total + past_total
        mean = recent_total * held / units
        spread = _SPREADS * math.sqrt(mean * (1 - held / units) * past_total / max(units - 1, 1)) + 1
        least = max(0, recent_total + held - units, math.floor(mean - spread))
        most = min(held, recent_total, math.ceil(mean + spread))
        sums = np.convolve(sums, hypergeom.pmf(np.arange(least, most + 1), units, held, recent_total))
        lowest += least
        expected += mean
    observed = sum(table[0] for table in tables) - lowest
    here = sums[observed] if 0 <= observed < len(sums) else 0.0
    return expected, float(min(1.0, sums[sums <= here * _TIE].sum()))


def monday(moment: datetime) -> date:
    """The first day, UTC, of a moment's week."""
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _units(heard: Sequence[Heard]) -> list[_Unit]:
    signals: Counter[tuple[str, date]] = Counter()
    clusters: dict[tuple[str, date], set[str]] = defaultdict(set)
    for one in heard:
        place = (one.document, monday(one.at))
        signals[place] += 1
        clusters[place].update(one.clusters)
    return [
        _Unit(place[1], number.bit_length(), frozenset(clusters[place])) for place, number in sorted(signals.items())
    ]


def _weeks(heard: Sequence[Heard], last: date) -> list[date]:
    first = min((monday(one.at) for one in heard), default=last)
    return [first + _WEEK * number for number in range((last - first).days // 7 + 1)]


def _by_week(heard: Sequence[Heard], units: Sequence[_Unit]) -> tuple[_Table, _Table, _Table, _Table]:
    counts, documents = Counter[tuple[str, date]](), Counter[tuple[str, date]]()
    total, documents_total = Counter[date](), Counter[date]()
    for one in heard:
        week = monday(one.at)
        total[week] += 1
        counts.update((cluster, week) for cluster in one.clusters)
    for unit in units:
        documents_total[unit.week] += 1
        documents.update((cluster, unit.week) for cluster in unit.clusters)
    return _Table(counts), _Table(total, of_all=True), _Table(documents), _Table(documents_total, of_all=True)


class _Table:
    """Numbers by cluster and week, or by week alone."""

    def __init__(self, numbers: Mapping[Any, int], *, of_all: bool = False) -> None:
        self._numbers, self._of_all = numbers, of_all

    def __getitem__(self, place: tuple[str, date]) -> int:
        return self._numbers.get(place[1] if self._of_all else place, 0)


def _compare(cluster_id: str, units: Sequence[_Unit], weeks: Sequence[date]) -> Arithmetic:
    recent, first = weeks[-RECENT_WEEKS:][0], weeks[-RECENT_WEEKS - PAST_WEEKS :][0]
    strata: dict[int, NDArray[np.int64]] = defaultdict(lambda: np.zeros(4, np.int64))
    ever = 0
    for unit in units:
        holds = cluster_id in unit.clusters
        ever += holds
        if unit.week >= first:
            column = 0 if unit.week >= recent else 2
            strata[unit.stratum][column : column + 2] += (holds, 1)
    sums = np.sum([*strata.values()], axis=0) if strata else np.zeros(4, np.int64)
    found = Arithmetic(*(int(number) for number in sums))
    if ever < MIN_DOCUMENTS or not found.recent_total or not found.past_total:
        return found
    tables = [tuple(int(number) for number in table) for table in strata.values()]
    expected, p_value = stratified_test([(a, b, c, d) for a, b, c, d in tables])
    return Arithmetic(**{**found.__dict__, "expected": expected, "p_value": p_value})


def _with_q_values(found: dict[str, Arithmetic]) -> dict[str, Arithmetic]:
    tested = {cluster_id: each.p_value for cluster_id, each in found.items() if each.p_value is not None}
    adjusted = dict(zip(tested, benjamini_hochberg(list(tested.values())), strict=True))
    return {
        cluster_id: Arithmetic(**{**each.__dict__, "q_value": adjusted.get(cluster_id)})
        for cluster_id, each in found.items()
    }


def _verdict(found: Arithmetic, only_recent: bool) -> Verdict:
    if found.q_value is None or found.expected is None:
        return "unclear"
    if found.q_value > FALSE_DISCOVERY_RATE:
        return "unclear" if only_recent else "stable"
    if only_recent:
        return "new"
    return "growing" if found.recent > found.expected else "fading"
