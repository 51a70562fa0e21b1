"""Searching as people do it: filters by name, answers to a wrong one, and words alone where there is no vector."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from servers.model_server import ModelServer
from story import Story
from typer.testing import CliRunner

from elmer_pipelines import cli
from elmer_pipelines.console import duplicates as duplicates_console
from elmer_pipelines.console import searching as console
from elmer_pipelines.console import terminal
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from elmer_pipelines.store.database import Database

DOUBLED = "The calendar sync doubles all of my appointments every morning"
OFFLINE = "We lose the job notes whenever there is no network in the cellar"
INVOICES = "Exporting the invoices to accounting takes an hour every Friday"


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


@pytest.fixture
def bench(story: Story, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """Three signals with vectors of the local model, two projects and a cluster."""
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    (tmp_path / "workspace.toml").write_text('name = "Acme"')
    story.run("UPDATE elmer.workspaces SET root = :r WHERE id = :w", r=str(tmp_path))
    story.project("Calendar sync", "No appointment twice")
    story.project("Offline notes", "Job notes are kept without a network")
    doubled = story.signal(DOUBLED, severity="high", segment="Dispatcher", address="calls/a.md", kind="call")
    story.signal(OFFLINE, severity="low", address="tickets.csv", kind="ticket")
    story.signal(INVOICES, address="tickets2.csv", kind="ticket", status="archived")
    story.cluster("Doubled appointments", [doubled])
    own = Workbench("acme", pipeline=Pipeline(load_settings(tmp_path), database))
    own.pipeline.signal_embeddings("acme")
    own.pipeline.project_embeddings("acme")
    yield own
    own.close()


def words(frame: Any) -> list[str]:
    return list(frame["verbatim"])


def test_words_and_meaning_find_and_filters_narrow(bench: Workbench) -> None:
    found = bench.search("appointment twice")
    assert words(found)[0] == DOUBLED
    assert len(found) == 3  # by meaning, all three have some rank
    assert found.attrs["notes"] == []
    first = found.iloc[0]
    assert (first["word_rank"], first["vector_rank"], first["said"]) == (1, 1, 1)
    assert first["similarity"] > 0.3
    assert [DOUBLED[start:end] for start, end in first["matches"]] == ["appointments"]
    for filters, expected in (
        ({"severity": "high"}, [DOUBLED]),
        ({"segment": "dispatcher"}, [DOUBLED]),
        ({"source": "ticket", "severity": ["low", "critical"]}, [OFFLINE]),
        ({"source": "calls/"}, [DOUBLED]),
        ({"status": ("archived",)}, [INVOICES]),
        ({"cluster": "doubled appointments"}, [DOUBLED]),
        ({"since": "2026-05-03", "until": date(2026, 5, 3), "severity": "low"}, [OFFLINE]),
    ):
        assert words(bench.search("appointment twice", **filters)) == expected, filters


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"severity": "hgih"}, "no severity 'hgih'. Did you mean 'high'. There are: critical, high"),
        ({"segment": "dispacher"}, "Did you mean 'dispatcher'"),
        ({"source": "cal"}, None),
        ({"source": "nowhere"}, "no source 'nowhere'"),
        ({"status": "open"}, "There are: new, reviewed, linked, archived"),
        ({"project": "Calender sync"}, "Did you mean 'Calendar sync'"),
        ({"cluster": "C-none"}, "no cluster 'C-none'"),
        ({"since": "yesterday"}, "no date: write it as 2026-05-31"),
        ({"since": "2026-05-04", "until": "2026-05-03"}, "No day is in both: --since 2026-05-04 is after"),
    ],
)
def test_a_wrong_filter_is_answered_with_what_there_is(
    bench: Workbench, filters: dict[str, str], message: str | None
) -> None:
    if message is None:
        assert words(bench.search("appointment", **filters)) == [DOUBLED]
        return
    with pytest.raises(NotFoundError) as caught:
        bench.search("appointment", **filters)
    assert message.replace("'hgih'. Did you mean 'high'.", "'hgih'. Did you mean 'high'?") in str(caught.value)


def test_an_empty_answer_says_which_filter_to_leave_out(bench: Workbench) -> None:
    nothing = bench.search("appointment", severity="high", status="archived")
    assert len(nothing) == 0
    assert "verbatim" in nothing
    (note,) = nothing.attrs["notes"]
    assert "without --severity 1 signals are left; without --status 1 signals are left" in note
    assert bench.search("  \x00 ").attrs["notes"] == ["There is nothing to look for: give some words."]


def test_moments_and_days_bound_a_search(bench: Workbench) -> None:
    heard = datetime(2026, 5, 3, 9, 30, tzinfo=UTC)
    assert len(bench.search("appointment", since=heard)) == 3
    assert len(bench.search("appointment", until=heard)) == 0
    assert len(bench.search("appointment", until="2026-05-03T09:31")) == 3
    assert len(bench.search("appointment", since="2026-05-04")) == 0


def test_more_like_a_signal_asks_no_model(bench: Workbench, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    doubled = story.run("SELECT id FROM elmer.signals WHERE workspace_id = :w AND verbatim = :v", v=DOUBLED)[0][0]
    story.signal("Appointments are doubled by the calendar sync")
    bench.pipeline.signal_embeddings("acme")
    monkeypatch.setattr(type(bench.pipeline.embedder), "embed", lambda *_: pytest.fail("a model was asked"))
    found = bench.more_like(doubled)
    assert words(found)[0] == "Appointments are doubled by the calendar sync"
    assert DOUBLED not in words(found)
    assert words(bench.more_like(doubled, severity="low")) == [OFFLINE]
    with pytest.raises(NotFoundError, match="no signal S-none"):
        bench.more_like("S-none")
    story.run("DELETE FROM elmer.embeddings WHERE workspace_id = :w")
    (note,) = bench.more_like(doubled).attrs["notes"]
    assert "found by its words" in note


def test_similar_projects_by_words_and_by_project(bench: Workbench) -> None:
    found = bench.similar_projects("appointments in the calendar")
    assert found.iloc[0]["name"] == "Calendar sync"
    assert (found.iloc[0]["word_rank"], found.iloc[0]["vector_rank"]) == (1, 1)
    own = found.iloc[0]["id"]
    assert list(bench.similar_projects(own)["name"]) == ["Offline notes"]
    assert list(bench.similar_projects("calendar Sync")["name"]) == ["Offline notes"]
    with pytest.raises(NotFoundError, match="no project P-none"):
        bench.similar_projects("P-none")


def test_without_vectors_words_alone_find_and_say_so(bench: Workbench, story: Story) -> None:
    story.run("DELETE FROM elmer.embeddings WHERE workspace_id = :w")
    found = bench.search("appointment")
    assert words(found) == [DOUBLED]
    assert "words alone" in found.attrs["notes"][0]
    assert list(bench.similar_projects("appointments")["name"]) == ["Calendar sync"]


def test_a_model_that_is_down_leaves_the_words(
    bench: Workbench, story: Story, database: Database, model_server: ModelServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.openai_url)
    served = Workbench("acme", pipeline=Pipeline(load_settings(tmp_path), database))
    served.pipeline.signal_embeddings("acme")
    assert served.search("appointment").attrs["notes"] == []
    model_server.script("embeddings", *["auth"] * 3)
    found = served.search("appointments of mine")
    assert words(found) == [DOUBLED]
    assert "words alone" in found.attrs["notes"][0]
    served.close()


@pytest.fixture
def command(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command on the bench; its exit code must be as expected."""
    monkeypatch.setattr(bench, "close", lambda: None)
    monkeypatch.setattr(console, "open_workbench", lambda _: bench)
    monkeypatch.setattr(duplicates_console, "open_workbench", lambda _: bench)
    monkeypatch.setattr(terminal.out, "_width", 200)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli.app, list(arguments))
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    return run


def test_the_command_shows_rows_and_json(command: Any, bench: Workbench) -> None:
    assert "calls/a.md" in command("search", "appointment", "--severity", "high", "--since", "2026-01-01")
    rows = json.loads(command("search", "appointment", "--source", "ticket", "--source", "call", "--json"))
    assert rows[0]["verbatim"] == DOUBLED
    like = json.loads(command("search", "--like", rows[0]["id"], "--json"))
    assert DOUBLED not in [row["verbatim"] for row in like]
    assert "Calendar sync" in command("search", "--projects", "appointments")
    assert "without --status" in command("search", "x", "--severity", "high", "--status", "archived")
    command("search", code=1)
    command("search", "x", "--like", "S-1", code=1)
    command("search", "x", "--projects", "--severity", "high", code=1)


def test_the_command_lists_merges_and_undoes(command: Any, story: Story, bench: Workbench) -> None:
    story.signal(DOUBLED + "!", address="calls/b.md")
    bench.pipeline.signal_embeddings("acme")
    bench.pipeline.duplicate_signals("acme")
    (group,) = json.loads(command("duplicates", "--json"))["groups"]
    assert group["group"] in command("duplicates")
    assert "and 1 more" not in command("duplicates", "--limit", "1")
    assert [one["id"] for one in json.loads(command("duplicates", "show", group["group"], "--json"))] == group[
        "signals"
    ]
    assert f"merge {group['group']} --keep {group['signals'][0]}" in command("duplicates", "show", group["group"])
    done = json.loads(command("duplicates", "merge", group["group"], "--json"))
    assert len(done["merged_ids"]) == 1
    assert "said 2 times" in command("search", "appointment")
    assert done["id"] in command("duplicates")
    assert "speak for themselves again" in command("duplicates", "undo", done["id"])
    assert json.loads(command("duplicates", "--json"))["merges"] == []
