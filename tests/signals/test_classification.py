from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from story import FixedEmbedder, ScriptedModel, Story, at_angle

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.signals.classification import classify_signals
from elmer_pipelines.signals.shared_words import distinctive, stems
from elmer_pipelines.store import outcomes, projects

if TYPE_CHECKING:
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database

NORTH = [1.0, 0.0, 0.0, 0.0]
EXPORTS = "Scheduled exports"
DESCRIPTION = "Reports leave the product by themselves, as spreadsheets."


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def classify(story: Story, model: ScriptedModel | None = None) -> StepResult:
    return classify_signals(story.database, story.workspace_id, FixedEmbedder(), model)


def verdict(story: Story, signal_id: str) -> tuple[str, str | None, str, str]:
    row = story.run(
        "SELECT verdict, project_id, reason, decided_by FROM elmer.signal_classifications "
        "WHERE workspace_id = :w AND signal_id = :s",
        s=signal_id,
    )[0]
    return row[0], row[1], row[2], row[3]


def test_the_two_clear_tiers_need_no_judge(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    near = story.signal("I build the same spreadsheet every Friday.", vector=at_angle(0.8))
    far = story.signal("The colours hurt my eyes at night.", vector=at_angle(0.2))
    model = ScriptedModel(AssertionError("nobody should ask"))

    result = classify(story, model)

    assert result.failed == 0
    assert verdict(story, near)[:2] == ("linked", project)
    assert verdict(story, far)[:2] == ("new_initiative", None)
    assert story.links() == {(near, project, "similarity")}
    assert (story.status(near), story.status(far)) == ("linked", "new")
    assert not model.prompts
    assert result.counts["linked"] == 1


def test_the_nearest_of_several_projects_is_linked(story: Story) -> None:
    story.project("Other", "", [0.0, 1.0, 0.0, 0.0])
    near = story.project(EXPORTS, DESCRIPTION, NORTH)
    signal = story.signal("I build the same spreadsheet every Friday.", vector=at_angle(0.9))
    classify(story)
    assert verdict(story, signal)[:2] == ("linked", near)


def test_between_the_tiers_a_model_decides_and_says_why(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    fits = story.signal("Every month I copy <all> numbers by hand & sigh.", vector=at_angle(0.6))
    not_fits = story.signal("I could not find the export of my colleague.", vector=at_angle(0.61))

    def reply(prompt: object) -> dict[str, object]:
        belongs = "copy" in prompt.material  # type: ignore[attr-defined]
        return {"project_id": project if belongs else None, "reason": "Because."}

    model = ScriptedModel(reply)
    classify(story, model)

    assert verdict(story, fits) == ("linked", project, "Because.", "claude-test")
    assert verdict(story, not_fits) == ("new_initiative", None, "Because.", "claude-test")
    assert story.links() == {(fits, project, "verified")}
    sent = next(one.material for one in model.prompts if "copy" in one.material)
    assert "copy &lt;all&gt; numbers by hand &amp; sigh." in sent
    assert project in sent


@pytest.mark.parametrize("reply", [
    ModelFault("overloaded", "Busy.", next_step="Wait.", retryable=True),
    {"project_id": "P-somebodyelses", "reason": "It says so."},
])  # fmt: skip
def test_a_failed_verification_is_a_failed_record_and_is_tried_again(story: Story, reply: object) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    signal = story.signal("Every month I copy the numbers by hand.", vector=at_angle(0.6))

    first = classify(story, ScriptedModel(reply))

    assert (first.done, first.failed) == (0, 1)
    assert story.run("SELECT 1 FROM elmer.signal_classifications") == []
    with story.database.begin() as connection:
        failure = outcomes.failures(connection, "acme", "signal_classifications")[0]
    assert failure["record_id"] == signal
    assert failure["retryable"]

    second = classify(story, ScriptedModel({"project_id": project, "reason": "It fits."}))
    assert (second.done, second.failed) == (1, 0)
    assert verdict(story, signal)[0] == "linked"


def test_without_a_model_shared_telling_words_decide_and_the_reason_says_so(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    shares = story.signal("Our exports stop every weekend.", vector=at_angle(0.55))
    shares_not = story.signal("My colleague gets an answer sooner.", vector=at_angle(0.55))

    classify(story)

    linked = verdict(story, shares)
    assert linked[:2] == ("linked", project)
    assert "export" in linked[2]
    assert "without a language model" in linked[2]
    assert linked[3].startswith("local/")
    assert verdict(story, shares_not)[:2] == ("unsure", None)
    assert story.links() == {(shares, project, "verified")}


def test_without_a_model_two_telling_words_count_below_the_threshold_too(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    two = story.signal("Scheduled exports would save my Fridays.", vector=at_angle(0.2))
    one = story.signal("The exports button is an ugly green.", vector=at_angle(0.2))
    far = story.signal("Scheduled exports, said the parrot.", vector=at_angle(0.1))
    classify(story)
    assert verdict(story, two)[:2] == ("linked", project)
    assert verdict(story, one)[0] == verdict(story, far)[0] == "new_initiative"
    assert classify(story).pending == 0


def test_words_said_all_the_time_tell_nothing(story: Story) -> None:
    story.project(EXPORTS, DESCRIPTION, NORTH)
    signals = [story.signal(f"Exports and more, {n} times over.", vector=at_angle(0.55)) for n in range(5)]
    classify(story)
    assert {verdict(story, one)[0] for one in signals} == {"unsure"}


def test_few_characters_are_not_classified(story: Story) -> None:
    story.project(EXPORTS, DESCRIPTION, NORTH)
    short = story.signal("  Exports!  ", vector=NORTH)
    unembedded = story.signal("Bad.")
    classify(story)
    assert verdict(story, short)[0] == verdict(story, unembedded)[0] == "too_short"
    assert story.links() == set()


def test_without_projects_every_signal_starts_something_new(story: Story) -> None:
    signal = story.signal("I build the same spreadsheet every Friday.", vector=NORTH)
    classify(story)
    assert verdict(story, signal)[0] == "new_initiative"


def test_what_has_no_vector_waits_and_is_counted(story: Story) -> None:
    story.project(EXPORTS, DESCRIPTION)
    story.signal("I build the same spreadsheet every Friday.")
    result = classify(story)
    assert (result.pending, result.counts["signals_without_embedding"]) == (0, 1)
    assert result.counts["projects_without_embedding"] == 1


def test_initiatives_are_no_candidates(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    story.run("UPDATE elmer.projects SET origin = 'initiative' WHERE id = :p", p=project)
    signal = story.signal("I build the same spreadsheet every Friday.", vector=NORTH)
    classify(story)
    assert verdict(story, signal)[0] == "new_initiative"


def test_the_second_run_does_nothing_and_a_new_signal_only_itself(story: Story) -> None:
    project = story.project(EXPORTS, DESCRIPTION, NORTH)
    story.signal("Every month I copy the numbers by hand.", vector=at_angle(0.6))
    model = ScriptedModel({"project_id": project, "reason": "It fits."})
    classify(story, model)
    assert classify(story, model).pending == 0
    story.signal("Every week I copy the figures again.", vector=at_angle(0.61))
    assert classify(story, model).done == 1
    assert len(model.prompts) == 2


def test_changed_projects_move_machine_links_and_statuses(story: Story) -> None:
    story.project(EXPORTS, DESCRIPTION, NORTH)
    signal = story.signal("I build the same spreadsheet every Friday.", vector=at_angle(0.9))
    reviewed = story.signal("Spreadsheets are all I do on a Friday.", vector=at_angle(0.9), status="reviewed")
    classify(story)
    assert (story.status(signal), story.status(reviewed)) == ("linked", "linked")

    with story.database.begin() as connection:
        projects.retire_named_except(connection, "acme", [])
    other = story.project("Onboarding", "", [0.0, 0.0, 1.0, 0.0])
    classify(story)

    assert story.links() == set()
    assert (story.status(signal), story.status(reviewed)) == ("new", "new")
    assert other  # it is there, and nothing is near it


def test_a_persons_link_and_status_are_never_touched(story: Story) -> None:
    near = story.project(EXPORTS, DESCRIPTION, NORTH)
    chosen = story.project("Onboarding", "", [0.0, 0.0, 1.0, 0.0])
    signal = story.signal("The colours hurt my eyes at night.", vector=at_angle(0.1))
    same = story.signal("I build the same spreadsheet every Friday.", vector=at_angle(0.9))
    kept = story.signal("Nobody ever told me.", vector=at_angle(0.1), status="linked", edits='{"status": "linked"}')
    archived = story.signal("Exports were bad in 2019 already.", vector=at_angle(0.9), status="archived")
    with story.database.begin() as connection:
        projects.link_by_person(connection, "acme", signal, chosen, "I know this customer")
        projects.link_by_person(connection, "acme", same, near)

    classify(story)

    assert story.links() == {(signal, chosen, "human"), (same, near, "human"), (archived, near, "similarity")}
    assert [story.status(one) for one in (signal, same, kept, archived)] == ["linked", "linked", "linked", "archived"]


def test_workspaces_do_not_see_each_other(story: Story) -> None:
    """I9: the same words, the same vectors, another workspace's project."""
    other = Story(story.database, "other")
    other.project(EXPORTS, DESCRIPTION, NORTH)
    there = other.signal("I build the same spreadsheet every Friday.", vector=NORTH)
    here = story.signal("I build the same spreadsheet every Friday.", vector=NORTH)

    classify(story)

    assert verdict(story, here)[0] == "new_initiative"
    assert other.run("SELECT 1 FROM elmer.signal_classifications WHERE workspace_id = :w") == []
    classify(other)
    assert verdict(other, there)[0] == "linked"
    assert story.links() == set()


def test_distinctive_words_are_not_shared_by_most_projects() -> None:
    words = distinctive({"a": "Exports of reports", "b": "Imports of reports", "c": "Sharing reports"})
    assert words["a"] == {"export"}
    assert "report" not in words["c"]


def test_stems_drop_what_is_said_of_every_product() -> None:
    assert stems("The customers need EXPORTS and exporting tools") == {"export"}
