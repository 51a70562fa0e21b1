"""What people see of clusters beside their names: coverage, levels, the last changes, and what each amounts to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from story import Story

from elmer_pipelines.clusters import overview
from elmer_pipelines.store import clusters
from elmer_pipelines.store.database import Database


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def test_a_cluster_with_what_it_amounts_to(story: Story) -> None:
    fourth, tenth, eleventh = (datetime(2026, 5, day, tzinfo=UTC) for day in (4, 10, 11))
    said = [
        story.signal("one", address="a.md", kind="interview", segment="admin", occurred_at=fourth),
        story.signal("two", address="b.md", kind="ticket", segment="admin", occurred_at=tenth),
        story.signal("three", address="c.md", kind="ticket", edits='{"segment": "owner"}', occurred_at=eleventh),
    ]
    story.cluster("notes", said)
    with story.database.begin() as connection:
        (one,) = overview.clusters(connection, story.workspace_id)
        assert overview.clusters(connection, "other") == []
    assert (one["documents"], one["kinds"]) == (3, {"ticket": 2, "interview": 1})
    assert one["segments"] == {"admin": 2, "owner": 1}
    assert one["weeks"] == {"2026-05-04": 2, "2026-05-11": 1}
    assert (one["first_heard"], one["last_heard"]) == (fourth, eleventh)


def test_levels_are_summed_up_apart(story: Story) -> None:
    notes, bills = ([story.signal(f"{what} {one}") for one in range(4)] for what in ("note", "bill"))
    story.cluster("notes", notes)
    story.cluster("bills", bills[:2])
    story.run("INSERT INTO elmer.clusters (workspace_id, id, level, size) VALUES (:w, 'C-area', 'area', 4)")
    story.run("UPDATE elmer.clusters SET parent_id = 'C-area' WHERE workspace_id = :w AND id = 'C-notes'")
    with story.database.begin() as connection:
        assert overview.levels(connection, story.workspace_id) == [
            {"level": "area", "clusters": 1, "smallest": 4, "median": 4, "largest": 4},
            {"level": "theme", "clusters": 2, "smallest": 2, "median": 4, "largest": 4},
        ]
        assert overview.coverage(connection, story.workspace_id) == 6 / 8
        assert overview.coverage(connection, "other") is None
        (area,) = overview.clusters(connection, story.workspace_id, "area")
    assert area["documents"] == 4


def test_only_the_last_clustering_is_told_what_is_new_first(story: Story) -> None:
    story.cluster("notes", [story.signal("one")])

    def happens(*events: dict[str, object]) -> None:
        with story.database.begin() as connection:
            clusters.note_events(connection, story.workspace_id, events)

    happens({"cluster_id": "C-notes", "event": "appeared", "detail": {"size": 1, "from": []}})
    happens(
        {"cluster_id": "C-notes", "event": "continued", "detail": {"size": 5, "stayed": 1, "joined": 4, "left": 0}},
        {"cluster_id": "C-gone", "event": "ended", "detail": {"into": ["C-notes"]}},
        {"cluster_id": "C-new", "event": "appeared", "detail": {"size": 3, "from": []}},
    )
    with story.database.begin() as connection:
        assert overview.changes(connection, story.workspace_id) == [
            {"event": "appeared", "level": "", "cluster": "C-new", "theme": "", "what": "appeared with 3 signals"},
            {"event": "ended", "level": "", "cluster": "C-gone", "theme": "", "what": "ended, to notes (C-notes)"},
            {"event": "continued", "level": "theme", "cluster": "C-notes", "theme": "notes",
             "what": "went on with 5 signals, 4 joined"},
        ]  # fmt: skip
        assert overview.changes(connection, "other") == []
    story.run(
        "INSERT INTO elmer.clusterings (workspace_id, reason, model, signals, unclustered, clusters) "
        "VALUES (:w, 'hand', 'm', 1, 0, 1)"
    )
    with story.database.begin() as connection:
        assert overview.changes(connection, story.workspace_id) == [], "the last one changed nothing"
