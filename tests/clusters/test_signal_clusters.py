"""The step on a real database: ids that last through what happens to signals, all or nothing, and nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from corpus import Corpus, TopicEmbedder, near

from elmer_pipelines.clusters import history, reclustering
from elmer_pipelines.clusters.clustering import ask_again, cluster_signals
from elmer_pipelines.clusters.grouping import Grouping
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.ids import text_hash
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import cluster_members, clusterings, clusters, embeddings
from elmer_pipelines.store.database import Database


@pytest.fixture
def corpus(database: Database) -> Corpus:
    return Corpus(database)


def step(corpus: Corpus) -> StepResult:
    return cluster_signals(corpus.database, corpus.workspace_id, corpus.embedder)


def three(corpus: Corpus) -> list[list[str]]:
    """Three topics of eight signals each, clustered."""
    topics = [corpus.add(topic, 8) for topic in range(3)]
    step(corpus)
    return topics


def reasons(corpus: Corpus) -> list[str]:
    with corpus.database.begin() as connection:
        return [one.reason for one in reversed(clusterings.every(connection, corpus.workspace_id))]


def test_the_first_clustering_finds_the_topics_and_says_so(corpus: Corpus) -> None:
    topics = three(corpus)
    found = [set(corpus.cluster_of(one)) for one in topics]
    assert all(len(one) == 1 for one in found)
    assert len(set.union(*found)) == 3
    assert sorted(event for _, event in corpus.events()) == ["appeared"] * 3
    assert reasons(corpus) == ["first"]


def test_nothing_new_is_nothing_to_do(corpus: Corpus) -> None:
    three(corpus)
    before = corpus.everything()
    assert step(corpus).pending == 0
    assert corpus.everything() == before


def test_one_signal_more_renames_no_cluster(corpus: Corpus) -> None:
    topics = three(corpus)
    before = [corpus.cluster_of(one) for one in topics]
    added = corpus.add(1)
    result = step(corpus)
    assert [corpus.cluster_of(one) for one in topics] == before
    assert corpus.cluster_of(added) == before[1][:1]
    assert (result.counts["continued"], result.counts["appeared"], result.counts["moved"]) == (3, 0, 0)
    assert corpus.events()[3:] == [(before[1][0], "continued")]
    assert reasons(corpus) == ["first", "small"]


def test_when_every_source_is_gone_all_clusters_end_and_come_back_with_their_signals(corpus: Corpus) -> None:
    topics = three(corpus)
    before = {one: corpus.cluster_of(ids)[0] for one, ids in enumerate(topics)}
    corpus.retire([one for ids in topics for one in ids])
    assert step(corpus).counts["ended"] == 3
    with corpus.database.begin() as connection:
        assert clusters.live(connection, corpus.workspace_id) == []
    corpus.run("UPDATE elmer.signals SET retired_at = NULL")
    assert step(corpus).counts["returned"] == 3
    assert {one: corpus.cluster_of(ids)[0] for one, ids in enumerate(topics)} == before


def test_a_renamed_document_keeps_its_clusters(corpus: Corpus) -> None:
    topics = three(corpus)
    before = corpus.cluster_of(topics[0])
    words = [row[0] for row in corpus.run("SELECT verbatim FROM elmer.signals WHERE id = ANY(:i)", i=topics[0])]
    corpus.retire(topics[0])
    again = corpus.add(0, words=words)
    assert not set(again) & set(topics[0])
    result = step(corpus)
    assert corpus.cluster_of(again) == before
    assert (result.counts["ended"], result.counts["appeared"]) == (0, 0)


def test_vectors_of_another_model_keep_the_ids(corpus: Corpus) -> None:
    topics = three(corpus)
    before = [corpus.cluster_of(one) for one in topics]
    corpus.embedder = TopicEmbedder("test/other")
    rows = corpus.run("SELECT id, verbatim FROM elmer.signals ORDER BY id")
    topic_of = {signal: 15 - topic for topic, ids in enumerate(topics) for signal in ids}
    with corpus.database.begin() as connection:
        vectors = {text_hash(words): near(topic_of[signal], words) for signal, words in rows}
        embeddings.insert(connection, corpus.workspace_id, "test/other", vectors)
    step(corpus)
    assert [corpus.cluster_of(one) for one in topics] == before
    assert reasons(corpus) == ["first", "settings"]


def test_signals_without_a_vector_wait_visibly(corpus: Corpus) -> None:
    three(corpus)
    late = corpus.add(0)
    corpus.run("DELETE FROM elmer.embeddings WHERE text_hash = (SELECT text_hash FROM elmer.signals WHERE id = :i)",
               i=late[0])  # fmt: skip
    step(corpus)
    assert corpus.run("SELECT cluster_id, text_hash FROM elmer.cluster_members WHERE signal_id = :i", i=late[0]) == [
        (None, None)
    ]


def test_two_runs_at_once_cluster_once(corpus: Corpus) -> None:
    for topic in range(3):
        corpus.add(topic, 8)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: step(corpus), range(2)))
    assert sorted(one.done for one in results) == [0, 1]
    assert len(corpus.events()) == 3
    assert reasons(corpus) == ["first"]


def test_a_run_that_breaks_off_leaves_what_was_there(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    three(corpus)
    corpus.add(1)
    before = corpus.everything()
    with monkeypatch.context() as patch:
        patch.setattr(cluster_members, "replace", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            step(corpus)
    assert corpus.everything() == before
    assert step(corpus).done == 1
    assert len(corpus.events()) == 4


def test_a_person_can_ask_for_a_clustering(corpus: Corpus) -> None:
    three(corpus)
    ask_again(corpus.database, corpus.workspace_id)
    assert step(corpus).done == 1
    assert reasons(corpus) == ["first", "hand"]
    assert step(corpus).pending == 0


def test_a_dry_run_says_what_would_change_and_writes_nothing(corpus: Corpus) -> None:
    topics = three(corpus)
    corpus.retire(topics[2])
    corpus.add(3, 6)
    before = corpus.everything()
    with corpus.database.begin() as connection:
        found = history.preview(connection, corpus.workspace_id, corpus.embedder)
    assert corpus.everything() == before
    told = {(one.event, one.said) for one in found.changes}
    assert told == {("appeared", "appeared with 6 signals"), ("ended", "ended, 8 retired")}
    assert (found.clusters_before, found.clusters, found.moved, found.kept) == (3, 3, 0, 16)
    assert next(one.quote for one in found.changes if one.event == "appeared").startswith("topic 3")
    step(corpus)
    assert {event for _, event in corpus.events()[3:]} == {"appeared", "ended"}


def by_axis(vectors: np.ndarray, keys: list[str], **options: object) -> Grouping:
    """Groups that are the topics themselves, whatever their sizes."""
    labels = np.where(vectors.max(axis=1) > 0.5, vectors.argmax(axis=1), -1).astype(np.int32)
    labels[labels >= 0] = np.unique(labels[labels >= 0], return_inverse=True)[1]
    areas = np.arange(labels.max() + 1, dtype=np.int32)
    return Grouping(labels, labels, np.where(labels >= 0, 0.9, np.nan).astype(np.float32), labels, areas)


def test_the_history_of_an_ended_cluster_names_where_its_signals_went(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclustering, "group", by_axis)
    topics = three(corpus)
    gone, heir = (corpus.cluster_of(ids)[0] for ids in topics[:2])
    corpus.run("UPDATE elmer.clusters SET human_theme = 'Exports' WHERE id = :i", i=heir)
    with corpus.database.begin() as connection:  # the first topic's words turn out to be the second's
        rows = corpus.run("SELECT verbatim FROM elmer.signals WHERE id = ANY(:i)", i=topics[0])
        embeddings.forget(connection, corpus.workspace_id, [text_hash(row[0]) for row in rows])
        vectors = {text_hash(row[0]): near(1, row[0]) for row in rows}
        embeddings.insert(connection, corpus.workspace_id, corpus.embedder.model, vectors)
    corpus.retire(topics[0][6:])
    step(corpus)
    assert set(corpus.cluster_of(topics[0][:6])) == {heir}
    with corpus.database.begin() as connection:
        story = history.history(connection, corpus.workspace_id, gone.upper())
        with pytest.raises(NotFoundError, match="elmer clusters"):
            history.history(connection, corpus.workspace_id, "C-nothing")
    assert [one.event for one in story] == ["appeared", "ended"]
    assert story[-1].said == f"ended, 6 to Exports ({heir}), 2 retired"


def leveled(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Four topics: the first has two needs, the first two are one area; clustered."""
    whole = reclustering.group

    def group(vectors: np.ndarray, keys: list[str], **options: object) -> Grouping:
        found = whole(vectors, keys, unrelated=0.5)
        axes = vectors[:, :4].argmax(axis=1)
        labels = np.where(vectors.max(axis=1) > 0.5, axes, -1).astype(np.int32)
        needs = np.where((labels == 0) & (vectors[:, 10] > 0.2), 4, labels).astype(np.int32)
        areas = np.array([0, 0, 1, 2], dtype=np.int32)
        return Grouping(labels, labels, found.similarity, needs, areas)

    monkeypatch.setattr(reclustering, "group", group)
    topics = [corpus.add(topic, 8, spread=0.02) for topic in range(4)]
    second = [f"the other need {number}" for number in range(4)]
    topics[0] += corpus.add(0, words=second, spread=0.02)
    with corpus.database.begin() as connection:
        embeddings.forget(connection, corpus.workspace_id, [text_hash(one) for one in second])
        mixed = np.eye(16, dtype=np.float32)[0] * 0.8 + np.eye(16, dtype=np.float32)[10] * 0.6
        vectors = {text_hash(one): mixed + 0.01 * near(2, one) for one in second}
        embeddings.insert(connection, corpus.workspace_id, corpus.embedder.model, vectors)
    step(corpus)
    return topics


def test_areas_and_needs_are_kept_only_where_they_say_something(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = leveled(corpus, monkeypatch)
    with corpus.database.begin() as connection:
        areas, themes, needs = (
            {one["id"]: one for one in clusters.live(connection, corpus.workspace_id, level)}
            for level in ("area", "theme", "need")
        )
        below = clusters.members_of(connection, corpus.workspace_id, "need")
    assert (len(areas), len(themes), len(needs)) == (1, 4, 2)
    first, second, third = (corpus.cluster_of(ids)[0] for ids in topics[:3])
    assert themes[first]["parent_id"] == themes[second]["parent_id"] == next(iter(areas))
    assert themes[third]["parent_id"] is None
    assert {one["parent_id"] for one in needs.values()} == {first}
    assert sorted(len(ids) for ids in below.values()) == [4, 8]
    assert next(iter(areas.values()))["size"] == 20
    before = {*areas, *themes, *needs}
    corpus.add(2)
    step(corpus)
    with corpus.database.begin() as connection:
        assert set(clusters.live_ids(connection, corpus.workspace_id)) == before


def test_a_need_that_becomes_all_of_its_theme_ends_and_the_theme_goes_on(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = leveled(corpus, monkeypatch)
    theme = corpus.cluster_of(topics[0])[0]
    corpus.retire(topics[0][8:])
    step(corpus)
    with corpus.database.begin() as connection:
        assert clusters.live(connection, corpus.workspace_id, "need") == []
    assert corpus.cluster_of(topics[0][:1]) == [theme]
    assert [event for _, event in corpus.events()].count("ended") == 2
