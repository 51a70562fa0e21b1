"""Weeks are counted right and verdicts hold only what the counts prove."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from elmer_pipelines.clusters.trends import benjamini_hochberg, cluster_trends

END = datetime(2026, 3, 29, 12, tzinfo=UTC)  # a Sunday


def weekly(per_week: list[int]) -> list[datetime]:
    """So many signals in each week, the last week being that of END."""
    return [END - timedelta(weeks=back) for back, count in enumerate(reversed(per_week)) for _ in range(count)]


def verdicts(**clusters: list[int]) -> dict[str, str]:
    dates = {name: weekly(counts) for name, counts in clusters.items()}
    everything = [moment for own in dates.values() for moment in own]
    return {name: trend.verdict for name, trend in cluster_trends(dates, everything).items()}


def test_verdicts() -> None:
    quiet = [0] * 12
    found = verdicts(
        rising=[1] * 12 + [9] * 4,
        falling=[9] * 12 + [0] * 4,
        steady=[8] * 16,
        fresh=[*quiet, 3, 4, 3, 4],
        single=[*quiet, 0, 0, 0, 1],
    )
    assert found == {"rising": "growing", "falling": "fading", "steady": "stable", "fresh": "new", "single": "unclear"}


def test_more_documents_alone_make_nothing_grow() -> None:
    assert verdicts(one=[2] * 12 + [20] * 4, two=[3] * 12 + [30] * 4) == {"one": "stable", "two": "stable"}


def test_without_a_past_nothing_is_known() -> None:
    assert verdicts(one=[5, 5, 5], two=[9, 1, 1]) == {"one": "unclear", "two": "unclear"}


def test_weeks_have_no_gaps_and_shares_only_where_there_is_a_total() -> None:
    trend = cluster_trends({"C": weekly([2, 0, 1])}, weekly([4, 0, 1]))["C"]
    assert [(week.count, week.total, week.share) for week in trend.weeks] == [(2, 4, 0.5), (0, 0, None), (1, 1, 1.0)]
    assert trend.weeks[-1].start == date(2026, 3, 23)
    assert trend.weeks[0].as_json() == {"start": "2026-03-09", "count": 2, "total": 4, "share": 0.5}


def test_a_week_begins_on_monday_in_utc() -> None:
    late_sunday_in_new_york = datetime(2026, 3, 22, 22, tzinfo=timezone(timedelta(hours=-4)))
    trend = cluster_trends({"C": [late_sunday_in_new_york]}, [late_sunday_in_new_york])["C"]
    assert trend.weeks[0].start == date(2026, 3, 23)


def test_signals_after_the_end_do_not_count_and_no_dates_are_unclear() -> None:
    trend = cluster_trends({"C": weekly([5, 5])}, weekly([5, 5]), until=END - timedelta(weeks=1))["C"]
    assert sum(week.count for week in trend.weeks) == 5
    assert cluster_trends({"C": []}, [])["C"].verdict == "unclear"
    assert cluster_trends({"C": []}, weekly([5] * 10))["C"].verdict == "unclear"


def test_the_arithmetic_is_told() -> None:
    trend = cluster_trends({"C": weekly([1] * 6 + [5] * 4)}, weekly([10] * 10))["C"]
    told = trend.arithmetic.as_json()
    assert (told["recent"], told["recent_total"], told["past"], told["past_total"]) == (20, 40, 6, 60)
    assert told["recent_share"] == 0.5
    assert told["p_value"] == told["q_value"] == pytest.approx(1.2e-5, rel=0.5)


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == []
