"""A spike is told exactly once, however often the step runs, in this process or the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from story import Story

from elmer_pipelines import notifications
from elmer_pipelines.clusters.notices import NAMED, SPIKE
from elmer_pipelines.clusters.trending import follow_trends, sparkline, wanted_trends
from elmer_pipelines.clusters.trends import FALSE_DISCOVERY_RATE, SPIKE_RATE
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.store import trends as store
from elmer_pipelines.store.database import Database

END = datetime(2026, 3, 25, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    return load_settings(tmp_path)


def said(story: Story, what: str, per_week: Sequence[int], end: datetime = END) -> list[str]:
    """So many documents about it in each week, the last week being that of `end`."""
    return [
        story.signal(
            f"The {what} {end - timedelta(weeks=back):%G-%V}-{number}", occurred_at=end - timedelta(weeks=back)
        )
        for back, count in enumerate(reversed(per_week))
        for number in range(count)
    ]


def spikes(settings: Settings) -> list[tuple[str, str]]:
    lines = [one for one in notifications.notifications(settings) if one["kind"] == SPIKE]
    return [(one["cluster"], one["week"]) for one in lines]


def test_a_spike_is_told_once(story: Story, settings: Settings) -> None:
    rising = said(story, "note", [1] * 12 + [5] * 4)
    story.cluster("notes", rising)
    story.cluster("bills", said(story, "bill", [3] * 16))
    result = follow_trends(story.database, story.workspace_id, settings)
    assert (result.counts["growing"], result.counts["fading"], result.counts["spikes_told"]) == (1, 1, 1)
    (line,) = notifications.notifications(settings)
    assert (line["kind"], line["workspace"], line["cluster"], line["week"]) == (
        SPIKE, story.workspace_id, "C-notes", "2026-03-23",
    )  # fmt: skip
    assert line["message"].startswith("notes is growing. Heard in 20 of 32 documents of the last 4 weeks")
    assert follow_trends(story.database, story.workspace_id, settings).counts["spikes_told"] == 0

    later = said(story, "note", [4], END + timedelta(weeks=1))  # it goes on: the same spike, another week
    story.cluster("notes", [*rising, *later])
    assert follow_trends(story.database, story.workspace_id, settings).counts["growing"] == 1
    assert spikes(settings) == [("C-notes", "2026-03-23")]

    much_later = said(story, "note", [15, 15], END + timedelta(weeks=8))
    story.cluster("notes", [*rising, *later, *much_later])
    said(story, "bill", [3] * 3, END + timedelta(weeks=8))
    follow_trends(story.database, story.workspace_id, settings)
    assert spikes(settings) == [("C-notes", "2026-03-23"), ("C-notes", "2026-05-18")]


def test_a_week_is_tested_for_spikes_once_it_is_over(story: Story, settings: Settings) -> None:
    """On Wednesday the week tells nothing; on Monday the step runs though nothing was said since, and then no more."""
    story.cluster("notes", said(story, "note", [1] * 15 + [14], END))
    story.cluster("bills", said(story, "bill", [3] * 16))

    def follow(now: datetime) -> tuple[int, int]:
        result = follow_trends(story.database, story.workspace_id, settings, now=now)
        return result.pending, result.counts["spikes_told"]

    with story.database.begin() as connection:
        fingerprints = [
            next(iter(wanted_trends(connection, story.workspace_id, END + timedelta(days=days)).values())).fingerprint
            for days in (0, 4, 5, 12)
        ]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2] == fingerprints[3]
    assert [follow(END + timedelta(days=days)) for days in (0, 1, 4, 5, 6, 12)] == [
        (1, 0), (0, 0), (0, 0), (1, 1), (0, 0), (0, 0),
    ]  # fmt: skip
    assert spikes(settings) == [("C-notes", "2026-03-23")]


def test_what_may_be_chance_over_the_looks_of_four_weeks_grows_but_is_not_told(
    story: Story, settings: Settings
) -> None:
    story.cluster("notes", said(story, "note", [1] * 12 + [3] * 4))
    story.cluster("bills", said(story, "bill", [3] * 16))
    result = follow_trends(story.database, story.workspace_id, settings)
    with story.database.begin() as connection:
        notes = next(one for one in store.trends(connection, story.workspace_id) if one["theme"] == "notes")
    assert SPIKE_RATE < notes["arithmetic"]["q_value"] <= FALSE_DISCOVERY_RATE
    assert (notes["verdict"], result.counts["spikes_told"]) == ("growing", 0)


def test_a_process_that_was_killed_leaves_neither_a_spike_untold_nor_one_told_twice(
    story: Story, settings: Settings
) -> None:
    story.cluster("notes", said(story, "note", [1] * 12 + [5] * 4))
    story.cluster("bills", said(story, "bill", [3] * 16))
    follow_trends(story.database, story.workspace_id)  # found and committed, then killed before anybody was told
    assert spikes(settings) == []
    follow_trends(story.database, story.workspace_id, settings)
    assert spikes(settings) == [("C-notes", "2026-03-23")]
    story.run("UPDATE elmer.notices SET told_at = NULL WHERE workspace_id = :w")  # killed between the line and its mark
    follow_trends(story.database, story.workspace_id, settings)
    assert spikes(settings) == [("C-notes", "2026-03-23")]
    assert story.run("SELECT count(*) FROM elmer.notices WHERE workspace_id = :w AND told_at IS NULL")[0][0] == 0


def test_people_are_told_once_when_a_cluster_they_named_is_divided(story: Story, settings: Settings) -> None:
    notes = story.cluster("notes", said(story, "note", [3] * 8))
    bills = story.cluster("bills", said(story, "bill", [3] * 8))
    story.run("UPDATE elmer.clusters SET human_theme = 'Lost & stolen' WHERE workspace_id = :w AND id = :c", c=notes)
    at = datetime(2026, 3, 30, 2, tzinfo=UTC)
    for cluster, event in ((notes, "split"), (bills, "split"), (notes, "continued")):
        story.run(
            "INSERT INTO elmer.cluster_events (workspace_id, cluster_id, event, detail, at) "
            "VALUES (:w, :c, :event, CAST(:detail AS jsonb), :at)",
            c=cluster, event=event, detail=json.dumps({"into": {cluster: 20, bills: 4}}), at=at,
        )  # fmt: skip
    result = follow_trends(story.database, story.workspace_id, settings)
    assert result.counts["named_changes_told"] == 1
    (line,) = notifications.notifications(settings)
    assert (line["kind"], line["cluster"]) == (NAMED, notes)
    assert line["message"].startswith(f"Lost & stolen, which you named so ({notes}): split: 20 stayed, 4 to bills (")
    story.signal("One more note", occurred_at=at)  # the step runs again, and the clustering is still the last
    assert follow_trends(story.database, story.workspace_id, settings).counts["named_changes_told"] == 0


def test_every_level_has_trends_and_only_themes_have_spikes(story: Story, settings: Settings) -> None:
    rising = said(story, "note", [1] * 12 + [5] * 4)
    story.cluster("notes", rising)
    story.cluster("bills", said(story, "bill", [3] * 16))
    story.run("INSERT INTO elmer.clusters (workspace_id, id, level, size) VALUES (:w, 'C-area', 'area', 2), "
              "(:w, 'C-need', 'need', 2)")  # fmt: skip
    story.run("UPDATE elmer.clusters SET parent_id = 'C-area' WHERE workspace_id = :w AND id = 'C-notes'")
    story.run("UPDATE elmer.cluster_members SET need_id = 'C-need' WHERE workspace_id = :w AND cluster_id = 'C-notes'")
    follow_trends(story.database, story.workspace_id, settings)
    with story.database.begin() as connection:
        found = {level: store.trends(connection, story.workspace_id, level) for level in ("area", "theme", "need")}
    assert [one["verdict"] for one in found["area"]] == [one["verdict"] for one in found["need"]] == ["growing"]
    assert sum(week["count"] for week in found["need"][0]["weeks"]) == len(rising)
    assert spikes(settings) == [("C-notes", "2026-03-23")]


def test_a_date_in_the_future_moves_nothing(story: Story) -> None:
    story.cluster("notes", said(story, "note", [1] * 6, datetime.now(UTC)))
    story.signal("An appointment in ten years", occurred_at=datetime.now(UTC) + timedelta(days=3_650))
    follow_trends(story.database, story.workspace_id)
    with story.database.begin() as connection:
        (notes,) = store.trends(connection, story.workspace_id)
    assert notes["arithmetic"]["recent"] == 4


def test_spikes_stay_in_their_workspace(story: Story, settings: Settings, database: Database) -> None:
    other = Story(database, "other")
    for one in (story, other):
        one.cluster("notes", said(one, "note", [1] * 12 + [5] * 4))
        one.cluster("bills", said(one, "bill", [3] * 16))
    follow_trends(database, "other", settings)
    assert [one["workspace"] for one in notifications.notifications(settings)] == ["other"]
    assert story.run("SELECT count(*) FROM elmer.notices WHERE workspace_id = :w")[0][0] == 0


def test_what_was_told_of_a_cluster_loses_its_words_when_they_are_purged(story: Story, settings: Settings) -> None:
    story.cluster("notes", said(story, "note", [1] * 12 + [5] * 4))
    story.cluster("bills", said(story, "bill", [3] * 16))
    follow_trends(story.database, story.workspace_id, settings)
    notifications.notify(settings, "run_failed", story.workspace_id, "It failed.")
    notifications.withhold(settings, "other", ["C-notes"])
    assert "notes is growing" in notifications.notifications(settings)[0]["message"]
    notifications.withhold(settings, story.workspace_id, ["C-notes"])
    told = notifications.notifications(settings)
    assert [one["message"] for one in told] == ["Cluster C-notes: purged.", "It failed."]
    follow_trends(story.database, story.workspace_id, settings)
    assert len(notifications.notifications(settings)) == 2


def test_a_sparkline_is_a_bar_a_week() -> None:
    assert sparkline([{"count": count} for count in (0, 1, 4, 8)]) == "·▁▄█"
    assert len(sparkline([{"count": 1}] * 60)) == 26
    assert sparkline([]) == ""
