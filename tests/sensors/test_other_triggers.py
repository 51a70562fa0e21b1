"""Schedule, failure sensor, and runs whose process is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from corpus import Corpus, TopicEmbedder
from installations import a_run

from elmer_pipelines.clusters.clustering import cluster_signals
from elmer_pipelines.definitions import register_workspaces
from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.notifications import notifications
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.store import clusterings, workspaces
from elmer_pipelines.store.run_locks import living
from sensors import abandoned_runs as watch
from sensors.nightly import nightly
from sensors.run_failures import run_failures

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

RUNNING = dg.DagsterRunStatus.STARTED


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_each_workspace_has_one_run_a_night(
    instance: dg.DagsterInstance, database: Database, installation: Settings
) -> None:
    with database.begin() as connection:
        workspaces.register(connection, "beta", "Beta", "/nowhere")
    register_workspaces(instance, ["acme", "beta"])
    register_workspaces(instance, ["beta"])
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(2026, 11, 23, 2, 30, tzinfo=UTC),
        resources={"elmer": ElmerResource()},
    ) as context:
        requests = nightly(context)
    assert isinstance(requests, list)
    assert [(one.partition_key, one.run_key) for one in requests] == [
        ("acme", "acme:2026-11-23"), ("beta", "beta:2026-11-23"),
    ]  # fmt: skip
    assert nightly.default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_night_asks_for_a_clustering_where_enough_has_changed(
    instance: dg.DagsterInstance, database: Database, installation: Settings, tmp_path: Path
) -> None:
    corpus = Corpus(database, "acme", root=str(tmp_path / "acme"))
    corpus.embedder = TopicEmbedder(LocalEmbeddings().model)
    corpus.add(0, 8)
    cluster_signals(database, "acme", corpus.embedder)

    def asked() -> int:
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 23, 2, 30, tzinfo=UTC),
            resources={"elmer": ElmerResource()},
        ) as context:
            nightly(context)
        with database.begin() as connection:
            return clusterings.last_request(connection, "acme")[0]

    assert asked() == 0
    corpus.add(0)
    assert asked() > 0


def test_a_failed_run_becomes_a_notification(instance: dg.DagsterInstance, installation: Settings) -> None:
    run = a_run(instance, installation, RUNNING)
    instance.report_run_failed(run, "The disk is full.")
    event = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records[0]
    failure = event.event_log_entry.dagster_event
    assert failure is not None
    with dg.build_run_status_sensor_context(
        sensor_name="run_failures",
        dagster_event=failure,
        dagster_instance=instance,
        dagster_run=run,
        resources={"elmer": ElmerResource()},
    ).for_run_failure() as context:
        run_failures(context)
    (line,) = notifications(installation)
    assert line["workspace"] == "acme" and line["run"] == run.run_id
    assert "The disk is full." in line["message"]


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
    ],
)
def test_a_run_whose_process_is_gone_is_ended(
    status: dg.DagsterRunStatus,
    ends: dg.DagsterRunStatus,
    instance: dg.DagsterInstance,
    installation: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_LOOK_AGAIN_SECONDS", 0.0)
    gone, alive = a_run(instance, installation, status), a_run(instance, installation, status)
    queued = a_run(instance, installation, dg.DagsterRunStatus.QUEUED)
    with living(database, alive.run_id):
        assert watch.reap(instance, database) == []  # young: it may not have had the time to take its lock
        assert watch.reap(instance, database, nothing_else_runs=True) == [gone.run_id]
        assert watch.reap(instance, database, nothing_else_runs=True) == []
    assert _status(instance, gone) == ends
    assert _status(instance, alive) == status
    assert _status(instance, queued) == dg.DagsterRunStatus.QUEUED


def test_a_run_that_ends_between_two_looks_is_left_alone(
    instance: dg.DagsterInstance, installation: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(instance, installation, RUNNING)

    def meanwhile(_: float) -> None:
        instance.report_run_canceled(run)

    monkeypatch.setattr("sensors.abandoned_runs.time.sleep", meanwhile)
    assert watch.reap(instance, database, nothing_else_runs=True) == []
    assert _status(instance, run) == dg.DagsterRunStatus.CANCELED


def test_the_sensor_ends_a_run_that_shows_no_life_at_two_ticks(
    instance: dg.DagsterInstance, installation: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    monkeypatch.setitem(watch._PATIENCE, RUNNING, timedelta(0))
    run = a_run(instance, installation, RUNNING)
    cursor: str | None = None
    said = []
    for _ in range(3):
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"elmer": ElmerResource()}) as context:
            found = watch.abandoned_runs(context)
            assert isinstance(found, dg.SkipReason)
            said.append(found.skip_message)
            cursor = context.cursor
    every = "Every run that should be running is."
    assert said == [every, f"Ended {run.run_id}.", every]
    assert _status(instance, run) == dg.DagsterRunStatus.FAILURE
