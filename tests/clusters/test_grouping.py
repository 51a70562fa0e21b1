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


def nested(areas: int, themes: int, needs: int, each: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    draw = np.random.default_rng(4)
    centres = np.zeros((1, DIMENSIONS))
    for count, spread in ((areas, 1.0), (themes, 0.8), (needs, 0.45)):
        steps = draw.standard_normal((len(centres), count, DIMENSIONS))
        steps *= spread / np.linalg.norm(steps, axis=2, keepdims=True)
        centres = (centres[:, None, :] + steps).reshape(-1, DIMENSIONS)
    truth = np.repeat(np.arange(len(centres)), each)
    vectors = centres[truth] + 0.03 * draw.standard_normal((len(truth), DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), truth, [f"S-{row:05d}" for row in range(len(truth))]


def test_layers_nest_and_leave_out_the_same_signals() -> None:
    vectors, _, keys = nested(3, 4, 3, 20)
    found = group(vectors, keys, unrelated=0.3)
    assert len(found.areas) == found.size
    assert sorted(set(found.areas.tolist())) == list(range(max(found.areas) + 1))
    assert np.array_equal(found.needs == UNCLUSTERED, found.labels == UNCLUSTERED)
    for need in set(found.needs.tolist()) - {UNCLUSTERED}:
        assert len(set(found.labels[found.needs == need].tolist())) == 1
    assert 1 < max(found.areas) + 1 < found.size <= found.needs.max() + 1


def test_identical_texts_are_one_theme_one_need_one_area() -> None:
    vectors = np.repeat(planted([1])[0], 500, axis=0)
    found = group(vectors, [f"{row:03d}" for row in range(500)], unrelated=0.4)
    assert (found.size, int(found.needs.max()), found.areas.tolist()) == (1, 0, [0])


def test_two_languages_stay_apart() -> None:
    from elmer_pipelines.models.local_embeddings import LocalEmbeddings

    english = ["The export to PDF fails", "PDF export is broken", "I can not export a PDF", "Exporting PDF files fails"]
    german = ["Die Rechnung ist falsch", "Meine Rechnung stimmt nicht", "Falsche Rechnung", "Die Rechnung stimmt nicht"]
    model = LocalEmbeddings()
    labels = group(model.embed(english + german), list("abcdefgh"), unrelated=model.scale.unrelated).labels.tolist()
    assert set(labels[:4]) & set(labels[4:]) <= {UNCLUSTERED}


def test_started_from_last_time_fewer_signals_move() -> None:
    vectors, _, keys = planted([40] * 12, noise=0.19, seed=3)
    before = group(vectors, keys, unrelated=0.1)
    kept = np.sort(np.random.default_rng(1).permutation(len(keys))[: len(keys) * 9 // 10])
    rest = [keys[row] for row in kept]
    again = group(vectors[kept], rest, unrelated=0.1, previous=before.labels[kept])
    order = np.random.default_rng(2).permutation(len(kept))
    turned = group(
        vectors[kept][order], [rest[row] for row in order], unrelated=0.1, previous=before.labels[kept][order]
    )
    assert np.array_equal(again.labels[order], turned.labels)
    together = np.equal.outer(before.labels[kept], before.labels[kept]) == np.equal.outer(again.labels, again.labels)
    assert together.mean() > 0.97
    fresh = group(vectors, keys, unrelated=0.1, previous=np.full(len(keys), -1, dtype=np.int32))
    assert np.array_equal(fresh.labels, before.labels)
