"""The sensor `message_batches`: a batch that ended leads to one run, which takes in its answers and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from installations import a_run
from servers.model_server import ModelServer
from sqlalchemy import text

from elmer_pipelines.definitions import build_definitions, run_workspace
from elmer_pipelines.resources import ElmerResource, close_pipelines
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.store.database import Database
from sensors.batches import message_batches


@pytest.fixture
def served(installation: Settings, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The installation with a key, in which nobody's work is asked at once."""
    for name, value in {
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "ANTHROPIC_BASE_URL": model_server.url,
        "ELMER_BATCH": "always",
    }.items():
        monkeypatch.setenv(name, value)
    close_pipelines()
    yield load_settings()
    close_pipelines()


def _tick(instance: dg.DagsterInstance, settings: Settings) -> list[dg.RunRequest]:
    with dg.build_sensor_context(
        instance=instance, definitions=build_definitions(settings), resources={"elmer": ElmerResource()}
    ) as context:
        found = message_batches(context)
    return found if isinstance(found, list) else []


def _counts(database: Database, statement: str) -> int:
    with database.begin() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def test_a_batch_that_ended_leads_to_one_run_that_uses_its_answers(
    instance: dg.DagsterInstance, served: Settings, database: Database, model_server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "acme" / "a.md").write_text("The export of invoices loses a third of the rows every month.")
    assert _tick(instance, served) == []
    assert run_workspace("acme", "documents", settings=served)
    assert run_workspace("acme", "signals", settings=served)
    signals = "SELECT count(*) FROM elmer.signals"
    assert _counts(database, signals) == 0
    assert _tick(instance, served) == []  # it has not ended
    model_server.batches.end()
    (request,) = _tick(instance, served)
    assert request.partition_key == "acme"
    assert request.tags == {"elmer/trigger": "message_batches"}
    assert [one.run_key for one in _tick(instance, served)] == [request.run_key]  # the daemon starts it once
    run = a_run(instance, served, dg.DagsterRunStatus.STARTED)
    assert _tick(instance, served) == []
    instance.report_run_canceled(run)
    assert run_workspace("acme", "signals", settings=served)
    assert _counts(database, signals) > 0
    assert _tick(instance, served) == []
    assert model_server.count("messages") == 0


def test_a_run_of_a_schedule_is_one_nobody_waits_for_and_so_is_what_follows(
    instance: dg.DagsterInstance,
    served: Settings,
    database: Database,
    model_server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELMER_BATCH", "auto")
    (tmp_path / "acme" / "a.md").write_text("The export of invoices loses a third of the rows every month.")
    assert run_workspace("acme", "documents", settings=load_settings())
    job = build_definitions(load_settings()).resolve_job_def("refresh")
    done = job.execute_in_process(
        instance=instance,
        partition_key="acme",
        asset_selection=[dg.AssetKey("signals")],
        tags={"dagster/schedule_name": "nightly"},
    )
    assert done.success
    metadata = done.asset_materializations_for_node("signals")[0].metadata
    assert metadata["waiting"].value == 1
    assert len(model_server.batches.all) == 1
    model_server.batches.end()
    (request,) = _tick(instance, load_settings())
    assert request.tags["elmer/patient"] == "true"


def test_the_sensor_is_on(installation: Settings) -> None:
    assert message_batches.default_status == dg.DefaultSensorStatus.RUNNING
    assert "message_batches" in {one.name for one in build_definitions(installation).sensors or []}
