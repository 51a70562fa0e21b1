from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from story import FixedEmbedder, Story

from elmer_pipelines.store import initiatives, projects
from elmer_pipelines.store.initiatives import Decision
from elmer_pipelines.store.projects import Classification, Project

if TYPE_CHECKING:
    from elmer_pipelines.store.database import Database


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def test_saving_a_project_again_changes_only_what_differs(story: Story) -> None:
    one = Project("P-1", "Exports", "Out", "inbox", "named")
    with story.database.begin() as connection:
        assert projects.save(connection, "acme", [one]) == 1
        assert projects.save(connection, "acme", [one]) == 0
        assert projects.retire_named_except(connection, "acme", []) == 1
        assert projects.live(connection, "acme") == []
        assert projects.names_ever(connection, "acme") == [("P-1", "Exports")]
        assert projects.save(connection, "acme", [one]) == 1
        assert projects.live(connection, "acme") == [one]
        assert projects.live(connection, "acme", "initiative") == []


def test_a_cluster_adds_and_takes_away_only_its_own_links(story: Story) -> None:
    project = story.project("Exports")
    first, second, third = (story.signal(f"I need exports number {n}.") for n in range(3))
    story.link(first, project, "human")
    with story.database.begin() as connection:
        touched = projects.link_by_cluster(connection, "acme", project, {first: 0.9, second: None}, "Member.")
        assert touched == [second]
    assert story.status(second) == "linked"
    with story.database.begin() as connection:
        touched = projects.link_by_cluster(connection, "acme", project, {third: 0.5}, "Member.")
    assert sorted(touched) == sorted([second, third])
    assert story.links() == {(first, project, "human"), (third, project, "cluster")}
    assert story.status(second) == "new"
    with story.database.begin() as connection:
        projects.link_by_cluster(connection, "acme", project, {}, "Member.", keep_others=True)
    assert (third, project, "cluster") in story.links()


def test_links_of_retired_signals_and_projects_are_not_shown(story: Story) -> None:
    kept, gone = story.project("Exports"), story.project("Imports")
    first, second = story.signal("I need exports."), story.signal("I need imports.")
    for signal in (first, second):
        story.link(signal, kept)
        story.link(signal, gone)
    story.run("UPDATE elmer.signals SET retired_at = now() WHERE id = :s", s=second)
    story.run("UPDATE elmer.projects SET retired_at = now() WHERE id = :p", p=gone)
    with story.database.begin() as connection:
        assert [(row["signal_id"], row["project"]) for row in projects.links(connection, "acme")] == [
            (first, "Exports")
        ]


def test_a_decision_keeps_its_time_while_it_stays_the_same(story: Story) -> None:
    from datetime import UTC, datetime

    cluster = story.cluster("slow", [story.signal("It is slow.")])
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with story.database.begin() as connection:
        initiatives.record(connection, "acme", Decision(cluster, "suggested", "Big."), early)
        initiatives.record(connection, "acme", Decision(cluster, "suggested", "Big."), late)
        assert initiatives.decisions(connection, "acme")[cluster].decided_at == early
        initiatives.record(connection, "acme", Decision(cluster, "below", "Small."), late)
        assert initiatives.decisions(connection, "acme")[cluster].decided_at == late
        assert initiatives.overview(connection, "acme")[0]["theme"] == "slow"


def test_every_reading_function_sees_its_own_workspace_only(story: Story) -> None:
    """I9, function by function: the other workspace is full, this one is empty."""
    other = Story(story.database, "other")
    project = other.project("Exports", "", [1, 0, 0, 0])
    signal = other.signal("I need exports.", vector=[1, 0, 0, 0])
    other.link(signal, project)
    cluster = other.cluster("exports", [signal])
    model = FixedEmbedder.model
    with story.database.begin() as connection:
        projects.save_classification(
            connection, "other", Classification(signal, "linked", "Near.", model, project, 0.9)
        )
        initiatives.record(connection, "other", Decision(cluster, "suggested", "Big."), _now())
        theirs = projects.live(connection, "other")
        assert projects.live(connection, "acme") == projects.names_ever(connection, "acme") == []
        assert projects.unclassified_inputs(connection, "acme", model) == []
        assert projects.with_vectors(connection, "acme", model, theirs) == []
        assert projects.nearest(connection, "acme", model, [signal], theirs, 5) == []
        assert projects.links(connection, "acme") == []
        assert projects.heard(connection, "acme", ["export"]) == {"export": 0}
        assert projects.heard(connection, "other", ["export", "o'x"]) == {"export": 1, "o'x": 0}
        assert projects.verdicts(connection, "acme") == {}
        assert initiatives.clusters(connection, "acme") == initiatives.overview(connection, "acme") == []
        assert initiatives.named_links(connection, "acme") == initiatives.decisions(connection, "acme") == {}
        assert projects.verdicts(connection, "other") == {"linked": 1}


def test_every_writing_function_leaves_other_workspaces_alone(story: Story) -> None:
    other = Story(story.database, "other")
    project, signal = other.project("Exports"), other.signal("I need exports.", status="linked")
    other.link(signal, project, "cluster")
    with story.database.begin() as connection:
        projects.retire_named_except(connection, "acme", [])
        projects.refresh_statuses(connection, "acme", [signal])
        assert projects.link_by_cluster(connection, "acme", project, {}, "Member.") == []
        projects.save(connection, "acme", [Project(project, "Ours", "", "inbox", "named")])
        assert [one.name for one in projects.live(connection, "other")] == ["Exports"]
    assert other.links() == {(signal, project, "cluster")}
    assert other.status(signal) == "linked"


def _now():  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.now(UTC)
