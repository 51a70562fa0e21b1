"""Duplicates: equal words or near vectors, in groups led by the oldest, in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from elmer_pipelines.signals import duplicates
from elmer_pipelines.signals.duplicates import duplicates_among, same_words
from elmer_pipelines.vectors import pairs


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def found(texts: list[str], vectors: np.ndarray, threshold: float = 0.99) -> dict[str, tuple[str, float]]:
    ids = [f"S-{row}" for row in range(len(texts))]
    rows = duplicates_among(ids, texts, vectors, threshold=threshold)
    assert [row.signal_id for row in rows] == [one for one in ids if one in {row.signal_id for row in rows}]
    return {row.signal_id: (row.group_id, round(row.similarity, 3)) for row in rows}


def test_equal_words_are_duplicates_whatever_their_vectors() -> None:
    texts = ["Notes are lost!", "other", "notes   ARE lost", "Ｎotes are lost…"]
    assert found(texts, at(0, 30, 60, 90)) == {"S-0": ("S-0", 1.0), "S-2": ("S-0", 1.0), "S-3": ("S-0", 1.0)}


def test_near_vectors_are_duplicates_and_connect() -> None:
    near = round(float(np.cos(np.radians(5))), 3)
    assert found(["a", "b", "c", "d"], at(0, 5, 10, 90)) == dict.fromkeys(("S-0", "S-1", "S-2"), ("S-0", near))


def test_the_bound_itself_is_not_above_it() -> None:
    assert found(["a", "b"], np.eye(2, dtype=np.float32)[[0, 0]], threshold=1.0) == {}


def test_words_and_vectors_connect_with_each_other() -> None:
    groups = found(["x", "y", "Y!", "z"], at(0, 90, 120, 91))
    assert {name: group for name, (group, _) in groups.items()} == {"S-1": "S-1", "S-2": "S-1", "S-3": "S-1"}


def test_marks_alone_are_told_apart() -> None:
    assert same_words("😀") != same_words("😡")
    assert found(["!!", "??"], at(0, 90)) == {}


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_be_duplicates(count: int) -> None:
    assert found(["a"][:count], at(0)[:count]) == {}


def test_compaction_gives_the_same_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(2)
    vectors = np.repeat(draw.standard_normal((40, 12)), 5, axis=0) + 0.01 * draw.standard_normal((200, 12))
    order = draw.permutation(200)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)[order]
    texts = [f"text {row}" for row in range(200)]
    whole = found(texts, vectors, 0.98)
    monkeypatch.setattr(pairs, "_BLOCK_CELLS", 200 * 7)
    monkeypatch.setattr(duplicates, "_MAX_EDGES", 10)
    assert found(texts, vectors, 0.98) == whole
    assert len(whole) == 200
    assert len({group for group, _ in whole.values()}) == 40


def test_unequal_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one per signal"):
        duplicates_among(["S-1"], [], at(0), threshold=0.9)
