"""Vectors in pgvector: half precision, side by side by model, indexed, searched together with words."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text

from elmer_pipelines.store import embeddings
from elmer_pipelines.store.database import Database


def _unit(rows: int, dimensions: int) -> np.ndarray:
    matrix = np.random.default_rng(7).normal(size=(rows, dimensions)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_what_is_saved_comes_back_in_the_order_asked(database: Database, workspace: str) -> None:
    matrix = _unit(5, 256)
    with database.begin() as connection:
        embeddings.insert(connection, workspace, "m", dict(zip("abcde", matrix, strict=True)))
        order, found = embeddings.load(connection, workspace, "m", ["d", "a", "d", "missing"])
    assert order == ["d", "a"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, matrix[[3, 0]], atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


def test_many_are_streamed_in_chunks_and_gaps_close(
    database: Database, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "_CHUNK", 7)
    matrix = _unit(50, 16)
    names = [f"h{row:02}" for row in range(50)]
    with database.begin() as connection:
        embeddings.insert(connection, workspace, "m", dict(zip(names, matrix, strict=True)))
        asked = [one for name in reversed(names) for one in (name, f"without {name}")]
        order, found = embeddings.load(connection, workspace, "m", asked)
        everything, whole = embeddings.load(connection, workspace, "m", names)
    assert order == names[::-1]
    assert everything == names
    np.testing.assert_allclose(found, matrix[::-1], atol=2e-3)
    np.testing.assert_allclose(whole, matrix, atol=2e-3)


def test_models_of_any_size_live_side_by_side(database: Database, workspace: str) -> None:
    with database.begin() as connection:
        for model, dimensions in (("small", 256), ("large", 1536)):
            embeddings.insert(connection, workspace, model, {"a": _unit(1, dimensions)[0]})
            embeddings.ensure_index(connection, model, dimensions)
            embeddings.ensure_index(connection, model, dimensions)
        assert embeddings.load(connection, workspace, "small", ["a"])[1].shape == (1, 256)
        assert embeddings.load(connection, workspace, "large", ["a"])[1].shape == (1, 1536)
        indexes = connection.execute(text("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_embeddings_hnsw%'"))
        assert indexes.scalar_one() == 2


def test_a_vector_once_stored_stays(database: Database, workspace: str) -> None:
    first, second = _unit(2, 8)
    with database.begin() as connection:
        embeddings.insert(connection, workspace, "m", {"a": first})
        embeddings.insert(connection, workspace, "m", {"a": second, "b": second})
        _, found = embeddings.load(connection, workspace, "m", ["a", "b"])
        assert embeddings.missing(connection, workspace, "m", ["a", "b", "c"]) == ["c"]
    np.testing.assert_allclose(found, [first, second], atol=2e-3)


def test_a_hostile_model_name_is_only_a_name(database: Database, workspace: str) -> None:
    name = "x'; DROP TABLE elmer.signals; --"
    with database.begin() as connection:
        embeddings.insert(connection, workspace, name, {"a": _unit(1, 8)[0]})
        embeddings.ensure_index(connection, name, 8)
        assert embeddings.missing(connection, workspace, name, ["a"]) == []
        assert connection.execute(text("SELECT count(*) FROM elmer.signals")).scalar_one() == 0


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_load_is_an_empty_matrix(database: Database, workspace: str, count: int) -> None:
    with database.begin() as connection:
        order, found = embeddings.load(connection, workspace, "m", ["a"] * count)
    assert order == []
    assert found.shape == (0, 0)
