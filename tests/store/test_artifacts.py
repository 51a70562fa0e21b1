from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from story import FixedEmbedder, Story

from elmer_pipelines.ids import text_hash
from elmer_pipelines.store import artifacts
from elmer_pipelines.store.artifacts import Artifact, CitationRow

if TYPE_CHECKING:
    from elmer_pipelines.store.database import Database


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def version(project: str, number: int, status: str = "final") -> Artifact:
    return Artifact(f"A-{number}", project, "prd", number, status, "Exports", "Text", "local", f"v1:{number}", "/x")


def test_versions_citations_and_listing(story: Story) -> None:
    project = story.project("Exports")
    signal = story.signal("I need exports.")
    story.link(signal, project)
    good, bad = CitationRow(5, 9, signal, "It fails.", True), CitationRow(20, 30, "S-nobody", "So.", False)
    with story.database.begin() as connection:
        artifacts.insert(connection, "acme", version(project, 1, "draft"), [good, bad])
        assert [one["signal_id"] for one in artifacts.unresolved(connection, "acme")] == ["S-nobody"]
        artifacts.insert(connection, "acme", version(project, 2), [good])
        newest = artifacts.newest(connection, "acme", project, "prd")
        assert newest == version(project, 2)
        assert artifacts.get(connection, "acme", "A-1") == version(project, 1, "draft")
        assert artifacts.citations_of(connection, "acme", "A-1") == [good, bad]
        assert artifacts.unresolved(connection, "acme") == [], "only newest versions count"
        row = artifacts.listing(connection, "acme")[0]
        assert (row["version"], row["citations"], row["unresolved"]) == (2, 1, 0)
        artifacts.set_file(connection, "acme", "A-2", "/y")
        assert artifacts.listing(connection, "acme", "prd")[0]["file"] == "/y"


def test_a_link_taken_away_leaves_its_citation_unresolved(story: Story) -> None:
    project = story.project("Exports")
    signal = story.signal("I need exports.")
    with story.database.begin() as connection:
        artifacts.insert(connection, "acme", version(project, 1), [CitationRow(5, 9, signal, "It fails.", True)])
        assert len(artifacts.unresolved(connection, "acme", "prd")) == 1
        (row,) = artifacts.listing(connection, "acme")
        assert (row["status"], row["citations"], row["unresolved"]) == ("draft", 1, 1)


def test_support_is_bounded_and_in_the_order_of_weight(story: Story) -> None:
    project = story.project("Exports")

    def said(words: str, **values: str) -> str:
        signal = story.signal(words, **values)
        story.link(signal, project)
        return signal

    low = said("Low severity words.", severity="low")
    rare = said("High but rare words.", severity="high", frequency="rare")
    common = said("High and common words.", severity="high", frequency="common")
    edited = said("Said to be critical by a person.", severity="low", edits='{"severity": "critical"}')
    unknown = said("Nobody knows how severe.")
    repeated = said("High and common words again.", severity="high", frequency="common")
    for one in (common, repeated):
        story.run("INSERT INTO elmer.duplicate_signals VALUES (:w, :s, 'G-1', 0.99)", s=one)
    retired = said("Retired words.", severity="critical")
    story.run("UPDATE elmer.signals SET retired_at = now() WHERE id = :s", s=retired)
    first, second = sorted([common, repeated])
    with story.database.begin() as connection:
        rows = artifacts.support(connection, "acme", project, 60, 3)
        assert [row["id"] for row in rows] == [edited, first, rare, low, unknown, second]
        assert len(artifacts.support(connection, "acme", project, 2, 3)) == 2
        totals = artifacts.support_totals(connection, "acme", project)
        assert totals["signals"] == 6
        assert totals["severity"] == {"high": 3, "critical": 1, "low": 1}


def test_one_document_does_not_crowd_out_the_others(story: Story) -> None:
    project = story.project("Exports")
    long = [story.signal(f"Part {n}.", address="long.md", severity="critical") for n in range(4)]
    short = story.signal("Elsewhere.", severity="low")
    for one in [*long, short]:
        story.link(one, project)
    with story.database.begin() as connection:
        order = [row["id"] for row in artifacts.support(connection, "acme", project, 60, 3)]
    assert order.index(short) == 3


def test_every_function_sees_its_own_workspace_only(story: Story) -> None:
    """I9, function by function: the other workspace is full, this one is empty."""
    other = Story(story.database, "other")
    project = other.project("Exports")
    signal = other.signal("I need exports.", vector=[1, 0, 0, 0])
    other.link(signal, project)
    hashes = [text_hash("I need exports.")]
    with story.database.begin() as connection:
        artifacts.insert(connection, "other", version(project, 1, "draft"), [CitationRow(5, 9, "S-x", "So.", False)])
        artifacts.set_file(connection, "acme", "A-1", "/stolen")
        assert artifacts.newest(connection, "acme", project, "prd") is None
        assert artifacts.get(connection, "acme", "A-1") is None
        assert artifacts.citations_of(connection, "acme", "A-1") == []
        assert artifacts.listing(connection, "acme") == artifacts.unresolved(connection, "acme") == []
        assert artifacts.support(connection, "acme", project, 60, 3) == []
        assert artifacts.support_totals(connection, "acme", project)["signals"] == 0
        assert artifacts.linked_ids(connection, "acme", project) == set()
        assert artifacts.linked_counts(connection, "acme") == {}
        assert artifacts.vectors_model(connection, "acme", hashes) is None
        assert artifacts.vectors_model(connection, "other", hashes) == FixedEmbedder.model
        kept = artifacts.get(connection, "other", "A-1")
        assert kept is not None
        assert kept.file == "/x"
