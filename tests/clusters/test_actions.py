"""What is suggested for a theme takes the team's projects into account: linked ones, and near ones."""

from __future__ import annotations

from typing import Any

import pytest
from story import FixedEmbedder, Story, at_angle

from elmer_pipelines.clusters.actions import suggest_actions
from elmer_pipelines.store.database import Database


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def suggested(story: Story) -> dict[str, tuple[Any, ...]]:
    with story.database.begin() as connection:
        suggest_actions(connection, story.workspace_id, FixedEmbedder())
    rows = story.run("SELECT id, suggested_action, suggested_project_id FROM elmer.clusters WHERE workspace_id = :w")
    return {row[0]: tuple(row[1:]) for row in rows}


def theme(story: Story, name: str, number: int, similarity: float = 0.0, **values: Any) -> list[str]:
    signals = [story.signal(f"{name} {one}", vector=at_angle(similarity)) for one in range(number)]
    story.cluster(name, signals, **values)
    return signals


def test_all_three_values_are_reached(story: Story) -> None:
    near = story.project("Calendar sync", vector=(1, 0, 0, 0))
    linked = story.project("Invoices", vector=(0, 0, 1, 0))
    theme(story, "near", 3, 0.76)
    for signal in theme(story, "linked", 4)[:2]:
        story.link(signal, linked)
    theme(story, "new", 3)
    theme(story, "small", 2)
    theme(story, "loose", 5, confidence=0.3)
    assert suggested(story) == {
        "C-near": ("link_to_existing", near),
        "C-linked": ("link_to_existing", linked),
        "C-new": ("new_project", None),
        "C-small": ("review", None),
        "C-loose": ("review", None),
    }


def test_initiatives_and_retired_projects_do_not_count(story: Story) -> None:
    """An initiative is what came of a suggestion; if it counted, a second run would decide otherwise."""
    initiative = story.project("From a cluster", vector=(1, 0, 0, 0), origin="initiative")
    gone = story.project("Gone", vector=(1, 0, 0, 0))
    story.run("UPDATE elmer.projects SET retired_at = now() WHERE workspace_id = :w AND id = :p", p=gone)
    for signal in theme(story, "near", 3, 0.9):
        story.link(signal, initiative, "cluster")
        story.link(signal, gone)
    assert suggested(story) == {"C-near": ("new_project", None)}


def test_a_link_taken_back_takes_the_suggestion_back(story: Story) -> None:
    project = story.project("Invoices")
    signals = theme(story, "linked", 3)
    for signal in signals:
        story.link(signal, project, "human")
    assert suggested(story)["C-linked"] == ("link_to_existing", project)
    story.run("DELETE FROM elmer.signal_links WHERE workspace_id = :w")
    assert suggested(story)["C-linked"] == ("new_project", None)


def test_another_workspace_has_its_own_projects(story: Story, database: Database) -> None:
    other = Story(database, "other")
    other.project("Calendar sync", vector=(1, 0, 0, 0))
    theme(story, "near", 3, 0.9)
    assert suggested(story) == {"C-near": ("new_project", None)}
