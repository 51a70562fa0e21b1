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
from elmer_pipelines.clusters import overview, reclustering
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
    assert row["nearest_id"] in elmer("unclustered")
    assert "1 signals fit none" in elmer()


def test_the_dry_run_says_what_would_change(corpus: Corpus) -> None:
    assert "No cluster would change." in elmer("plan")
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
    assert "concern it" in elmer("show", cluster)
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
