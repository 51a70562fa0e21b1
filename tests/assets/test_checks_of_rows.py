"""The checks on planted faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from elmer_pipelines import checks, cluster_checks, plots
from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import Settings
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.table_states import state_of, steps

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.store.database import Database

WORDS = "Anna: The export fails every time 💥 and I need it for the invoices, it is blocking our whole team.\n"


@pytest.fixture
def filled(database: Database, workspace: str, tmp_path: Path) -> str:
    """One document with a signal at a known place, found by the real pipeline."""
    (tmp_path / "acme" / "anna.md").write_text(WORDS)
    pipeline = Pipeline(Settings(), database)
    for step in ("documents", "signals", "signal_embeddings", "signal_clusters"):
        pipeline.run(step, workspace)
    return pipeline.embedder.model


def _run(database: Database, statement: str, **values: object) -> None:
    with database.begin() as connection:
        assert connection.execute(text(statement), values).rowcount > 0


def test_all_is_well_at_first(database: Database, workspace: str, filled: str) -> None:
    with database.begin() as connection:
        found = [
            checks.quotes_are_verbatim(connection, workspace),
            checks.signals_cover_documents(connection, workspace),
            checks.signals_have_vectors(connection, workspace, filled),
            checks.signals_are_clustered(connection, workspace),
            checks.failure_rate(connection, workspace, "signals"),
            checks.citations_resolve(connection, workspace, "prd"),
        ]
    assert [one.summary for one in found if not one.passed] == []
    assert found[0].figures["signals"] >= 1
    assert found[1].figures == {
        "documents": 1, "looked_at": 1, "failed": 0, "waiting": 0, "with_signals": 1, "share_with_signals": 1.0,
    }  # fmt: skip


def test_a_quote_that_was_moved_by_one_is_found(database: Database, workspace: str, filled: str) -> None:
    _run(database, 'UPDATE elmer.signals SET start = start + 1, "end" = "end" + 1')
    with database.begin() as connection:
        found = checks.quotes_are_verbatim(connection, workspace)
    assert not found.passed and found.serious
    assert found.figures["wrong"] == found.figures["signals"] == len(found.examples)


def test_a_quote_of_a_version_that_is_gone_is_found(database: Database, workspace: str, filled: str) -> None:
    _run(database, "UPDATE elmer.signals SET content_hash = 'gone'")
    with database.begin() as connection:
        assert not checks.quotes_are_verbatim(connection, workspace).passed


def test_missing_and_stretched_vectors_are_found(database: Database, workspace: str, filled: str) -> None:
    with database.begin() as connection:
        assert not checks.signals_have_vectors(connection, workspace, "another-model").passed
    dimensions = 256
    stretched = "[" + ",".join(["0.5"] * dimensions) + "]"
    _run(database, "UPDATE elmer.embeddings SET embedding = CAST(:v AS halfvec)", v=stretched)
    with database.begin() as connection:
        found = checks.signals_have_vectors(connection, workspace, filled)
    assert not found.passed and found.serious and found.figures["bad_length"] >= 1


def test_signals_that_wait_for_a_batch_are_excused(database: Database, workspace: str, filled: str) -> None:
    _run(database, "DELETE FROM elmer.embeddings WHERE model = :m", m=filled)
    waiting = "state = 'pending', error_kind = 'waiting'"
    _run(database, f"UPDATE elmer.outcomes SET {waiting} WHERE step = 'signal_embeddings'")
    with database.begin() as connection:
        found = checks.signals_have_vectors(connection, workspace, filled)
    assert found.passed and found.figures["waiting"] == found.figures["signals"]
    assert "wait for a message batch" in found.summary
    _run(database, "UPDATE elmer.outcomes SET error_kind = NULL WHERE step = 'signal_embeddings'")
    with database.begin() as connection:
        assert not checks.signals_have_vectors(connection, workspace, filled).passed


def test_documents_and_signals_nobody_looked_at_are_found(database: Database, workspace: str, filled: str) -> None:
    _run(database, "UPDATE elmer.outcomes SET state = 'pending' WHERE step = 'signals'")
    _run(database, "DELETE FROM elmer.cluster_members")
    with database.begin() as connection:
        assert not checks.signals_cover_documents(connection, workspace).passed
        assert not checks.signals_are_clustered(connection, workspace).passed


@pytest.mark.parametrize(("failed", "records", "serious"), [(1, 5, False), (2, 5, True), (1, 100, False)])
def test_failures_are_serious_above_a_fifth(
    failed: int, records: int, serious: bool, database: Database, workspace: str
) -> None:
    with database.begin() as connection:
        for number in range(records):
            connection.execute(
                text(
                    "INSERT INTO elmer.outcomes "
                    "(workspace_id, step, record_id, fingerprint, state, error_kind, message) "
                    "VALUES (:w, 'documents', :r, 'v1:x', :s, 'broken', 'why')"
                ),
                {"w": workspace, "r": f"file-{number}", "s": "failed" if number < failed else "done"},
            )
        found = checks.failure_rate(connection, workspace, "documents")
    assert not found.passed and found.serious is serious
    assert found.figures["share_failed"] == failed / records
    assert found.examples[0]["message"] == "why"


def test_the_stability_of_ids_is_what_the_last_clustering_found(database: Database, workspace: str) -> None:
    def clustering(figures: str) -> checks.CheckOutcome:
        _run(
            database,
            "INSERT INTO elmer.clusterings (workspace_id, reason, model, signals, unclustered, clusters, figures) "
            "VALUES (:w, 'hand', 'm', 100, 0, 9, CAST(:f AS jsonb))",
            w=workspace,
            f=figures,
        )
        with database.begin() as connection:
            return cluster_checks.clusters_are_stable(connection, workspace)

    with database.begin() as connection:
        assert cluster_checks.clusters_are_stable(connection, workspace).passed
    assert clustering('{"kept": 0, "moved": 0}').passed
    assert clustering('{"kept": 100, "moved": 10}').figures["share_stayed"] == 0.9
    found = clustering('{"kept": 100, "moved": 11}')
    assert not found.passed and not found.serious and "89.0% of 100" in found.summary


def test_siblings_with_one_name_are_found(database: Database, workspace: str) -> None:
    rows = [
        ("C-1", "theme", None, "Sync", None), ("C-2", "theme", "C-9", "Notes", "sync"),
        ("C-9", "area", None, "Sync", None),
        ("C-3", "need", "C-1", "Sync", None), ("C-4", "need", "C-2", "Sync", None),
        ("C-5", "theme", None, None, None),
    ]  # fmt: skip
    for row in rows:
        _run(
            database,
            "INSERT INTO elmer.clusters (workspace_id, id, level, parent_id, theme, human_theme, size) "
            "VALUES (:w, :id, :level, :parent, :theme, :human, 3)",
            w=workspace,
            **dict(zip(("id", "level", "parent", "theme", "human"), row, strict=True)),
        )
    with database.begin() as connection:
        found = cluster_checks.siblings_have_own_names(connection, workspace)
    assert not found.passed and found.figures == {"named": 5, "shared_names": 1}
    assert found.examples == [{"name": "sync", "clusters": "C-1, C-2"}]
    _run(database, "UPDATE elmer.clusters SET ended_at = now() WHERE id = 'C-1'")
    with database.begin() as connection:
        assert cluster_checks.siblings_have_own_names(connection, workspace).passed


def test_no_check_sees_another_workspace(database: Database, workspace: str, filled: str) -> None:
    _run(database, 'UPDATE elmer.signals SET start = start + 1, "end" = "end" + 1')
    with database.begin() as connection:
        workspaces.register(connection, "other", "Other", "/nowhere")
        assert checks.quotes_are_verbatim(connection, "other").figures == {"signals": 0, "wrong": 0}
        assert checks.signals_cover_documents(connection, "other").figures["documents"] == 0
        assert checks.signals_have_vectors(connection, "other", filled).figures["signals"] == 0
        assert checks.signals_are_clustered(connection, "other").figures["signals"] == 0
        assert cluster_checks.siblings_have_own_names(connection, "other").figures == {"named": 0, "shared_names": 0}
        assert checks.failure_rate(connection, "other", "documents").figures == {"records": 0, "failed": 0}
        assert plots.severities(connection, "other") is None
        assert plots.cluster_sizes(connection, "other") is None
        for step in steps():
            assert state_of(connection, "other", step).rows == 0, step


def test_the_version_of_a_table_changes_with_what_it_says(database: Database, workspace: str, filled: str) -> None:
    with database.begin() as connection:
        before = state_of(connection, workspace, "signals")
        assert state_of(connection, workspace, "signals") == before
    _run(database, "UPDATE elmer.signals SET severity = CASE severity WHEN 'low' THEN 'high' ELSE 'low' END")
    with database.begin() as connection:
        after = state_of(connection, workspace, "signals")
    assert after.rows == before.rows and after.version != before.version


def test_labels_of_a_picture_are_data() -> None:
    import base64

    picture = plots.picture("Title", [("</text><script>alert(1)</script>", 3), ("x" * 200, 1)])
    assert picture is not None
    svg = base64.b64decode(picture.split("base64,")[1].rstrip(")")).decode()
    assert "<script>" not in svg and "&lt;script&gt;" in svg and "x" * 50 not in svg
