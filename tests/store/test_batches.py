"""The tables of message batches: what they forget, keep and bring over from an older installation."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from elmer_pipelines.store import batches, budgets
from elmer_pipelines.store.batches import Item
from elmer_pipelines.store.database import _MIGRATIONS, Database

ITEMS = [Item("v1:a", {"words": "zanzibar"}, "p v1", None, 0.25), Item("v1:b", {}, "p v1", "hash-b", 0.5)]


def _create(database: Database, workspace: str) -> batches.Batch:
    with database.begin() as connection:
        batches.hold(connection, workspace)
        return batches.create(
            connection, workspace, ITEMS, provider="anthropic", step="signals", model="claude", run_id="run-1",
            detail={"patient": True},
        )  # fmt: skip


def test_an_older_installations_batches_are_kept(database: Database, workspace: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with database.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO elmer.model_batches (workspace_id, id, provider, step, model, items) "
                "VALUES ('acme', 'B-1', 'anthropic', 'signals', 'claude', 1);"
                "INSERT INTO elmer.model_batch_items (workspace_id, batch_id, fingerprint, request) "
                "VALUES ('acme', 'B-1', 'v1:a', '{}')"
            )
        )
    database.migrate()
    with database.begin() as connection:
        assert batches.waiting(connection, workspace) == {"v1:a": "B-1"}
        assert batches.listing(connection, workspace)[0]["owed_usd"] == 0.0


def test_batches_with_the_same_requests_are_different_ones(database: Database, workspace: str) -> None:
    one, other = _create(database, workspace), _create(database, workspace)
    assert one.id != other.id
    assert one.detail == {"patient": True}


def test_what_a_batch_may_cost_is_owed_while_it_is_open_and_no_longer(database: Database, workspace: str) -> None:
    batch = _create(database, workspace)
    with database.begin() as connection:
        assert budgets.owed(connection, workspace, "run-1") == budgets.Sums(0.75, 0.75, 0.75)
        assert budgets.owed(connection, workspace, "run-2") == budgets.Sums(0.75, 0.75, 0.0)
        assert budgets.owed(connection, "other", None) == budgets.Sums(0.75, 0.0, 0.0)
        batches.owe_less(connection, workspace, batch.id, 0.25)
        assert budgets.owed(connection, workspace, None).workspace == 0.5
        batches.refused(connection, workspace, batch.id, "auth", "no key")
        assert budgets.owed(connection, workspace, None) == budgets.Sums()


def test_what_was_sent_is_kept_no_longer_than_needed(database: Database, workspace: str) -> None:
    batch = _create(database, workspace)
    with database.begin() as connection:
        assert [one.request for one in batches.unsent(connection, workspace, batch.id)] == [{"words": "zanzibar"}, {}]
        batches.submitted(connection, workspace, batch.id, "msgbatch_1")
        assert [one.request for one in batches.unsent(connection, workspace, batch.id)] == [{}, {}]
        assert batches.get(connection, workspace, batch.id).service_id == "msgbatch_1"


def test_a_purged_request_is_a_mark_until_its_result_came(database: Database, workspace: str) -> None:
    batch = _create(database, workspace)
    with database.begin() as connection:
        batches.purge(connection, workspace, ["v1:a"], ["hash-b"])
        assert batches.unsent(connection, workspace, batch.id) == []
        assert sorted(batches.awaited(connection, workspace, batch.id)) == ["v1:a", "v1:b"]
        taken = batches.take(connection, workspace, batch.id, ["v1:a", "v1:b"])
        assert [(one.purged, one.keep_as) for one in taken.values()] == [(True, None)] * 2
        for one in taken.values():
            batches.settle(connection, workspace, batch.id, one, "answered")
        assert batches.awaited(connection, workspace, batch.id) == []
        assert batches.close(connection, workspace, batch.id, [], "collected")
        batches.purge(connection, workspace, ["v1:a", "v1:b"])
        assert connection.execute(text("SELECT count(*) FROM elmer.model_batch_items")).scalar() == 0


def test_ends_are_counted_until_they_are_told_or_forgiven(database: Database, workspace: str) -> None:
    for _ in range(2):
        batch = _create(database, workspace)
        with database.begin() as connection:
            batches.close(connection, workspace, batch.id, [], "expired")
    with database.begin() as connection:
        found = batches.ended(connection, workspace, "signals")
        kinds = {mark: [one.kind for one in ends] for mark, ends in found.items()}
        assert kinds == {"v1:a": ["expired"] * 2, "v1:b": ["expired"] * 2}
        batches.tell(connection, workspace, "v1:a")
        assert set(batches.ended(connection, workspace, "signals")) == {"v1:b"}
        batches.forgive(connection, workspace, "another step")
        assert set(batches.ended(connection, workspace, "signals")) == {"v1:b"}
        batches.forgive(connection, workspace)
        assert batches.ended(connection, workspace, "signals") == {}
