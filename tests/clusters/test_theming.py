"""Clusters of all levels are named for their members, again only when these changed materially, and told apart (I5)."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from story import FixedEmbedder, ScriptedModel, Story

from elmer_pipelines.clusters.theming import name_clusters, tell_apart, wanted_themes
from elmer_pipelines.errors import RecordError
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.redaction import Redaction
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store.database import Database

EMBEDDER = FixedEmbedder()


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def say(story: Story, what: str, number: int, vector: Sequence[float] = (1, 0, 0, 0)) -> list[str]:
    return [story.signal(f"The {what} is lost, case {one}.", vector=vector) for one in range(number)]


def level(story: Story, name: str, kind: str, parts: Sequence[str] = (), members: Sequence[str] = ()) -> str:
    """A cluster of another level: an area of these themes, or a need of these members of the theme given as part."""
    story.run(
        "INSERT INTO elmer.clusters (workspace_id, id, level, size) VALUES (:w, :id, :level, :size)",
        id=f"C-{name}", level=kind, size=len(members),
    )  # fmt: skip
    if kind == "area":
        story.run("UPDATE elmer.clusters SET parent_id = :id WHERE workspace_id = :w AND id = ANY(:parts)",
                  id=f"C-{name}", parts=list(parts))  # fmt: skip
    else:
        story.run("UPDATE elmer.clusters SET parent_id = :p WHERE workspace_id = :w AND id = :id",
                  id=f"C-{name}", p=parts[0])  # fmt: skip
        story.run("UPDATE elmer.cluster_members SET need_id = :id WHERE workspace_id = :w AND signal_id = ANY(:m)",
                  id=f"C-{name}", m=list(members))  # fmt: skip
    return f"C-{name}"


def unnamed(story: Story, name: str, members: Sequence[str]) -> str:
    return story.cluster(name, members, theme=None, summary=None)


def names(story: Story, column: str = "theme") -> dict[str, Any]:
    return dict(tuple(row) for row in story.run(f"SELECT id, {column} FROM elmer.clusters WHERE workspace_id = :w"))


def answering(name: str = "") -> ScriptedModel:
    """A model that names each cluster by the first word of its first quote that differs, or all alike."""

    def reply(prompt: Prompt) -> dict[str, str]:
        quote = prompt.material.split("<quote>", 1)[1]
        own = name or f"Lost {quote.split()[1]}"
        return {"name": own, "summary": "These customers lost something.", "distinction": "It is another thing."}

    return ScriptedModel(reply)


def run(story: Story, model: ScriptedModel | None = None, **more: Any) -> StepResult:
    return name_clusters(story.database, story.workspace_id, EMBEDDER, model, **more)


def test_an_unchanged_or_barely_changed_cluster_costs_no_call(story: Story) -> None:
    members = say(story, "note", 10)
    unnamed(story, "notes", members)
    model = answering()
    assert run(story, model).done == 1
    assert run(story, model).pending == 0
    story.cluster("notes", [*members, *say(story, "note", 14)[10:]])  # 14: Jaccard 0.71
    assert run(story, model).pending == 0
    story.cluster("notes", say(story, "note", 15))  # 15: 0.67
    assert run(story, model).done == 1
    assert len(model.prompts) == 2
    assert len(names(story, "named_for")["C-notes"]) == 15
    assert names(story, "distinction")["C-notes"] == "It is another thing."


def test_a_quote_that_is_gone_is_enough_to_name_it_again(story: Story) -> None:
    members = say(story, "note", 10)
    unnamed(story, "notes", members)
    run(story)
    central = names(story, "central_signal_ids")["C-notes"]
    assert len(central) == 3
    other = next(one for one in members if one not in central)
    story.cluster("notes", [one for one in members if one != other])
    assert run(story).pending == 0
    story.run("UPDATE elmer.signals SET retired_at = now() WHERE workspace_id = :w AND id = :i", i=central[0])
    assert run(story).done == 1
    assert central[0] not in names(story, "central_signal_ids")["C-notes"]


def test_areas_are_named_from_the_names_of_their_themes_and_after_them(story: Story) -> None:
    unnamed(story, "notes", say(story, "note", 4))
    unnamed(story, "bills", say(story, "bill", 4, (0, 1, 0, 0)))
    area = level(story, "area", "area", ["C-notes", "C-bills"])
    model = answering()
    result = run(story, model)
    assert (result.pending, result.done, result.failed) == (3, 3, 0)
    asked = model.prompts[-1].material
    assert "<theme>Lost note: These customers lost something.</theme>" in asked
    assert "<theme>Lost bill: These customers lost something.</theme>" in asked
    assert names(story)[area] in {"Lost note", "Lost bill"}, "an area is no sibling of its themes"
    assert run(story, model).pending == 0
    unnamed(story, "keys", say(story, "key", 9, (0, 0, 1, 0)))
    story.run("UPDATE elmer.clusters SET parent_id = 'C-area' WHERE workspace_id = :w AND id = 'C-keys'")
    before = len(model.prompts)
    assert run(story, model).done == 2, "the new theme, and the area that is mostly another now"
    assert "Lost key" in model.prompts[before + 1].material


def test_without_a_model_an_area_is_called_by_its_largest_themes_and_a_need_not_like_its_theme(story: Story) -> None:
    notes = say(story, "note", 8)
    late = [
        story.signal(f"The bill came too late in {month}.", vector=(0, 1, 0, 0)) for month in ("May", "June", "July")
    ]
    wrong = [story.signal(f"The bill has a wrong amount in {month}.", vector=(0, 1, 0, 0)) for month in ("May", "June")]
    unnamed(story, "bills", [*late, *wrong])
    unnamed(story, "notes", notes)
    story.run("UPDATE elmer.clusters SET human_theme = 'Notes get lost' WHERE workspace_id = :w AND id = 'C-notes'")
    level(story, "area", "area", ["C-notes", "C-bills"])
    level(story, "need", "need", ["C-bills"], late)
    level(story, "other", "need", ["C-bills"], wrong)
    run(story)
    found = names(story)
    assert found["C-area"] == f"Notes get lost · {found['C-bills']}"
    assert len({found["C-bills"], found["C-need"], found["C-other"]}) == 3


def test_where_a_theme_fails_areas_wait_for_the_next_run(story: Story) -> None:
    unnamed(story, "notes", say(story, "note", 4))
    area = level(story, "area", "area", ["C-notes"])
    refused = ScriptedModel(RecordError("refusal", "no", next_step="mend"))
    result = run(story, refused)
    assert (result.failed, result.counts["areas_waiting"]) == (1, 1)
    assert len(refused.prompts) == 1
    assert run(story, answering()).done == 1
    assert names(story)[area] == "Lost note"


def test_needs_are_seen_beside_the_needs_of_their_theme_only(story: Story) -> None:
    notes, bills = say(story, "note", 6), say(story, "bill", 6, (0, 1, 0, 0))
    unnamed(story, "notes", notes)
    unnamed(story, "bills", bills)
    level(story, "n1", "need", ["C-notes"], notes[:3])
    level(story, "n2", "need", ["C-notes"], notes[3:])
    level(story, "b1", "need", ["C-bills"], bills[:3])
    model = answering()
    run(story, model)
    siblings = [prompt.material.count("<sibling>") for prompt in model.prompts]
    assert sorted(siblings) == [0, 1, 1, 1, 1]
    alone = next(prompt for prompt, number in zip(model.prompts, siblings, strict=True) if number == 0)
    assert "bill" in alone.material and "note" not in alone.material.lower()
    found = names(story)
    assert found["C-n1"] != found["C-n2"], "siblings are told apart"
    assert found["C-b1"] == found["C-bills"] == "Lost bill", "a need may be called what its theme is"


def test_two_workers_at_once_give_no_two_siblings_one_name(story: Story) -> None:
    for number in range(6):
        unnamed(story, f"c{number}", say(story, f"thing{number}", 3))
    together = threading.Barrier(2)
    prompted: list[str] = []

    def reply(prompt: Prompt) -> dict[str, str]:
        prompted.append(prompt.material)
        return {"name": "Things are lost", "summary": "These customers lost something."}

    def work(_: int) -> StepResult:
        together.wait()
        return run(story, ScriptedModel(reply))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))
    assert sum(result.done for result in results) == len(prompted) == 6
    found = names(story)
    assert len(set(found.values())) == 6
    assert found["C-c0"] == "Things are lost", "the lowest id keeps it, whoever was first"


def test_a_persons_name_stays_and_the_others_make_way(story: Story) -> None:
    unnamed(story, "a", say(story, "note", 3))
    unnamed(story, "b", say(story, "bill", 3, (0, 1, 0, 0)))
    story.run("UPDATE elmer.clusters SET human_theme = 'Lost note' WHERE workspace_id = :w AND id = 'C-b'")
    run(story, answering())
    shown = names(story, "coalesce(human_theme, theme)")
    assert shown["C-b"] == "Lost note"
    assert shown["C-a"] != "Lost note" and shown["C-a"].startswith("Lost note")
    with story.database.begin() as connection:
        assert tell_apart(connection, story.workspace_id) == 0


def test_without_a_model_names_are_local_and_stay(story: Story) -> None:
    unnamed(story, "notes", say(story, "offline note", 4))
    unnamed(story, "bills", say(story, "yearly bill", 4, (0, 1, 0, 0)))
    level(story, "area", "area", ["C-notes", "C-bills"])
    result = run(story)
    assert (result.done, result.counts["named_by"]) == (3, "local/terms")
    found = names(story)
    assert (found["C-notes"], found["C-bills"]) == ("Offline note", "Yearly bill")
    assert found["C-area"]
    assert run(story).pending == 0


def test_a_change_of_what_is_kept_back_names_only_whom_it_touches(story: Story) -> None:
    secret = [story.signal(f"Falcon loses the note {one}.", vector=(1, 0, 0, 0)) for one in range(4)]
    unnamed(story, "secret", secret)
    unnamed(story, "bills", say(story, "bill", 4, (0, 1, 0, 0)))
    run(story)
    assert "Falcon" in json.dumps(names(story, "summary"))
    result = run(story, redaction=Redaction(("Falcon",)))
    assert result.done == 1
    assert "falcon" not in json.dumps([names(story, one) for one in ("theme", "summary", "terms")]).lower()


def test_a_cluster_without_vectors_is_a_failure_that_says_what_to_do(story: Story) -> None:
    unnamed(story, "notes", [story.signal(f"The note {one} is lost.") for one in range(3)])
    result = run(story)
    assert result.failed == 1
    (row,) = story.run("SELECT message, next_step FROM elmer.outcomes WHERE workspace_id = :w AND state = 'failed'")
    assert "C-notes" in row.message and "signal_embeddings" in row.next_step


def test_names_of_one_workspace_are_not_looked_at_in_another(story: Story, database: Database) -> None:
    other = Story(database, "other")
    for one in (story, other):
        unnamed(one, "notes", say(one, "note", 3))
        assert run(one, answering()).done == 1
    assert names(story) == names(other) == {"C-notes": "Lost note"}
    with database.begin() as connection:
        wanted = wanted_themes(connection, "other", EMBEDDER, None)
    assert set(wanted.determinants) == {"C-notes"}
