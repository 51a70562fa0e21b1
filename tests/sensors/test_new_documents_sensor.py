"""The sensor `new_documents`: one run for each change, and no more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from installations import a_run

from elmer_pipelines.definitions import build_definitions, run_workspace
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.store import workspaces
from sensors.new_documents import new_documents_sensor

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database


class Daemon:
    """Ticks the sensor as Dagster's daemon does: the cursor is kept, a run key that was used leads to no run."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings, folder: Path) -> None:
        self.instance, self.settings, self.folder = instance, settings, folder
        self.cursor: str | None = None
        self.keys: set[str] = set()
        self.last: dg.SensorResult | None = None
        self._clock = 1_700_000_000

    def tick(self) -> list[str]:
        """The workspaces for which a run would be started now."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=build_definitions(self.settings),
            resources={"elmer": ElmerResource()},
        ) as context:
            result = new_documents_sensor(5_000)(context)
        assert isinstance(result, dg.SensorResult)
        self.last, self.cursor = result, result.cursor
        new = [one for one in result.run_requests or [] if one.run_key not in self.keys]
        self.keys |= {str(one.run_key) for one in new}
        return [str(one.partition_key) for one in new]

    def write(self, name: str, words: str) -> None:
        """A file with a time of its own, whatever the clock's resolution."""
        self._clock += 10
        (self.folder / name).write_text(words)
        os.utime(self.folder / name, (self._clock, self._clock))

    def read(self) -> None:
        """What the run that was asked for does with the files."""
        assert run_workspace("acme", "documents", settings=self.settings)


@pytest.fixture
def daemon(instance: dg.DagsterInstance, installation: Settings, tmp_path: Path) -> Daemon:
    return Daemon(instance, installation, tmp_path / "acme")


def test_nothing_to_do_at_first(daemon: Daemon) -> None:
    assert daemon.tick() == []
    assert daemon.last is not None and "No document" in str(daemon.last.skip_reason)


def test_an_added_a_changed_and_a_removed_file_lead_to_one_run_each(daemon: Daemon) -> None:
    daemon.write("a.md", "The export fails.")
    daemon.write("b.md", "I need a dark mode.")
    assert daemon.tick() == ["acme"]
    daemon.read()
    assert daemon.tick() == []
    daemon.write("a.md", "The import fails, too.")
    assert daemon.tick() == ["acme"]
    daemon.read()
    assert daemon.tick() == []
    (daemon.folder / "a.md").unlink()
    assert daemon.tick() == ["acme"]
    daemon.read()
    assert daemon.tick() == []


def test_a_change_back_to_what_was_before_is_a_change(daemon: Daemon) -> None:
    for words in ("A", "B", "A", "B"):
        (daemon.folder / "a.md").write_text(f"Version {words} of the need.")
        when = 1_700_000_000 + ord(words)
        os.utime(daemon.folder / "a.md", (when, when))
        assert daemon.tick() == ["acme"], words
        daemon.read()
        assert daemon.tick() == []


def test_a_change_back_without_a_run_in_between_is_asked_for_again(daemon: Daemon) -> None:
    daemon.write("keep.md", "The export fails.")
    daemon.read()
    daemon.write("new.md", "I need a dark mode.")
    assert daemon.tick() == ["acme"]
    saved = (daemon.folder / "new.md").stat()
    (daemon.folder / "new.md").unlink()
    assert daemon.tick() == []
    (daemon.folder / "new.md").write_text("I need a dark mode.")
    os.utime(daemon.folder / "new.md", ns=(saved.st_atime_ns, saved.st_mtime_ns))
    assert daemon.tick() == ["acme"]


def test_a_change_that_is_not_processed_yet_leads_to_no_second_run(daemon: Daemon) -> None:
    daemon.write("a.md", "The export fails.")
    assert daemon.tick() == ["acme"]
    assert [daemon.tick() for _ in range(3)] == [[], [], []]
    assert daemon.last is not None and "ended without finishing" in str(daemon.last.skip_reason)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
def test_no_run_is_asked_for_while_one_is_under_way(status: dg.DagsterRunStatus, daemon: Daemon) -> None:
    run = a_run(daemon.instance, daemon.settings, status)
    daemon.write("a.md", "The export fails.")
    assert daemon.tick() == []
    assert daemon.last is not None and run.run_id[:8] in str(daemon.last.skip_reason)
    daemon.instance.report_run_canceled(run)
    assert daemon.tick() == ["acme"]


def test_an_empty_folder_that_had_documents_is_not_acted_on(daemon: Daemon) -> None:
    daemon.write("a.md", "The export fails.")
    daemon.read()
    (daemon.folder / "a.md").unlink()
    assert daemon.tick() == []
    assert daemon.last is not None and "lists no files" in str(daemon.last.skip_reason)
    daemon.folder.rmdir()
    assert daemon.tick() == []
    assert daemon.last.skip_reason is not None


def test_one_workspace_in_trouble_does_not_stop_the_others(daemon: Daemon, database: Database, tmp_path: Path) -> None:
    other = tmp_path / "zeta"
    other.mkdir()
    (other / "a.md").write_text("I need a dark mode.")
    with database.begin() as connection:
        workspaces.register(connection, "gone", "Gone", str(tmp_path / "not-there"))
        workspaces.register(connection, "zeta", "Zeta", str(other))
    assert daemon.tick() == ["zeta"]


def test_a_workspace_registered_since_becomes_a_partition(daemon: Daemon, database: Database, tmp_path: Path) -> None:
    with database.begin() as connection:
        workspaces.register(connection, "beta", "Beta", str(tmp_path / "acme"))
    daemon.tick()
    assert daemon.last is not None
    (request,) = daemon.last.dynamic_partitions_requests or []
    assert list(request.partition_keys) == ["beta"]


def test_a_tick_that_runs_out_of_time_goes_on_where_it_stopped(
    daemon: Daemon, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.write("a.md", "The export fails.")
    monkeypatch.setattr("sensors.new_documents.TICK_SECONDS", -1.0)
    with database.begin() as connection:
        for number in range(2):
            workspaces.register(connection, f"w{number}", "W", str(daemon.folder))
    assert [daemon.tick() for _ in range(4)] == [["acme"], ["w0"], ["w1"], []]


def test_the_interval_is_the_setting() -> None:
    assert new_documents_sensor(5_000).minimum_interval_seconds == 5
    assert new_documents_sensor(500).minimum_interval_seconds == 1
    assert new_documents_sensor(90_001).minimum_interval_seconds == 91
    assert new_documents_sensor(5_000).default_status == dg.DefaultSensorStatus.RUNNING
