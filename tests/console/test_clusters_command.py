"""`elmer clusters` as a person types it: a tree, a history in words, a dry run, names and pins; and what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from corpus import Corpus, TopicEmbedder
from typer.testing import CliRunner

from elmer_pipelines import cli
from elmer_pipelines.clusters import history, overview, reclustering
from elmer_pipelines.clusters.clustering import cluster_signals
from elmer_pipelines.errors import NotFoundError, PinError
from elmer_pipelines.models.local_embeddings import LocalEmbeddings
from elmer_pipelines.store.database import Database


@pytest.fixture
def corpus(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Three topics of eight signals, clustered; the command finds the installation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    own = Corpus(database, root=str(tmp_path))
    own.embedder = TopicEmbedder(LocalEmbeddings().model)
    for topic in range(3):
        own.add(topic, 8)
    step(own)
    return own


def step(corpus: Corpus) -> None:
    cluster_signals(corpus.database, corpus.workspace_id, corpus.embedder)


def elmer(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["clusters", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def as_json(*words: str) -> Any:
    return json.loads(elmer(*words, "--json"))


def test_the_tree_lists_every_cluster_with_its_id(corpus: Corpus) -> None:
    rows = as_json()
    assert [(one["level"], one["size"], one["depth"]) for one in rows] == [("theme", 8, 0)] * 3
    shown = elmer()
    assert all(one["id"] in shown for one in rows)
    assert "3 themes with 24 signals" in shown


def test_neighbours_that_were_missed_are_told_with_the_counts(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "true nearest neighbours" not in elmer()
    regroup = reclustering.regroup
    monkeypatch.setattr(reclustering, "regroup", lambda *given: replace(regroup(*given), recall=0.9634))
    with corpus.database.begin() as connection:
        assert overview.neighbour_recall(connection, corpus.workspace_id) == 1.0
        assert overview.neighbour_recall(connection, "other") is None
    elmer("again")
    step(corpus)
    assert "96.3% of the signals' true nearest neighbours" in elmer()


def test_a_name_of_a_person_is_shown_everywhere_and_can_be_taken_back(corpus: Corpus) -> None:
    cluster = as_json()[0]["id"]
    assert "is called Slow exports" in elmer("rename", cluster.lower(), " Slow  exports ")
    assert "Slow exports ✎" in elmer()
    assert "Slow exports" in elmer("show", cluster)
    corpus.add(1)
    step(corpus)
    assert next(one["theme"] for one in as_json() if one["id"] == cluster) == "Slow exports"
    assert as_json("rename", cluster, "") == {"id": cluster, "theme": None}


def test_a_cluster_is_shown_with_its_quotes_and_last_events(corpus: Corpus) -> None:
    found = as_json("show", as_json()[0]["id"])
    assert len(found["quotes"]) == 8
    assert [one["said"] for one in found["history"]] == ["appeared with 8 signals"]
    assert "appeared with 8 signals" in elmer("show", found["id"])


def test_history_is_told_in_words_also_of_what_ended(corpus: Corpus) -> None:
    cluster = as_json()[0]["id"]
    corpus.retire([row[0] for row in corpus.run("SELECT signal_id FROM elmer.cluster_members WHERE cluster_id = :c",
                                                c=cluster)])  # fmt: skip
    step(corpus)
    assert "ended, 8 retired" in elmer("history", cluster)
    assert [one["event"] for one in as_json("history", cluster)] == ["appeared", "ended"]
    assert "ended on 20" in elmer("show", cluster)


def test_what_fits_nowhere_is_listed_with_the_nearest_cluster(corpus: Corpus) -> None:
    stray = corpus.add(9)
    step(corpus)
    (row,) = as_json("unclustered")
    assert row["signal_id"] == stray[0]
    assert f"elmer clusters pin {stray[0]} {row['nearest_id']}" in elmer("unclustered")
    assert "1 signal fits none" in elmer()


def test_the_dry_run_says_what_would_change(corpus: Corpus) -> None:
    assert "No cluster would change." in elmer("plan")
    assert "elmer clusters again" not in elmer("plan"), "the next run does so anyway, of so few signals"
    corpus.add(5, 6)
    before = corpus.everything()
    assert "appeared with 6 signals" in elmer("plan")
    assert as_json("plan")["clusters"] == 4
    assert corpus.everything() == before
    assert "elmer run" in elmer("again")
    assert "asked for by hand" in as_json("plan")["next_run"]


def test_pins_are_entered_listed_and_taken_out(corpus: Corpus) -> None:
    first, second = (row[0] for row in corpus.run("SELECT id FROM elmer.signals ORDER BY start LIMIT 2"))
    assert elmer("pins").startswith("There are no pins")
    assert "together with" in elmer("pin", "together", first, second)
    cluster = as_json()[-1]["id"]
    ((pin,),) = [[one["id"] for one in as_json("pin", first, cluster)]]
    assert [one["kind"] for one in as_json("pins")] == ["together", "belongs"]
    assert "belongs to" in elmer("pins")
    assert "One of your pins concerns it" in elmer("show", cluster)
    assert f"Pin {pin} is taken out" in elmer("unpin", str(pin))
    with pytest.raises(PinError, match="elmer clusters unpin"):
        elmer("pin", "apart", first, second)
    assert CliRunner().invoke(cli.app, ["clusters", "pin", first]).exit_code == 2


@pytest.mark.parametrize(
    "words", [["show", "C-none"], ["history", "C-none"], ["rename", "C-none", "x"], ["unpin", "7"]]
)
def test_what_is_not_there_is_said_with_where_to_look(corpus: Corpus, words: list[str]) -> None:
    with pytest.raises(NotFoundError, match=r"`elmer clusters( pins)?` lists them|`elmer clusters` lists those"):
        elmer(*words)


def test_before_the_first_run_there_is_nothing_to_show(corpus: Corpus) -> None:
    for table in ("cluster_members", "clusters"):
        corpus.run(f"DELETE FROM elmer.{table}")
    assert "There are no clusters yet" in elmer()


def test_signals_that_are_too_few_or_too_far_apart_for_a_cluster_are_said_to_be(corpus: Corpus) -> None:
    corpus.retire([row[0] for row in corpus.run("SELECT id FROM elmer.signals")])
    corpus.add(9)
    step(corpus)
    assert "there is one signal only" in elmer()
    assert "1 signal fits none" in elmer("unclustered")
    corpus.add(10)
    step(corpus)
    assert "no two of 2 signals are near enough" in elmer()


def test_trends_are_told_with_their_arithmetic_and_those_that_change_first(corpus: Corpus) -> None:
    assert elmer("trends").startswith("No theme has a trend yet")
    grown, same, _ = (one["id"] for one in as_json())
    weeks = [{"start": "2026-05-04", "count": 1, "total": 9}, {"start": "2026-05-11", "count": 7, "total": 9}]
    for cluster, verdict in ((same, "stable"), (grown, "growing")):
        arithmetic = {"told": f"Heard in 7 of 9: {verdict}."}
        corpus.run(
            "INSERT INTO elmer.cluster_trends (workspace_id, cluster_id, verdict, weeks, arithmetic) "
            "VALUES (:w, :c, :v, CAST(:weeks AS jsonb), CAST(:told AS jsonb))",
            c=cluster, v=verdict, weeks=json.dumps(weeks), told=json.dumps(arithmetic),
        )  # fmt: skip
    assert [one["verdict"] for one in as_json("trends")] == ["growing", "stable"]
    shown = elmer("trends")
    assert "Heard in 7 of 9: growing." in shown and grown in shown and same not in shown
    assert "2 themes: 1 growing, 1 stable" in shown
    assert same in elmer("trends", "--all")
    assert "No need has a trend yet" in elmer("trends", "--level", "need")
    own = elmer("show", grown)
    assert "growing  ▂█" in own
    assert "Heard in 7 of 9: growing." in own


def test_a_cluster_is_shown_with_what_sets_it_apart_and_the_quotes_chosen_for_it(corpus: Corpus) -> None:
    cluster = as_json()[0]["id"]
    members = "SELECT signal_id FROM elmer.cluster_members WHERE cluster_id = :c ORDER BY similarity, signal_id LIMIT 3"
    chosen = [row[0] for row in corpus.run(members, c=cluster)]
    corpus.run(
        "UPDATE elmer.clusters SET theme = 'Exports', distinction = 'Not about imports.', human_theme = 'Slow', "
        "central_signal_ids = CAST(:ids AS jsonb) WHERE id = :c", c=cluster, ids=json.dumps(chosen),
    )  # fmt: skip
    assert [one["id"] for one in as_json("show", cluster)["quotes"][:3]] == chosen
    shown = elmer("show", cluster)
    assert all(one in shown for one in chosen)
    assert "Not about imports." in shown and "by itself it would be called: Exports" in shown
    assert "… and 5 more" in shown


def test_signals_that_leave_a_need_are_not_said_to_fit_nowhere() -> None:
    detail = {"into": {}, "before": 9, "unclustered": 9, "retired": 0}
    assert history.sentence("ended", detail, "C-1", {}, "need") == "ended, 9 to no other need"
    assert history.sentence("ended", detail, "C-1", {}) == "ended, 9 unclustered"
