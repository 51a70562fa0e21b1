from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from story import SCALE, FixedEmbedder, Story, at_angle

from elmer_pipelines.clusters.actions import suggest_actions
from elmer_pipelines.documents.workspace_file import Automation
from elmer_pipelines.models.protocols import SimilarityScale
from elmer_pipelines.projects.initiatives import confidence_on_common_scale, decide_initiatives
from elmer_pipelines.store import initiatives, projects

if TYPE_CHECKING:
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.initiatives import Decision

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def decide(story: Story, now: datetime = NOON, **settings: Any) -> StepResult:
    automation = Automation(**({"depth": "auto_create"} | settings))
    return decide_initiatives(story.database, story.workspace_id, automation, SCALE, now=now)


def decision(story: Story, cluster_id: str) -> Decision:
    with story.database.begin() as connection:
        return initiatives.decisions(connection, story.workspace_id)[cluster_id]


def made(story: Story) -> list[projects.Project]:
    with story.database.begin() as connection:
        return projects.live(connection, story.workspace_id, "initiative")


def signals(story: Story, number: int, about: str = "exports") -> list[str]:
    return [story.signal(f"Customer {n} complains about {about}.") for n in range(number)]


def test_a_cluster_that_passes_becomes_a_project_with_its_members(story: Story) -> None:
    members = signals(story, 3)
    cluster = story.cluster("Slow exports", members)
    result = decide(story)
    project = made(story)[0]
    assert (project.name, project.cluster_id, project.stage) == ("Slow exports", cluster, "inbox")
    assert "Customers talk about Slow exports." in project.description
    assert "alpha, beta" in project.description
    assert story.links() == {(one, project.id, "cluster") for one in members}
    assert {story.status(one) for one in members} == {"linked"}
    assert result.counts == {"created": 1, "links_changed": 3}
    assert decision(story, cluster).project_id == project.id


def test_the_second_run_does_nothing(story: Story) -> None:
    story.cluster("Slow exports", signals(story, 3))
    decide(story)
    assert decide(story, NOON + timedelta(days=3)).pending == 0
    assert len(made(story)) == 1


@pytest.mark.parametrize("depth", ["manual", "suggest"])
def test_the_shallow_depths_only_record_a_suggestion(story: Story, depth: str) -> None:
    cluster = story.cluster("Slow exports", signals(story, 3))
    decide(story, depth=depth)
    assert made(story) == []
    assert story.links() == set()
    assert decision(story, cluster).action == "suggested"
    assert depth in decision(story, cluster).reason


@pytest.mark.parametrize(
    ("number", "values", "reason"),
    [
        (2, {}, "2 signals; an initiative needs 3"),
        (3, {"severity": "low"}, "severity is low"),
        (3, {"severity": None}, "severity is unknown"),
        (3, {"confidence": 0.66}, "confidence is 0.66"),
        (3, {"confidence": None}, "not known"),
    ],
)
def test_each_threshold_holds_back_and_says_so(story: Story, number: int, values: dict[str, Any], reason: str) -> None:
    cluster = story.cluster("Slow exports", signals(story, number), **values)
    decide(story)
    assert made(story) == []
    assert decision(story, cluster).action == "below"
    assert reason in decision(story, cluster).reason


def test_lowest_minimum_lets_unknown_severity_pass(story: Story) -> None:
    story.cluster("Slow exports", signals(story, 3), severity=None)
    decide(story, min_severity="low")
    assert len(made(story)) == 1


def test_a_cluster_to_review_is_left_to_people(story: Story) -> None:
    cluster = story.cluster("Slow exports", signals(story, 3), action="review")
    decide(story)
    assert decision(story, cluster).action == "suggested"
    assert made(story) == []


def test_confidence_means_the_same_on_every_models_scale() -> None:
    local = SimilarityScale(link=0.70, unrelated=0.40, duplicate=0.95, coherent=0.40)
    assert confidence_on_common_scale(0.40, local) == pytest.approx(0.7)
    assert confidence_on_common_scale(0.20, local) == pytest.approx(0.35)
    assert confidence_on_common_scale(0.62, SCALE) == pytest.approx(0.62)
    assert confidence_on_common_scale(-0.2, local) == 0


def test_the_days_actions_are_capped_and_the_rest_waits_for_the_next(story: Story) -> None:
    clusters = [story.cluster(f"Theme {n}", signals(story, 6 - n, f"theme {n}")) for n in range(3)]
    decide(story, max_actions_per_day=2)
    assert {one.cluster_id for one in made(story)} == set(clusters[:2]), "the largest first"
    assert decision(story, clusters[2]).action == "postponed"

    later = decide(story, NOON + timedelta(hours=5), max_actions_per_day=2)
    assert (len(made(story)), later.pending) == (2, 0)

    decide(story, NOON + timedelta(days=1), max_actions_per_day=2)
    assert len(made(story)) == 3
    assert decision(story, clusters[2]).action == "created"


def test_never_twice_for_the_same_cluster(story: Story) -> None:
    cluster = story.cluster("Slow exports", signals(story, 3))
    decide(story)
    story.run("UPDATE elmer.projects SET retired_at = now()")  # a person did not want it
    story.cluster("Slow exports", [*signals(story, 3), story.signal("One more about exports.")])
    result = decide(story, NOON + timedelta(days=1))
    assert result.done == 1
    assert made(story) == []
    assert decision(story, cluster).action == "created"
    assert len(story.run("SELECT 1 FROM elmer.projects")) == 1


def test_a_continuing_cluster_moves_its_projects_links(story: Story) -> None:
    members = signals(story, 4)
    story.cluster("Slow exports", members)
    decide(story)
    project = made(story)[0].id
    newcomer = story.signal("Exports took an hour today.")
    story.run("UPDATE elmer.signal_links SET method = 'human' WHERE signal_id = :s", s=members[1])

    story.cluster("Slow exports", [*members[2:], newcomer])
    decide(story)

    expected = {(one, project, "cluster") for one in [*members[2:], newcomer]} | {(members[1], project, "human")}
    assert story.links() == expected
    assert story.status(members[0]) == "new"
    assert story.status(newcomer) == "linked"


def test_an_ended_cluster_leaves_its_projects_links(story: Story) -> None:
    members = signals(story, 3)
    story.cluster("Slow exports", members)
    decide(story)
    before = story.links()
    story.run("UPDATE elmer.clusters SET ended_at = now()")
    story.run("DELETE FROM elmer.cluster_members")
    decide(story)
    assert story.links() == before


@pytest.mark.parametrize(("depth", "action"), [("auto_create", "link_existing"), ("full_auto", "linked")])
def test_what_a_named_project_mostly_has_is_not_begun_again(story: Story, depth: str, action: str) -> None:
    project = story.project("Exports")
    members = signals(story, 5)
    for one in members[:3]:
        story.link(one, project)
    cluster = story.cluster("Slow exports", members)

    decide(story, depth=depth)

    assert made(story) == []
    assert (decision(story, cluster).action, decision(story, cluster).project_id) == (action, project)
    linked = {one for one, _, _ in story.links()}
    assert linked == set(members if depth == "full_auto" else members[:3])
    assert decide(story, depth=depth).pending == 0


@pytest.mark.parametrize("depth", ["manual", "suggest", "auto_create", "full_auto"])
def test_what_is_close_to_a_named_project_is_left_for_a_person_to_link(story: Story, depth: str) -> None:
    """The cluster says `link_to_existing`; no setting makes a project of it, nor links it whole without a person."""
    project = story.project("Exports", vector=(1, 0, 0, 0))
    members = [story.signal(f"Export {number} is slow.", vector=at_angle(0.9)) for number in range(3)]
    cluster = story.cluster("Slow exports", members)
    with story.database.begin() as connection:
        suggest_actions(connection, story.workspace_id, FixedEmbedder())

    decide(story, depth=depth)

    assert (made(story), story.links()) == ([], set())
    found = decision(story, cluster)
    assert (found.action, found.project_id) == ("link_existing", project)
    assert found.reason == "It is close to Exports; a person decides."
    assert decide(story, depth=depth).pending == 0


def test_a_suggestion_that_changes_is_decided_again(story: Story) -> None:
    project = story.project("Exports", vector=(1, 0, 0, 0))
    cluster = story.cluster("Slow exports", [story.signal(f"Slow {n}.", vector=at_angle(0.9)) for n in range(3)])
    for retired, action in ((False, "link_existing"), (True, "created")):
        story.run(
            "UPDATE elmer.projects SET retired_at = CASE WHEN :r THEN now() END WHERE id = :p", r=retired, p=project
        )
        with story.database.begin() as connection:
            suggest_actions(connection, story.workspace_id, FixedEmbedder())
        decide(story)
        assert decision(story, cluster).action == action


@pytest.mark.parametrize("depth", ["auto_create", "full_auto"])
@pytest.mark.parametrize("action", ["review", "link_to_existing", None])
def test_only_what_is_suggested_as_a_project_becomes_one(story: Story, depth: str, action: str | None) -> None:
    story.cluster("Slow exports", signals(story, 5), action=action)
    decide(story, depth=depth)
    assert made(story) == []


def test_half_is_not_mostly(story: Story) -> None:
    """Half of it in a named project: nothing is begun beside that one, and the other half is not linked either."""
    project = story.project("Exports")
    members = signals(story, 4)
    for one in members[:2]:
        story.link(one, project)
    cluster = story.cluster("Slow exports", members)
    with story.database.begin() as connection:
        suggest_actions(connection, story.workspace_id, FixedEmbedder())
    decide(story, depth="full_auto")
    assert (made(story), {one for one, _, _ in story.links()}) == ([], set(members[:2]))
    assert decision(story, cluster).reason == "2 of its 4 signals belong to Exports; a person decides."


def test_workspaces_decide_for_themselves(story: Story) -> None:
    """I9: another workspace's clusters, links and used-up day count for nothing here."""
    other = Story(story.database, "other")
    other.cluster("Theirs", signals(other, 5))
    decide(other, max_actions_per_day=1)
    story.cluster("Ours", signals(story, 3))
    decide(story, max_actions_per_day=1)
    assert [one.name for one in made(story)] == ["Ours"]
    assert [one.name for one in made(other)] == ["Theirs"]
