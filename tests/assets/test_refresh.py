"""The job `refresh` on a small folder, end to end with the local models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from sqlalchemy import text

from elmer_pipelines.definitions import RunOutcome, run_workspace
from elmer_pipelines.errors import SettingsError, WorkspaceError
from elmer_pipelines.notifications import notifications
from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.steps import listening

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

INTERVIEWS = {
    "anna.md": "# Interview\n\nAnna: The export to CSV fails every time I have over 100 rows. It is blocking us.\n",
    "ben.md": "# Interview\n\nBen: I need a dark mode because the white screen hurts my eyes at night.\n",
    "cleo.md": "# Interview\n\nCleo: The CSV export crashes with large tables, so we copy the rows by hand.\n",
}


@pytest.fixture
def folder(workspace: str, tmp_path: Path) -> Path:
    for name, words in INTERVIEWS.items():
        (tmp_path / "acme" / name).write_text(words)
    return tmp_path / "acme"


def _metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None and event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def _checks(instance: dg.DagsterInstance, outcome: RunOutcome) -> dict[str, Any]:
    records = instance.get_records_for_run(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    found = [record.event_log_entry.dagster_event.event_specific_data for record in records]  # type: ignore[union-attr]
    return {f"{one.asset_key.to_user_string()}.{one.check_name}": one for one in found}  # type: ignore[union-attr]


def test_a_folder_becomes_signals_with_all_checks(
    folder: Path, installation: Settings, instance: dg.DagsterInstance, database: Database
) -> None:
    outcome = run_workspace("acme", settings=installation)
    assert outcome.succeeded, outcome.failed_steps

    run = instance.get_run_by_id(outcome.run_id)
    assert run is not None and run.job_name == "refresh" and run.tags["dagster/partition"] == "acme"
    assert run.tags[".dagster/repository"] == "__repository__@elmer"
    for step in STEPS:
        assert instance.get_materialized_partitions(dg.AssetKey(step)) == {"acme"}
    with database.begin() as connection:
        signals = connection.execute(text("SELECT count(*) FROM elmer.signals WHERE retired_at IS NULL")).scalar_one()
    shown = _metadata(instance, "signals")
    assert signals >= 3 and shown["dagster/row_count"] == signals
    assert shown["pending"] == shown["done"] == 3 and shown["failed"] == 0 and shown["cost_usd"] == 0.0
    assert shown["picture"].startswith("![Signals by severity](data:image/svg+xml;base64,")
    assert len(shown["picture"]) < 60_000
    checks = _checks(instance, outcome)
    assert {name for name, one in checks.items() if not one.passed} == set()
    assert {"signals.quotes_are_verbatim", "prds.citations_resolve", "signal_clusters.coverage"} <= set(checks)
    assert checks["signals.coverage"].partition == "acme"


def test_the_clusters_are_shown_to_be_looked_at(
    folder: Path, installation: Settings, instance: dg.DagsterInstance
) -> None:
    for number in range(4):
        (folder / f"more-{number}.md").write_text(
            f"Dora {number}: The CSV export fails with {number + 2} hundred rows.\n"
        )
    outcome = run_workspace("acme", settings=installation)
    assert outcome.succeeded, outcome.failed_steps
    shown = _metadata(instance, "signal_clusters")
    assert 0 < shown["Coverage"] <= 1
    assert {"Levels", "Changes since last time"} <= set(shown)
    for asset in ("signal_clusters", "cluster_themes"):
        picture = _metadata(instance, asset)["Map"]
        assert picture.startswith("![Map of the themes](data:image/svg+xml;base64,") and len(picture) < 30_000
    themes, trends = _metadata(instance, "cluster_themes"), _metadata(instance, "cluster_trends")
    assert set(themes["Clusters"].records[0].data) >= {"theme", "size", "suggested_action"}
    assert set(trends["Trends"].records[0].data) >= {"theme", "verdict", "q", "weeks", "last 4 weeks", "before"}
    told = [one.data for one in themes["Changes since last time"].records]
    assert all(one["theme"] for one in told if one["event"] == "appeared"), "what is new has its name here"
    assert any("signal" in one["what"] for one in told)
    checks = _checks(instance, outcome)
    assert checks["signal_clusters.stability"].passed
    assert checks["cluster_themes.siblings_have_names_of_their_own"].passed


def test_a_second_run_does_nothing(folder: Path, installation: Settings, instance: dg.DagsterInstance) -> None:
    assert run_workspace("acme", settings=installation)
    version = _metadata(instance, "signals")
    assert run_workspace("acme", settings=installation)
    for step in STEPS:
        assert _metadata(instance, step)["pending"] == 0, step
    again = _metadata(instance, "signals")
    assert again["dagster/row_count"] == version["dagster/row_count"]


def test_an_unreadable_file_is_reported_and_the_run_is_green(
    folder: Path, installation: Settings, instance: dg.DagsterInstance
) -> None:
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 this is no document")
    outcome = run_workspace("acme", "documents", settings=installation)
    assert outcome.succeeded
    check = _checks(instance, outcome)["documents.failure_rate"]
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR  # 1 of 4 is above a fifth
    assert check.metadata["failed"].value == 1

    for number in range(5):
        (folder / f"more-{number}.md").write_text(f"Dora {number}: I need invoices in euro, number {number}.\n")
    check = _checks(instance, run_workspace("acme", "documents", settings=installation))["documents.failure_rate"]
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN  # 1 of 9 is not


def test_a_selection_runs_only_what_it_names(
    folder: Path, installation: Settings, instance: dg.DagsterInstance
) -> None:
    assert run_workspace("acme", "+signals", settings=installation)
    assert instance.get_latest_materialization_event(dg.AssetKey("signal_embeddings")) is None
    assert _metadata(instance, "signals")["done"] == 3
    assert run_workspace("acme", "signal_embeddings", settings=installation)
    assert _metadata(instance, "signal_embeddings")["done"] >= 3


@pytest.mark.parametrize("select", ["nope", "signals and prds", "group:none"])
def test_a_selection_of_nothing_says_what_there_is(select: str, installation: Settings) -> None:
    with pytest.raises(SettingsError, match="The assets are documents"):
        run_workspace("acme", select, settings=installation)


def test_an_unknown_workspace_is_refused(installation: Settings) -> None:
    with pytest.raises(WorkspaceError, match="elmer init"):
        run_workspace("other", settings=installation)


def test_progress_reaches_whoever_listens(folder: Path, installation: Settings) -> None:
    told: list[tuple[str, int, int]] = []
    with listening(lambda step, done, total: told.append((step, done, total))):
        run_workspace("acme", "documents", settings=installation)
    assert ("documents", 3, 3) in told


def test_a_step_that_fails_is_told_with_its_reason(folder: Path, installation: Settings) -> None:
    assert run_workspace("acme", "documents", settings=installation)
    for file in folder.iterdir():
        file.unlink()
    outcome = run_workspace("acme", "documents", settings=installation)
    assert not outcome
    assert "lists no files" in outcome.failed_steps["documents"]
    last = notifications(installation)[-1]
    assert last["kind"] == "run_failed" and last["run"] == outcome.run_id and "lists no files" in last["message"]
