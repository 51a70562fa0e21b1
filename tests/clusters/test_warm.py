"""Grouping again starts from the clusters there were: little moves without need, and what is new still comes up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from elmer_pipelines.clusters.grouping import group
from elmer_pipelines.clusters.warm import communities_again, voted


def linked(count: int, *edges: tuple[int, int, float]) -> csr_array:
    """A symmetric graph of these edges."""
    matrix = np.zeros((count, count))
    for one, other, weight in edges:
        matrix[one, other] = matrix[other, one] = weight
    return csr_array(matrix)


def topics(sizes: list[int], noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many directions as there are sizes, and the direction of each."""
    chance = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    centres = chance.normal(size=(len(sizes), 32))
    vectors = centres[labels] / np.linalg.norm(centres[labels], axis=1, keepdims=True)
    vectors = vectors + noise * chance.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def keys(count: int) -> list[str]:
    return [f"{row:05}" for row in range(count)]


def test_a_new_signal_goes_where_most_of_its_edges_weight_goes() -> None:
    graph = linked(6, (0, 1, 1), (2, 3, 1), (4, 0, 0.9), (4, 2, 0.5), (4, 3, 0.5), (5, 4, 0.3))
    previous = np.array([0, 0, 1, 1, -1, -1], dtype=np.int32)
    assert voted(graph, previous).tolist() == [0, 0, 1, 1, 1, 1], "the last by way of the one before"


def test_new_signals_that_hang_on_each_other_wait_for_something_new() -> None:
    graph = linked(5, (0, 1, 1), (2, 3, 1), (3, 4, 1), (2, 4, 1), (2, 0, 0.4))
    found = voted(graph, np.array([0, 0, -1, -1, -1], dtype=np.int32))
    assert found.tolist() == [0, 0, -1, -1, -1]
    assert len(set(communities_again(graph, 1.0, found)[2:].tolist())) == 1


def test_nobody_was_anywhere() -> None:
    nowhere = np.full(3, -1, dtype=np.int32)
    assert voted(linked(3, (0, 1, 1), (1, 2, 1)), nowhere).tolist() == [-1, -1, -1]


def test_a_member_between_two_stays_and_one_that_clearly_belongs_elsewhere_moves() -> None:
    left = [(a, b, 1.0) for a in range(4) for b in range(a)]
    right = [(a, b, 1.0) for a in range(4, 8) for b in range(4, a)]
    previous = np.array([0] * 4 + [1] * 4 + [0], dtype=np.int32)
    between = linked(9, *left, *right, (8, 0, 0.9), (8, 1, 0.9), (8, 4, 1.0), (8, 5, 1.0))
    found = communities_again(between, 1.0, previous)
    assert found[8] == found[0]
    elsewhere = linked(9, *left, *right, (8, 0, 0.3), *((8, other, 1.0) for other in range(4, 8)))
    found = communities_again(elsewhere, 1.0, previous)
    assert found[8] == found[4]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nine_of_ten_stay_together_when_a_tenth_is_gone(seed: int) -> None:
    vectors, _ = topics([25] * 12, noise=0.25, seed=seed)
    names = keys(len(vectors))
    before = group(vectors, names, unrelated=0.1)
    kept = np.sort(np.random.default_rng(seed).permutation(len(names))[: len(names) * 9 // 10])
    again = group(vectors[kept], [names[row] for row in kept], unrelated=0.1, previous=before.labels[kept])
    pairs = [np.equal.outer(one, one) for one in (before.labels[kept], again.labels)]
    assert (pairs[0] & pairs[1]).sum() / (pairs[0] | pairs[1]).sum() > 0.9


def test_a_new_topic_becomes_a_theme_of_its_own_beside_the_old() -> None:
    vectors, truth = topics([40] * 8, noise=0.12, seed=5)
    base = truth < 7
    previous = np.full(len(truth), -1, dtype=np.int32)
    previous[base] = group(vectors[base], keys(int(base.sum())), unrelated=0.1).labels
    found = group(vectors, keys(len(truth)), unrelated=0.1, previous=previous).labels
    own, counts = np.unique(found[~base], return_counts=True)
    theme = own[np.argmax(counts)]
    assert counts.max() >= 38
    assert np.count_nonzero(found[base] == theme) <= 2


def test_clusters_that_were_wrong_are_not_held_for_ever() -> None:
    vectors, truth = topics([40] * 8, noise=0.12, seed=6)
    mixed = np.random.default_rng(6).permutation(8).astype(np.int32)[truth] % 2
    found = group(vectors, keys(len(truth)), unrelated=0.1, previous=mixed).labels
    same = np.equal.outer(truth, truth)
    assert (np.equal.outer(found, found) == same).mean() > 0.97


def families(seed: int) -> np.ndarray:
    """Vectors in six families of four groups, each of two halves: areas, themes and needs that run into each other."""
    chance = np.random.default_rng(seed)
    family = np.repeat(chance.normal(size=(6, 24)), 4, axis=0)
    group_ = np.repeat(0.9 * family + 0.6 * chance.normal(size=family.shape), 2, axis=0)
    half = np.repeat(group_ + 0.8 * chance.normal(size=group_.shape), 12, axis=0)
    vectors = half + 1.2 * chance.normal(size=half.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def together(one: np.ndarray, other: np.ndarray) -> float:
    """Of the pairs that are together in either partition, the share that are in both."""
    first, second = np.equal.outer(one, one), np.equal.outer(other, other)
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("level", ["needs", "areas"])
def test_what_divides_and_what_holds_themes_is_kept_too(level: str) -> None:
    """On the mean over draws, and more than where only the themes are started from."""
    kept_so_far, by_themes_alone = [], []
    for seed in range(4):
        vectors = families(seed)
        names = keys(len(vectors))
        before = group(vectors, names, unrelated=0.05)
        rows = np.sort(np.random.default_rng(seed).permutation(len(names))[: len(names) * 9 // 10])
        rest = [names[row] for row in rows]
        needs, areas = before.needs[rows], before.area_of_each()[rows]
        alone = group(vectors[rows], rest, unrelated=0.05, previous=before.labels[rows])
        again = group(
            vectors[rows], rest, unrelated=0.05, previous=before.labels[rows], previous_needs=needs,
            previous_areas=areas,
        )  # fmt: skip
        was = needs if level == "needs" else areas
        for found, shares in ((again, kept_so_far), (alone, by_themes_alone)):
            shares.append(together(was, found.needs if level == "needs" else found.area_of_each()))
    assert np.mean(kept_so_far) > 0.9
    assert np.mean(kept_so_far) > np.mean(by_themes_alone)


def test_needs_lie_within_themes_whatever_they_were() -> None:
    vectors = families(1)
    mixed = np.random.default_rng(1).integers(-1, 5, size=len(vectors)).astype(np.int32)
    first = group(vectors, keys(len(vectors)), unrelated=0.05)
    found = group(
        vectors, keys(len(vectors)), unrelated=0.05, previous=first.labels, previous_needs=mixed, previous_areas=mixed
    )
    for need in np.unique(found.needs[found.needs >= 0]):
        assert len(np.unique(found.labels[found.needs == need])) == 1
    assert np.array_equal(found.needs < 0, found.labels < 0)
