"""What people are told, in ELMER_HOME/notifications.jsonl."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from elmer_pipelines.notifications import FILE, newest, notifications, notify, notify_failure
from elmer_pipelines.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    return load_settings(tmp_path)


def test_the_newest_come_first_and_from_ones_own_workspace(settings: Settings) -> None:
    for number in range(8):
        notify(settings, "cluster_spike", "acme", f"Theme {number} is growing.")
        notify(settings, "cluster_spike", "other", "Not yours.")
    notify(settings, "run_failed", None, "refresh failed.")
    told = [one["message"] for one in newest(settings, "acme", limit=3)]
    assert told == ["refresh failed.", "Theme 7 is growing.", "Theme 6 is growing."]


def test_what_was_told_long_ago_is_not_new(settings: Settings) -> None:
    notify(settings, "cluster_spike", "acme", "Old.")
    file = settings.home_folder / FILE
    old = json.loads(file.read_text())
    old["at"] = (datetime.now(UTC) - timedelta(days=15)).isoformat(timespec="seconds")
    file.write_text(json.dumps(old) + "\n")
    notify(settings, "cluster_spike", "acme", "New.")
    assert [one["message"] for one in newest(settings, "acme")] == ["New."]
    assert len(notifications(settings)) == 2


def test_a_line_cut_short_hides_no_other(settings: Settings) -> None:
    notify(settings, "cluster_spike", "acme", "Whole.")
    with (settings.home_folder / FILE).open("a") as file:
        file.write('{"at": "2026-01-0\n')
    notify(settings, "cluster_spike", "acme", "Whole again.")
    assert [one["message"] for one in notifications(settings)] == ["Whole.", "Whole again."]


def test_a_failed_run_is_told_once_whoever_sees_it_first(settings: Settings) -> None:
    for run_id in ("r1", "r1", "r2"):
        notify_failure(settings, "acme", "refresh", "signals: no such file", run_id)
    assert [one["run"] for one in notifications(settings)] == ["r1", "r2"]
    assert notifications(settings)[0]["message"] == "refresh failed: signals: no such file"
