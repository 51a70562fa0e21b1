"""Pairs above a similarity: those of comparing all with all, each once, whatever the cells."""

from __future__ import annotations

import numpy as np
import pytest

from elmer_pipelines.vectors import pairs
from elmer_pipelines.vectors.lattice import on_lattice
from elmer_pipelines.vectors.pairs import pairs_above


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scattered(kind: str, rows: int = 1_000, dimensions: int = 24) -> np.ndarray:
    draw = np.random.default_rng(5)
    noise = draw.standard_normal((rows, dimensions))
    heaps = draw.standard_normal((30, dimensions))[draw.integers(30, size=rows)]
    return {
        "heaps": unit(heaps + 0.25 * noise),
        "one heap": unit(heaps[:1] + 0.3 * noise),
        "no heaps": unit(noise[:, :4]),
        "no heaps in many dimensions": unit(draw.standard_normal((rows, 300))),
        "two points": unit(np.eye(dimensions)[draw.integers(2, size=rows)]),
        "copies": unit(noise[draw.integers(rows // 2, size=rows)]),
    }[kind]


def of_all_with_all(vectors: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    steps = np.rint(vectors.astype(np.float32) * 4_000).astype(np.int64)
    products = np.triu(steps @ steps.T, 1)
    above = zip(*np.nonzero(products > threshold * 16_000_000), strict=True)
    return {(int(a), int(b)): min(1.0, products[a, b] / 16_000_000) for a, b in above}


def found(vectors: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    result: dict[tuple[int, int], float] = {}
    for rows, columns, cosines in pairs_above(on_lattice(vectors), threshold):
        for a, b, cosine in zip(rows.tolist(), columns.tolist(), cosines.tolist(), strict=True):
            key = (min(a, b), max(a, b))
            assert a != b
            assert key not in result
            result[key] = cosine
    return result


@pytest.mark.parametrize("threshold", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("kind", ["heaps", "one heap", "no heaps", "two points", "copies"])
def test_none_is_missed_and_none_is_twice(kind: str, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = scattered(kind)[: 400 if kind == "two points" else None]
    expected = of_all_with_all(vectors, threshold)
    assert expected
    monkeypatch.setattr(pairs, "_WORTH_CELLS", 0)
    monkeypatch.setattr(pairs, "_BLOCK_ROWS", 37)
    monkeypatch.setattr(pairs, "_BLOCK_CELLS", 2_000)
    by_cells = found(vectors, threshold)
    assert by_cells.keys() == expected.keys()
    assert max(abs(by_cells[pair] - expected[pair]) for pair in expected) < 1e-6


@pytest.mark.parametrize(("kind", "share"), [("heaps", 0.05), ("no heaps in many dimensions", 1.05)])
def test_cells_save_comparisons_or_cost_none(kind: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = on_lattice(scattered(kind, 6_000))
    compared = 0
    within = pairs._compared

    def counted(steps: np.ndarray, rows: np.ndarray, others: np.ndarray, least: np.float32) -> object:
        nonlocal compared
        compared += len(rows) * (len(rows) + len(others))
        return within(steps, rows, others, least)

    monkeypatch.setattr(pairs, "_compared", counted)
    products = np.triu(vectors.astype(np.float64) @ vectors.T, 1)
    assert sum(len(rows) for rows, _, _ in pairs_above(vectors, 0.8)) == np.count_nonzero(products > 0.8 * 16_000_000)
    assert compared < share * len(vectors) ** 2


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_for_a_pair(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(scattered("heaps")[:count], 0.5) == {}
    monkeypatch.setattr(pairs, "_WORTH_CELLS", 1)
    assert found(scattered("heaps")[:1], 0.5) == {}
