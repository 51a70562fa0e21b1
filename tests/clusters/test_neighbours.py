"""Neighbours: against the plain definition, with ties, in blocks, by cells."""

from __future__ import annotations

import numpy as np
import pytest

from elmer_pipelines.clusters import approximate, lattice, neighbours
from elmer_pipelines.clusters.neighbours import nearest, recall


def unit(rows: int, dimensions: int = 16, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def plain(vectors: np.ndarray, k: int) -> np.ndarray:
    steps = np.rint(vectors.astype(np.float32) * 4_000).astype(np.int64)
    similarity = steps @ steps.T
    np.fill_diagonal(similarity, -(4_000**3))
    columns = np.broadcast_to(np.arange(len(vectors)), similarity.shape)
    return np.lexsort((columns, -similarity), axis=1)[:, :k]


def test_the_result_is_that_of_sorting_all_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(333)
    expected = plain(vectors, 7)
    whole, similarities = nearest(vectors, 7)
    assert np.array_equal(whole, expected)
    assert (whole.dtype, similarities.dtype) == (np.int32, np.float32)
    assert np.allclose(similarities, np.einsum("ikd,id->ik", vectors[whole], vectors), atol=1e-3)
    monkeypatch.setattr(neighbours, "BLOCK_CELLS", 333 * 10)
    assert len(neighbours.row_blocks(333)) == 34
    assert np.array_equal(nearest(vectors, 7)[0], expected)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (2, 1), (5, 4), (16, 15), (17, 15)])
def test_few_rows_have_all_others_as_neighbours(rows: int, columns: int) -> None:
    indices, similarities = nearest(unit(rows), 15)
    assert indices.shape == similarities.shape == (rows, columns)
    assert all(row not in found for row, found in enumerate(indices.tolist()))


def test_identical_rows_come_in_order() -> None:
    vectors = np.repeat(unit(2), [60, 3], axis=0)
    indices, similarities = nearest(vectors, 5)
    assert indices[0].tolist() == [1, 2, 3, 4, 5]
    assert indices[40].tolist() == [0, 1, 2, 3, 4]
    assert indices[62].tolist()[:2] == [60, 61]
    assert indices[62].tolist()[2:] == [0, 1, 2]
    assert similarities[0].max() <= 1.0


@pytest.mark.parametrize("values", [3, 40, 100_000])
def test_the_largest_among_many_columns_are_those_of_sorting_them_ties_included(values: int) -> None:
    # Columns are looked at in lots from some 1,500 on; 3,001 leave a rest that is in no lot.
    block = np.random.default_rng(values).integers(0, values, (12, 3_001)).astype(np.float32)
    block[1, 1_500:], block[2, -1] = 0, 2 * values
    columns, found = neighbours.top(block, 15)
    expected = np.lexsort((np.broadcast_to(np.arange(3_001), block.shape), -block), axis=1)[:, :15]
    assert np.array_equal(columns, expected)
    assert np.array_equal(found, np.take_along_axis(block, expected, axis=1))


def test_no_neighbours_can_not_be_asked_for() -> None:
    with pytest.raises(ValueError, match="at least one"):
        nearest(unit(3), 0)


def test_above_a_size_nearly_all_neighbours_are_found_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    vectors = unit(60, 32, seed=1)[draw.integers(60, size=6_000)] + 0.1 * draw.standard_normal((6_000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    monkeypatch.setattr(approximate, "CELLS_LOOKED_AT", 8)
    indices, similarities = nearest(vectors, 15, exact_up_to=1_000)
    assert recall(vectors, indices) > 0.9
    assert recall(vectors, nearest(vectors, 15)[0]) == 1.0
    assert (np.arange(6_000)[:, None] != indices).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    monkeypatch.setattr(neighbours, "BLOCK_CELLS", 50_000)
    again, _ = nearest(vectors, 15, exact_up_to=1_000)
    assert np.array_equal(indices, again)


def test_cells_of_identical_rows_still_give_enough_neighbours() -> None:
    vectors = np.repeat(unit(2), [700, 5], axis=0)
    indices, similarities = nearest(vectors, 15, exact_up_to=100)
    assert indices.shape == (705, 15)
    assert np.isfinite(similarities).all()
    assert all(row not in found for row, found in enumerate(indices.tolist()))


def test_centred_vectors_are_unit_and_keep_their_direction_where_all_are_alike() -> None:
    alike = np.repeat(unit(1), 50, axis=0)
    assert np.allclose(lattice.centred(alike, 0.5) @ alike[0], 1.0, atol=1e-3)
    drawn = unit(500) + np.float32(0.5)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    around = lattice.centred(drawn, 500 / 600)
    assert np.allclose(np.linalg.norm(around, axis=1), 1.0, atol=1e-5)
    assert np.linalg.norm(around.mean(axis=0)) < 0.5 * np.linalg.norm(drawn.mean(axis=0))
