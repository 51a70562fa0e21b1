"""Between clusterings new signals go where their neighbours are, at the cost of the new ones; drift calls for more."""

from __future__ import annotations

import numpy as np
import pytest
from corpus import Corpus

from elmer_pipelines.clusters import newcomers
from elmer_pipelines.clusters.clustering import ask_nightly, cluster_signals, standing
from elmer_pipelines.clusters.drift import Since, decide, due_tonight
from elmer_pipelines.clusters.grouping import neighbours_of
from elmer_pipelines.clusters.placing import (
    NOWHERE,
    Bounds,
    Near,
    calibrate,
    near_enough,
    nearest_of,
    once_joined,
    vote,
)
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import clusterings
from elmer_pipelines.store.database import Database


def near(*neighbours: tuple[float, int], mutual: tuple[bool, ...] = ()) -> Near:
    similarities, clusters = zip(*neighbours, strict=True)
    both = mutual or (False,) * len(neighbours)
    own = np.array([similarities], dtype=np.float32)
    return Near(own, np.array([clusters], dtype=np.int32), np.array([both]), own)


def test_neighbours_vote_with_their_similarity_and_twice_where_both_are_near() -> None:
    found = vote(near((0.9, 0), (0.4, 1), (0.4, 1)))
    assert (found.winner[0], found.nearest[0]) == (0, np.float32(0.9))
    assert vote(near((0.9, 0), (0.5, 1), (0.5, 1))).winner[0] == 1
    assert vote(near((0.9, 0), (0.5, 1), (0.5, 1), mutual=(True, False, False))).winner[0] == 0


def test_neighbours_in_no_cluster_do_not_vote() -> None:
    assert vote(near((0.9, NOWHERE), (0.4, 2))).winner[0] == 2
    assert vote(near((0.9, NOWHERE), (-0.1, 2))).winner[0] == NOWHERE


def test_the_nearest_decides_a_tie() -> None:
    assert vote(near((0.5, 1), (0.25, 3), (0.25, 3))).winner[0] == 1


def test_a_neighbour_is_mutual_where_it_would_have_the_signal_among_its_own_nearest() -> None:
    angles = np.linspace(0, 0.5, 40)
    clustered = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    far = np.array([[np.cos(1.0), np.sin(1.0)]], dtype=np.float32)
    labels = np.zeros(40, dtype=np.int32)
    assert not nearest_of(far, clustered, labels, mutual=True).mutual.any()
    assert nearest_of(clustered[20:21] * 1.0, clustered, labels, mutual=True).mutual.any()
    assert not nearest_of(clustered[20:21], clustered, labels).mutual.any()


def test_only_what_is_near_to_a_member_and_to_the_centre_is_taken() -> None:
    found = vote(near((0.6, 0)))
    for bounds, fits in ((Bounds(0.5, 0.5), True), (Bounds(0.7, 0.5), False), (Bounds(0.5, 0.9), False)):
        assert near_enough(found, np.array([0.8], dtype=np.float32), bounds)[0] == fits


def test_those_too_far_to_be_neighbours_do_not_vote_where_any_is_near() -> None:
    crowd = near((0.6, 0), (0.4, 1), (0.4, 1))
    assert vote(crowd).winner[0] == 1
    assert vote(crowd, least=0.5).winner[0] == 0
    assert vote(crowd, least=0.9).winner[0] == 1, "the nearest cluster is told of one that fits nowhere too"


def test_a_vote_weighs_what_is_not_common_to_all() -> None:
    chance = np.random.default_rng(4)
    common = np.zeros(16)
    common[0] = 3.0
    labels = np.repeat(np.arange(2), 100).astype(np.int32)
    clustered = (common + np.eye(16)[labels + 1] + 0.2 * chance.normal(size=(200, 16))).astype(np.float32)
    clustered /= np.linalg.norm(clustered, axis=1, keepdims=True)
    found = nearest_of(clustered[:1], clustered, labels, own=np.array([0]))
    assert vote(found).winner[0] == 0
    looked_at = neighbours_of(200)
    assert found.similarities[0, :looked_at].min() > 0.9
    assert found.weights[0, :looked_at].max() < found.similarities[0, :looked_at].max() - 0.1


def test_a_joining_signal_draws_the_centre_towards_itself() -> None:
    chance = np.random.default_rng(2)
    vectors = (np.eye(6)[0] + 0.3 * chance.normal(size=(5, 6))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    members, joining = vectors[:4].sum(axis=0), vectors[4]
    pull = np.float32(np.linalg.norm(members))
    with_it = members + joining
    found = once_joined(np.array([joining @ members / pull], dtype=np.float32), np.array([pull], dtype=np.float32))
    assert found[0] == pytest.approx(joining @ with_it / np.linalg.norm(with_it), abs=1e-5)


def test_a_clustering_gives_bounds_that_its_own_members_keep() -> None:
    chance = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 40).astype(np.int32)
    vectors = (np.eye(8)[labels] + 0.2 * chance.normal(size=(120, 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centres = np.eye(8, dtype=np.float32)[:3]
    bounds = calibrate(vectors, labels, centres, 0.1)
    assert bounds is not None
    assert bounds.agreement > 0.95
    kept = vote(nearest_of(vectors, vectors, labels, own=np.arange(120)))
    assert near_enough(kept, np.einsum("ij,ij->i", vectors, centres[labels]), bounds).mean() > 0.95
    assert calibrate(vectors, np.full(120, NOWHERE, dtype=np.int32), centres, 0.1) is None


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        (Since(9), "first"),
        (Since(9_000, clustered=9_000, same_model=False), "settings"),
        (Since(9_000, clustered=9_000, same_rules=False), "settings"),
        (Since(9_000, clustered=9_000, asked="hand"), "hand"),
        (Since(9_000, clustered=9_000, asked="schedule"), "schedule"),
        (Since(499, clustered=499), "small"),
        (Since(1_200, fresh=200, clustered=1_000), "drift"),
        (Since(1_000, fresh=50, placed=150, clustered=1_000), "drift"),
        (Since(1_000, gone=200, clustered=1_200), None),
        (Since(1_000, gone=300, clustered=1_200), "drift"),
        (Since(9_100, placed=100, unplaced=40, clustered=9_000), "drift"),
        (Since(9_100, placed=100, unplaced=20, clustered=9_000), None),
        (Since(9_010, placed=10, unplaced=10, clustered=9_000), None),
        (Since(9_100, fresh=100, clustered=9_000), None),
    ],
)
def test_when_everything_is_clustered_again(since: Since, reason: str | None) -> None:
    assert decide(since).reason == reason


def test_nightly_a_hundredth_is_enough() -> None:
    assert due_tonight(Since(1_000, fresh=10, clustered=1_000))
    assert not due_tonight(Since(1_000, fresh=9, clustered=1_000))
    assert not due_tonight(Since(1_000))


@pytest.fixture
def large(database: Database) -> Corpus:
    """Eight topics of 75 signals: enough that what is new is placed."""
    corpus = Corpus(database)
    for topic in range(8):
        corpus.add(topic, 75)
    step(corpus)
    return corpus


def step(corpus: Corpus) -> StepResult:
    return cluster_signals(corpus.database, corpus.workspace_id, corpus.embedder)


def topic_clusters(corpus: Corpus, topic: int) -> set[str]:
    rows = corpus.run(
        "SELECT DISTINCT m.cluster_id FROM elmer.cluster_members m JOIN elmer.signals s ON s.id = m.signal_id "
        "WHERE s.verbatim LIKE :t AND m.cluster_id IS NOT NULL AND m.placed_by = 'clustering'",
        t=f"topic {topic} %",
    )
    return {row[0] for row in rows}


def members(corpus: Corpus, signal_ids: list[str]) -> list[tuple[object, ...]]:
    rows = corpus.run(
        "SELECT signal_id, cluster_id, nearest_id, placed_by, similarity FROM elmer.cluster_members "
        "WHERE signal_id = ANY(:i)", i=signal_ids,
    )  # fmt: skip
    found = {row[0]: tuple(row[1:]) for row in rows}
    return [found[one] for one in signal_ids]


def test_new_signals_are_placed_and_the_rest_is_left_alone(large: Corpus) -> None:
    before = large.run("SELECT * FROM elmer.cluster_members ORDER BY signal_id")
    others = large.run("SELECT id, size, updated_at FROM elmer.clusters ORDER BY id")
    home, events = topic_clusters(large, 3), large.events()
    added = large.add(3, 5, spread=0.05)
    stray = large.add(12)
    result = step(large)
    assert (result.counts["placed"], result.counts["placed_nowhere"]) == (5, 1)
    placed = members(large, added)
    assert {one[0] for one in placed} <= home
    assert {one[2] for one in placed} == {"neighbours"}
    ((cluster, nearest, placed_by, similarity),) = members(large, stray)
    assert (cluster, placed_by) == (None, "neighbours")
    assert nearest is not None
    assert similarity < 0.5
    new = [*added, *stray]
    assert (
        large.run("SELECT * FROM elmer.cluster_members WHERE NOT signal_id = ANY(:i) ORDER BY signal_id", i=new)
        == before
    )
    touched = {one[0] for one in placed}
    after = {row[0]: row for row in large.run("SELECT id, size, updated_at FROM elmer.clusters")}
    assert {row[0] for row in others if after[row[0]] != row} == touched
    assert sum(row[1] for row in after.values()) == sum(row[1] for row in others) + 5
    assert large.events() == events
    assert step(large).pending == 0
    with large.database.begin() as connection:
        assert len(clusterings.every(connection, large.workspace_id)) == 1


def test_searching_the_index_places_like_comparing_with_every_member(
    large: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = [signal for topic in range(8) for signal in large.add(topic)]
    with large.database.begin() as connection, pytest.raises(ZeroDivisionError):
        last = clusterings.last(connection, large.workspace_id)
        newcomers.place_new(connection, large.workspace_id, large.embedder, last)
        compared = connection.exec_driver_sql(
            "SELECT signal_id, cluster_id, need_id, round(similarity::numeric, 3) FROM elmer.cluster_members "
            "WHERE placed_by = 'neighbours' ORDER BY 1"
        ).all()
        raise ZeroDivisionError  # roll back
    monkeypatch.setattr(newcomers, "_IN_MEMORY", 0)
    monkeypatch.setattr(newcomers, "_MANY_SHARE", 1.0)
    step(large)
    assert (
        large.run(
            "SELECT signal_id, cluster_id, need_id, round(similarity::numeric, 3) FROM elmer.cluster_members "
            "WHERE placed_by = 'neighbours' ORDER BY 1"
        )
        == compared
    )
    assert len(compared) == len(added)


def test_who_is_gone_leaves_and_an_emptied_cluster_ends(large: Corpus) -> None:
    home = topic_clusters(large, 2)
    gone = [row[0] for row in large.run("SELECT id FROM elmer.signals WHERE verbatim LIKE 'topic 2 %'")]
    large.retire(gone)
    result = step(large)
    assert result.counts["left"] == 75
    assert {one for one, event in large.events() if event == "ended"} == home
    assert large.run("SELECT 1 FROM elmer.cluster_members WHERE signal_id = ANY(:i)", i=gone) == []
    remembered = large.run("SELECT last_members FROM elmer.clusters WHERE id = ANY(:i)", i=sorted(home))
    assert {one for row in remembered for one in row[0]} == set(gone)


def test_a_signal_with_the_words_of_one_that_is_gone_takes_its_place(large: Corpus) -> None:
    ((signal, words, cluster),) = large.run(
        "SELECT s.id, s.verbatim, m.cluster_id FROM elmer.signals s JOIN elmer.cluster_members m "
        "ON m.signal_id = s.id WHERE m.cluster_id IS NOT NULL ORDER BY 1 LIMIT 1"
    )
    large.retire([signal])
    heir = large.add(9, words=[words])  # the vector of the words is there already
    step(large)
    assert members(large, heir)[0][:3] == (cluster, members(large, heir)[0][1], "clustering")


def test_an_edit_is_summed_up_without_clustering_again(large: Corpus) -> None:
    ((signal, cluster),) = large.run(
        "SELECT signal_id, cluster_id FROM elmer.cluster_members WHERE cluster_id IS NOT NULL ORDER BY 1 LIMIT 1"
    )
    large.run(
        'UPDATE elmer.signals SET edits = \'{"severity": "critical"}\', updated_at = now() WHERE id = :i', i=signal
    )
    assert step(large).done == 1
    assert large.run("SELECT severity FROM elmer.clusters WHERE id = :c", c=cluster) == [("critical",)]
    assert len(large.run("SELECT 1 FROM elmer.clusterings")) == 1


def test_what_fits_nowhere_calls_for_a_clustering_that_finds_it_a_home(large: Corpus) -> None:
    news = large.add(13, 25)
    assert step(large).counts["placed_nowhere"] == 25
    assert set(large.cluster_of(news)) == {None}
    large.add(0)
    step(large)
    assert [row[0] for row in large.run("SELECT reason FROM elmer.clusterings ORDER BY id")] == ["first", "drift"]
    assert None not in large.cluster_of(news)


def test_the_night_clusters_again_what_has_moved(large: Corpus) -> None:
    night = (large.database, large.workspace_id, large.embedder)
    assert not ask_nightly(*night)
    large.add(5, 8)
    step(large)
    assert ask_nightly(*night)
    assert not ask_nightly(*night), "asked already"
    with large.database.begin() as connection:
        assert "nightly" in standing(connection, large.workspace_id, large.embedder).decision.said
    step(large)
    assert [row[0] for row in large.run("SELECT reason FROM elmer.clusterings ORDER BY id")] == ["first", "schedule"]
    placed = large.run("SELECT detail->>'placed' FROM elmer.cluster_events WHERE detail ? 'placed'")
    assert sum(int(row[0]) for row in placed) == 8, "the history counts who came in between"


def test_the_plan_says_what_a_run_would_do(large: Corpus) -> None:
    large.add(1, 3)
    large.retire([large.run("SELECT min(id) FROM elmer.signals")[0][0]])
    with large.database.begin() as connection:
        assert standing(connection, large.workspace_id, large.embedder).decision.said == "place 3 new, let 1 leave"
