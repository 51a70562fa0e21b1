"""Weeks are counted right, verdicts hold only what the counts prove, and false alarms stay as rare as promised."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from scipy.stats import fisher_exact

from elmer_pipelines.clusters.trends import (
    FALSE_DISCOVERY_RATE,
    Heard,
    benjamini_hochberg,
    cluster_trends,
    stratified_test,
)

END = datetime(2026, 3, 29, 12, tzinfo=UTC)  # a Sunday


def heard(**clusters: list[int]) -> list[Heard]:
    """So many documents with one signal in each week, the last week being that of END."""
    return [
        Heard(f"{name}-{back}-{number}", END - timedelta(weeks=back), (name,))
        for name, per_week in clusters.items()
        for back, count in enumerate(reversed(per_week))
        for number in range(count)
    ]


def verdicts(**clusters: list[int]) -> dict[str, str]:
    return {name: trend.verdict for name, trend in cluster_trends(heard(**clusters), clusters).items()}


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


def test_what_is_only_recent_by_chance_is_not_called_new() -> None:
    assert verdicts(few=[0] * 4 + [1, 1, 1, 0], many=[9] * 8)["few"] == "unclear"


def test_more_documents_alone_make_nothing_grow() -> None:
    assert verdicts(one=[2] * 12 + [20] * 4, two=[3] * 12 + [30] * 4) == {"one": "stable", "two": "stable"}


def test_one_long_interview_proves_nothing() -> None:
    past = heard(notes=[2] * 12 + [2] * 4, bills=[4] * 16)
    interview = [Heard("interview", END, ("notes",)) for _ in range(60)]
    found = cluster_trends([*past, *interview], ["notes", "bills"])
    assert {trend.verdict for trend in found.values()} == {"stable"}
    assert found["notes"].weeks[-1].count == 62, "its signals are counted and shown all the same"
    assert (found["notes"].weeks[-1].documents, found["notes"].weeks[-1].documents_total) == (3, 7)


def test_longer_documents_alone_make_nothing_grow() -> None:
    """Interviews about four things each after tickets about one: everything is heard in more of the documents."""
    names = ["a", "b", "c", "d"]
    tickets = heard(**{name: [3] * 26 + [0] * 4 for name in names})
    interviews = [Heard(f"i-{number}", END - timedelta(days=number), (name,)) for number in range(25) for name in names]
    earlier = [
        Heard(f"e-{number}", END - timedelta(weeks=5 + number), (name,)) for number in range(9) for name in names
    ]
    found = cluster_trends([*tickets, *earlier, *interviews], names)
    assert {trend.verdict for trend in found.values()} == {"stable"}


def test_a_document_that_goes_on_for_weeks_counts_once_in_each() -> None:
    chat = [Heard("chat", END - timedelta(weeks=back), ("C",)) for back in (0, 0, 1, 1, 1, 6)]
    told = cluster_trends(chat, ["C"])["C"].arithmetic
    assert (told.recent, told.recent_total, told.past, told.past_total) == (2, 2, 1, 1)


def test_without_a_past_nothing_is_known() -> None:
    assert verdicts(one=[5, 5, 5], two=[9, 1, 1]) == {"one": "unclear", "two": "unclear"}


def test_weeks_have_no_gaps_and_shares_only_where_there_is_a_total() -> None:
    trend = cluster_trends([*heard(C=[2, 0, 1]), *heard(other=[2, 0, 0])], ["C"])["C"]
    assert [(week.count, week.total, week.share) for week in trend.weeks] == [(2, 4, 0.5), (0, 0, None), (1, 1, 1.0)]
    assert trend.weeks[-1].start == date(2026, 3, 23)
    assert trend.weeks[0].as_json() == {
        "start": "2026-03-09", "count": 2, "total": 4, "share": 0.5, "documents": 2, "documents_total": 4,
    }  # fmt: skip


def test_a_week_begins_on_monday_in_utc() -> None:
    late_sunday_in_new_york = datetime(2026, 3, 22, 22, tzinfo=timezone(timedelta(hours=-4)))
    trend = cluster_trends([Heard("D", late_sunday_in_new_york, ("C",))], ["C"])["C"]
    assert trend.weeks[0].start == date(2026, 3, 23)


def test_signals_after_the_end_do_not_count_and_no_dates_are_unclear() -> None:
    trend = cluster_trends(heard(C=[5, 5]), ["C"], until=END - timedelta(weeks=1))["C"]
    assert sum(week.count for week in trend.weeks) == 5
    assert cluster_trends([], ["C"])["C"].verdict == "unclear"
    assert cluster_trends(heard(other=[5] * 10), ["C"])["C"].verdict == "unclear"


def test_the_arithmetic_is_told() -> None:
    trend = cluster_trends(heard(C=[1] * 6 + [5] * 4, other=[9] * 6 + [5] * 4), ["C"])["C"]
    told = trend.arithmetic.as_json()
    assert (told["recent"], told["recent_total"], told["past"], told["past_total"]) == (20, 40, 6, 60)
    assert (told["recent_share"], told["expected"]) == (0.5, 10.4)
    assert told["p_value"] == told["q_value"] == pytest.approx(1.2e-5, rel=0.5)
    assert told["told"].startswith(
        "Heard in 20 of 40 documents of the last 4 weeks and in 6 of 60 of up to 26 weeks before; "
        "without a change 10.4 were to be expected lately (p = "
    )


def test_the_test_of_one_table_is_fishers() -> None:
    for table in [(3, 10, 1, 20), (0, 5, 9, 40), (7, 7, 0, 3), (12, 400, 300, 9_000)]:
        recent, recent_total, past, past_total = table
        fisher = fisher_exact([[recent, recent_total - recent], [past, past_total - past]]).pvalue
        assert stratified_test([table])[1] == pytest.approx(fisher, rel=1e-6)


def test_strata_are_not_thrown_together() -> None:
    """In each stratum nothing changed; in the sums of both it seems so (Simpson's paradox)."""
    strata = [(1, 10, 30, 300), (180, 200, 9, 10)]
    thrown_together = tuple(sum(column) for column in zip(*strata, strict=True))
    assert stratified_test([thrown_together])[1] < 1e-6
    assert stratified_test(strata)[1] > 0.5


def test_a_large_workspace_is_tested_in_numbers_that_fit_memory() -> None:
    expected, p_value = stratified_test([(101_000, 1_000_000, 600_000, 6_000_000)])
    assert (expected, p_value < 0.01) == (pytest.approx(100_143, abs=1), True)


def test_false_alarms_are_as_rare_as_promised_though_documents_say_much_at_once() -> None:
    """120 workspaces in which nothing changes; half of the documents dwell on few themes with up to dozens of signals.

    With nothing to find, every alarm is a false discovery, so a rate of 10 % means: in at most one of ten workspaces.
    """
    chance, alarmed = np.random.default_rng(20_261_123), 0
    themes = [f"C-{number}" for number in range(25)]
    for _ in range(120):
        share = chance.dirichlet(np.ones(len(themes)))
        said = []
        for document in range(100):
            at = END - timedelta(weeks=float(30 * chance.random()))
            number = 1 + 2 * int(chance.geometric(0.25) * (chance.random() < 0.5))
            dwells = chance.dirichlet(np.maximum(2 * share, 1e-3))
            for theme in chance.choice(len(themes), number, p=dwells):
                said.append(Heard(str(document), at, (themes[theme],)))
        found = cluster_trends(said, themes, until=END)
        alarmed += any(trend.verdict in {"new", "growing", "fading"} for trend in found.values())
    assert alarmed <= 120 * FALSE_DISCOVERY_RATE


def test_a_theme_heard_three_times_as_often_is_found() -> None:
    found = verdicts(rising=[2] * 20 + [6] * 4, **{f"other{number}": [3] * 24 for number in range(6)})
    assert found["rising"] == "growing"
    assert {verdict for name, verdict in found.items() if name != "rising"} == {"stable"}


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == []
