"""How a cluster's share of what customers say changes, week by week, with the arithmetic behind the verdict.

Pure functions over dates; nothing here forecasts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Verdict = Literal["new", "growing", "stable", "fading", "unclear"]
RECENT_WEEKS = 4
PAST_WEEKS = 26
FALSE_DISCOVERY_RATE = 0.1
MIN_SIGNALS = 3  # fewer dated signals than that are no trend
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Week:
    """Signals of one week, `start` its Monday (UTC): of the cluster, of all; `share` is None in a week without any."""

    start: date
    count: int
    total: int

    @property
    def share(self) -> float | None:
        """The cluster's part of the week's signals."""
        return self.count / self.total if self.total else None

    def as_json(self) -> dict[str, Any]:
        """Start in ISO form, counts and share."""
        return {"start": self.start.isoformat(), "count": self.count, "total": self.total, "share": self.share}


@dataclass(frozen=True)
class Arithmetic:
    """What the verdict rests on: a cluster's signals among all, in the last four weeks and in up to 26 before them.

    `p_value` is Fisher's exact test, two-sided; `q_value` the same after Benjamini and Hochberg over all clusters.
    Both are None where nothing was tested.
    """

    recent: int
    recent_total: int
    past: int
    past_total: int
    p_value: float | None = None
    q_value: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields and the two shares."""
        return {**self.__dict__, "recent_share": self.recent_share, "past_share": self.past_share}

    @property
    def recent_share(self) -> float | None:
        """The cluster's part of the recent signals."""
        return self.recent / self.recent_total if self.recent_total else None

    @property
    def past_share(self) -> float | None:
        """The cluster's part of the past signals."""
        return self.past / self.past_total if self.past_total else None


@dataclass(frozen=True)
class Trend:
    """Weeks without gaps from the first dated signal of all to `until`, a verdict, and why."""

    weeks: tuple[Week, ...]
    verdict: Verdict
    arithmetic: Arithmetic


def cluster_trends(
    clusters: Mapping[str, Sequence[datetime]], everything: Sequence[datetime], *, until: datetime | None = None
) -> dict[str, Trend]:
    """The trend of each cluster, from the dates of its signals and of all signals, clustered or not.

    Dates are timezone-aware; those after `until` (default: the last signal) don't count. Verdicts: `unclear` with fewer
    than three dated signals or nothing to compare; `new` when all of the cluster's are recent; `growing` or `fading`
    when its share of all signals differs from before at a false discovery rate of 10 %; else `stable`, which says that
    no change is proven. As the test is on shares, more documents alone make nothing grow.
    """
    end = until or max(everything, default=None)
    if end is None:
        return {cluster_id: Trend((), "unclear", Arithmetic(0, 0, 0, 0)) for cluster_id in clusters}
    totals = _by_week(everything, end)
    counts = {cluster_id: _by_week(dates, end) for cluster_id, dates in clusters.items()}
    weeks = _weeks(totals, _monday(end))
    tested = _with_q_values({cluster_id: _compare(own, totals, weeks) for cluster_id, own in counts.items()})
    return {
        cluster_id: Trend(
            tuple(Week(week, own[week], totals[week]) for week in weeks),
            _verdict(tested[cluster_id], sum(own.values())),
            tested[cluster_id],
        )
        for cluster_id, own in counts.items()
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


def _monday(moment: datetime) -> date:
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _by_week(dates: Sequence[datetime], end: datetime) -> Counter[date]:
    return Counter(_monday(moment) for moment in dates if moment <= end)


def _weeks(totals: Counter[date], last: date) -> list[date]:
    first = min(totals, default=last)
    return [first + _WEEK * number for number in range((last - first).days // 7 + 1)]


def _compare(own: Counter[date], totals: Counter[date], weeks: list[date]) -> Arithmetic:
    recent, past = weeks[-RECENT_WEEKS:], weeks[-RECENT_WEEKS - PAST_WEEKS : -RECENT_WEEKS]
    found = Arithmetic(
        sum(own[week] for week in recent),
        sum(totals[week] for week in recent),
        sum(own[week] for week in past),
        sum(totals[week] for week in past),
    )
    if sum(own.values()) < MIN_SIGNALS or not found.recent_total or not found.past_total:
        return found
    return Arithmetic(**{**found.__dict__, "p_value": _fisher(found)})


def _fisher(found: Arithmetic) -> float:
    from scipy.stats import fisher_exact

    own = np.array([found.recent, found.past])
    return float(fisher_exact(np.stack([own, np.array([found.recent_total, found.past_total]) - own])).pvalue)


def _with_q_values(found: dict[str, Arithmetic]) -> dict[str, Arithmetic]:
    tested = {cluster_id: each.p_value for cluster_id, each in found.items() if each.p_value is not None}
    adjusted = dict(zip(tested, benjamini_hochberg(list(tested.values())), strict=True))
    return {
        cluster_id: Arithmetic(**{**each.__dict__, "q_value": adjusted.get(cluster_id)})
        for cluster_id, each in found.items()
    }


def _verdict(found: Arithmetic, dated: int) -> Verdict:
    if found.q_value is None or found.recent_share is None or found.past_share is None:
        return "unclear"
    if dated == found.recent:
        return "new"
    if found.q_value > FALSE_DISCOVERY_RATE:
        return "stable"
    return "growing" if found.recent_share > found.past_share else "fading"
