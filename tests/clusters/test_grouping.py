"""Groups: planted themes are found, loners stay alone, order does not matter, small sets are sensible."""

from __future__ import annotations

import numpy as np
import pytest

from elmer_pipelines.clusters.grouping import UNCLUSTERED, Grouping, centroids, group

DIMENSIONS = 64


def planted(sizes: list[int], noise: float = 0.08, seed: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    draw = np.random.default_rng(seed)
    centres = np.linalg.qr(draw.standard_normal((DIMENSIONS, DIMENSIONS)))[0][: len(sizes)]
    truth = np.repeat(np.arange(len(sizes)), sizes)
    vectors = centres[truth] + noise * draw.standard_normal((len(truth), DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), truth, [f"S-{row:05d}" for row in range(len(truth))]


def partition(labels: np.ndarray, keys: list[str]) -> set[frozenset[str]]:
    return {
        frozenset(key for key, own in zip(keys, labels, strict=True) if own == label)
        for label in set(labels.tolist()) - {UNCLUSTERED}
    }


@pytest.mark.parametrize("sizes", [[3, 3], [5, 4, 3], [12, 9, 7, 6], [30, 25, 20, 20, 15, 12, 10, 8]])
def test_planted_groups_are_found(sizes: list[int]) -> None:
    vectors, truth, keys = planted(sizes)
    found = group(vectors, keys, unrelated=0.4)
    assert partition(found.labels, keys) == partition(truth, keys)
    assert np.bincount(found.labels).tolist() == sizes
    assert np.array_equal(found.labels, found.nearest)
    assert found.similarity.min() > 0.7


def test_a_signal_far_from_everything_is_left_alone_and_told_its_nearest() -> None:
    vectors, _, keys = planted([20, 15, 1])
    found = group(vectors, keys, unrelated=0.4)
    assert found.size == 2
    assert found.labels[-1] == UNCLUSTERED
    assert found.nearest[-1] in (0, 1)
    assert found.similarity[-1] < 0.4


def test_the_order_of_rows_does_not_matter() -> None:
    draw = np.random.default_rng(5)
    vectors = draw.standard_normal((400, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = [f"S-{row}" for row in range(400)]
    first = group(vectors, keys, unrelated=0.4)
    order = draw.permutation(400)
    second = group(vectors[order], [keys[row] for row in order], unrelated=0.4)
    assert first.size > 3
    assert np.array_equal(first.labels[order], second.labels)
    assert np.array_equal(group(vectors, keys, unrelated=0.4).labels, first.labels)


def test_nothing_and_one_signal() -> None:
    for count in (0, 1):
        vectors, _, keys = planted([count])
        found = group(vectors, keys, unrelated=0.4)
        assert isinstance(found, Grouping)
        assert found.size == 0
        assert found.labels.tolist() == [UNCLUSTERED] * count
        assert np.isnan(found.similarity).all()


def test_two_alike_are_a_group_and_two_unlike_are_not() -> None:
    alike, _, keys = planted([2])
    assert group(alike, keys, unrelated=0.4).labels.tolist() == [0, 0]
    unlike, _, keys = planted([1, 1])
    assert group(unlike, keys, unrelated=0.4).labels.tolist() == [UNCLUSTERED] * 2


def test_identical_signals_are_one_group() -> None:
    vectors = np.repeat(planted([1, 1])[0], [40, 5], axis=0)
    labels = group(vectors, [f"{row:03d}" for row in range(45)], unrelated=0.4).labels
    assert len(set(labels[40:].tolist())) == 1
    assert set(labels[:40].tolist()).isdisjoint(labels[40:].tolist())


def test_keys_must_name_rows() -> None:
    vectors, _, _ = planted([3])
    with pytest.raises(ValueError, match="own key"):
        group(vectors, ["a", "b", "b"], unrelated=0.4)
    with pytest.raises(ValueError, match="own key"):
        group(vectors, ["a", "b"], unrelated=0.4)


def test_a_centroid_whose_members_cancel_out_is_zero() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    assert centroids(vectors, np.array([0, 0, 1], dtype=np.int32)).tolist() == [[0, 0], [0, 1]]
