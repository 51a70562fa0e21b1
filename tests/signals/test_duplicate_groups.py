"""Groups of duplicates as rows: ids that last, merging and its undo, and what counts a merged signal no more."""

from __future__ import annotations

from typing import Any

import pytest
from story import HEARD, SCALE, FixedEmbedder, Story, at_angle

from elmer_pipelines import checks
from elmer_pipelines.documents.workspace_file import Automation
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.projects.initiatives import decide_initiatives
from elmer_pipelines.signals.duplicate_groups import group_duplicates, with_lasting_ids
from elmer_pipelines.signals.duplicates import Duplicate
from elmer_pipelines.signals.merging import merge_group, undo_merge
from elmer_pipelines.store import artifacts, clusters, documents, duplicates, initiatives, signals
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.duplicates import Merge
from elmer_pipelines.store.signals import SignalRow

SAID = "The calendar sync doubles every appointment."


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def said(story: Story, number: int) -> list[str]:
    """Signals that say the same, the oldest first, each from a document of its own."""
    words = [SAID + "!" * n for n in range(number)]
    return [
        story.signal(one, vector=at_angle(1.0), address=f"tickets/{n}.md", occurred_at=HEARD.replace(day=n + 1))
        for n, one in enumerate(words)
    ]


def run(story: Story) -> Any:
    return group_duplicates(story.database, story.workspace_id, FixedEmbedder())  # type: ignore[arg-type]


def groups(story: Story) -> list[dict[str, Any]]:
    with story.database.begin() as connection:
        return duplicates.groups(connection, story.workspace_id)


def merge(story: Story, group: str, keep: str | None = None) -> Merge:
    with story.database.begin() as connection:
        return merge_group(connection, story.workspace_id, group, keep)


def undo(story: Story, merge_id: str) -> Merge:
    with story.database.begin() as connection:
        return undo_merge(connection, story.workspace_id, merge_id)


def merged_into(story: Story) -> dict[str, str | None]:
    return dict(
        tuple(row)
        for row in story.run("SELECT id, merged_into FROM elmer.signals WHERE workspace_id = :w AND retired_at IS NULL")
    )


def state(story: Story) -> dict[str, list[Any]]:
    """All that a merge may touch, without the times of changes."""
    return {
        table: story.run(
            f"SELECT (to_jsonb(t) - 'updated_at')::text FROM elmer.{table} t WHERE workspace_id = :w ORDER BY 1"
        )
        for table in ("signals", "clusters", "cluster_members", "signal_links", "duplicate_signals")
    }


def test_groups_and_their_table_tell_what_is_said_most(story: Story) -> None:
    ids = said(story, 3)
    story.signal("Invoices take an hour.", vector=at_angle(0.0))
    result = run(story)
    (group,) = groups(story)
    assert group["group"].startswith("G-")
    assert (group["signals"], group["said"], group["voices"], group["sources"]) == (ids, 3, 3, 3)
    assert (group["quote"], group["similarity"]) == (SAID, 1.0)
    assert result.counts | {"groups": 1, "signals_in_groups": 3, "merged": 0} == result.counts
    assert [(row["said"], row["quote"]) for row in result.tables["largest_groups"]] == [(3, SAID)]
    assert run(story).pending == 0


def test_a_group_keeps_its_id_when_an_older_signal_joins_it(story: Story) -> None:
    said(story, 2)
    run(story)
    (before,) = groups(story)
    oldest = story.signal(SAID + "?", vector=at_angle(1.0), occurred_at=HEARD.replace(year=2020))
    run(story)
    (after,) = groups(story)
    assert (after["group"], after["signals"][0], after["said"]) == (before["group"], oldest, 3)


def test_of_two_parts_the_larger_keeps_the_id() -> None:
    found = [Duplicate(one, leader, 1.0) for one, leader in (("S-1", "S-1"), ("S-2", "S-1"), ("S-3", "S-3"),
                                                            ("S-4", "S-3"), ("S-5", "S-3"))]  # fmt: skip
    named = with_lasting_ids(found, dict.fromkeys(("S-1", "S-2", "S-3", "S-4", "S-5"), "G-old"), "acme")
    ids = {one.signal_id: one.group_id for one in named}
    assert ids["S-3"] == ids["S-4"] == ids["S-5"] == "G-old"
    assert ids["S-1"] == ids["S-2"] != "G-old"
    assert with_lasting_ids([], {}, "acme") == []


def test_a_merge_counts_once_and_its_undo_puts_everything_back(story: Story) -> None:
    one, two, three = said(story, 3)
    other = story.signal("Something else about calendars.", vector=at_angle(0.2))
    run(story)
    cluster = story.cluster("doubled", [one, two, three, other])
    calendar = story.project("Calendar")
    for signal_id in (one, two, three, other):
        story.link(signal_id, calendar, "similarity")
    elsewhere = story.project("Elsewhere")
    story.link(three, elsewhere, "human")
    before = state(story)
    (group,) = groups(story)

    done = merge(story, group["group"])

    assert (done.kept_id, done.merged_ids) == (one, sorted([two, three]))
    assert merged_into(story) == {one: None, two: one, three: one, other: None}
    assert story.run("SELECT verbatim FROM elmer.signals WHERE id = :i AND workspace_id = :w", i=two) == [(SAID + "!",)]
    with story.database.begin() as connection:
        assert clusters.members_of(connection, "acme") == {cluster: sorted([one, other])}
        assert [row["size"] for row in clusters.live(connection, "acme")] == [2]
        assert [row["said"] for row in signals.live(connection, "acme", [one])] == [3]
        assert {row["id"] for row in signals.live(connection, "acme")} == {one, other}
        assert artifacts.linked_counts(connection, "acme") == {calendar: 2, elsewhere: 1}
        assert {row["id"] for row in artifacts.support(connection, "acme", calendar, 10, 3)} == {one, other}
        assert sum(signals.counts(connection, "acme")["status"].values()) == 2
        assert {row["id"] for row in signals.for_clustering(connection, "acme")} == {one, other}
        assert checks.duplicates_are_whole(connection, "acme").passed
    assert (one, elsewhere, "human") in story.links()
    assert groups(story)[0]["merged"] == 2

    assert undo(story, done.id).merged_ids == done.merged_ids
    assert state(story) == before
    with pytest.raises(NotFoundError, match="no merge"):
        undo(story, done.id)


def test_the_same_merge_can_be_made_again_after_its_undo(story: Story) -> None:
    said(story, 2)
    run(story)
    (group,) = groups(story)
    first = merge(story, group["group"])
    undo(story, first.id)
    assert merge(story, group["group"]).id == first.id
    with story.database.begin() as connection:
        assert [row["merge"] for row in duplicates.merges(connection, "acme")] == [first.id]


def test_a_person_chooses_the_signal_to_keep(story: Story) -> None:
    _, two = said(story, 2)
    run(story)
    (group,) = groups(story)
    with pytest.raises(NotFoundError, match="can't be kept"):
        merge(story, group["group"], "S-none")
    assert merge(story, group["group"], two).kept_id == two
    with pytest.raises(NotFoundError, match="merged already"):
        merge(story, group["group"])
    with pytest.raises(NotFoundError, match="no group"):
        merge(story, "G-none")


def test_merges_stand_on_each_other(story: Story) -> None:
    one, two = said(story, 2)
    run(story)
    (group,) = groups(story)
    first = merge(story, group["group"])
    third = story.signal(SAID + "...", vector=at_angle(1.0))
    run(story)
    second = merge(story, group["group"], third)
    assert merged_into(story) == {one: third, two: third, third: None}
    with pytest.raises(NotFoundError, match=f"before {second.id}"):
        undo(story, first.id)
    undo(story, second.id)
    assert merged_into(story) == {one: None, two: one, third: None}
    undo(story, first.id)
    assert merged_into(story) == {one: None, two: None, third: None}


def test_a_merge_outlasts_the_next_run_and_a_new_extraction(story: Story) -> None:
    one, two = said(story, 2)
    run(story)
    merge(story, groups(story)[0]["group"])
    story.signal("A new one changes what there is.", vector=at_angle(0.0))
    assert run(story).done == 1
    (row,) = story.run(
        "SELECT document_id, content_hash, verbatim, text_hash FROM elmer.signals WHERE workspace_id = :w AND id = :i",
        i=two,
    )
    again = SignalRow(
        two, 0, len(row.verbatim), row.verbatim, row.text_hash, "exact", None, "low", None, None, None, None
    )
    with story.database.begin() as connection:
        signals.replace_of_document(connection, "acme", row.document_id, row.content_hash, "better", [again], [])
    assert merged_into(story)[two] == one
    assert groups(story)[0]["merged"] == 1


def test_where_the_kept_ones_source_goes_away_another_speaks(story: Story) -> None:
    one, two, three = said(story, 3)
    run(story)
    done = merge(story, groups(story)[0]["group"])
    (source,) = story.run("SELECT document_id FROM elmer.signals WHERE workspace_id = :w AND id = :i", i=one)[0]
    with story.database.begin() as connection:
        documents.retire(connection, "acme", [source])
    left = merged_into(story)
    (heir,) = [one for one, other in left.items() if other is None]
    assert left == {heir: None, ({two, three} - {heir}).pop(): heir}
    with story.database.begin() as connection:
        assert checks.duplicates_are_whole(connection, "acme").passed
    assert groups(story)[0]["said"] == 2
    undo(story, done.id)
    assert merged_into(story) == {two: None, three: None}


def test_a_merged_signal_whose_source_goes_away_leaves_the_group(story: Story) -> None:
    one, two, three = said(story, 3)
    run(story)
    merge(story, groups(story)[0]["group"])
    (source,) = story.run("SELECT document_id FROM elmer.signals WHERE workspace_id = :w AND id = :i", i=three)[0]
    with story.database.begin() as connection:
        documents.retire(connection, "acme", [source])
        assert [row["said"] for row in signals.live(connection, "acme", [one])] == [2]
    assert groups(story)[0]["signals"] == [one, two]


def test_the_check_finds_what_must_not_be(story: Story) -> None:
    one, two = said(story, 2)
    run(story)
    story.run("UPDATE elmer.signals SET merged_into = 'S-of-another' WHERE workspace_id = :w AND id = :i", i=one)
    story.run("DELETE FROM elmer.duplicate_signals WHERE workspace_id = :w AND signal_id = :i", i=two)
    with story.database.begin() as connection:
        outcome = checks.duplicates_are_whole(connection, "acme")
    assert not outcome.passed
    assert {row["why"] for row in outcome.examples} == {"a group of one", "merged into nothing of this workspace"}


def test_a_group_is_one_voice_where_a_cluster_becomes_an_initiative(story: Story) -> None:
    same = said(story, 3)
    run(story)
    cluster = story.cluster("doubled", same)
    decide_initiatives(story.database, "acme", Automation(depth="auto_create"), SCALE)
    with story.database.begin() as connection:
        before = initiatives.decisions(connection, "acme")[cluster]
        assert [one.voices for one in initiatives.clusters(connection, "acme")] == [1]
    assert (before.action, before.reason) == ("below", "1 signals (2 more repeat them); an initiative needs 3.")
    others = [story.signal(f"Another trouble with calendars, number {n}.", vector=at_angle(n / 10)) for n in range(2)]
    story.cluster("doubled", [*same, *others])
    decide_initiatives(story.database, "acme", Automation(depth="auto_create"), SCALE)
    with story.database.begin() as connection:
        assert initiatives.decisions(connection, "acme")[cluster].action == "created"
