"""The `embeddings` table: half-precision vectors keyed by model and text, each model with its own HNSW index.

Models and dimensions live side by side; nothing here is ever dropped because a setting changed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from psycopg import Connection as PsycopgConnection
    from sqlalchemy import Connection

INDEXABLE_DIMENSIONS = 4_000  # pgvector's limit for an HNSW index on halfvec
_CHUNK = 4_096  # rows


def missing(connection: Connection, workspace_id: str, model: str, hashes: Sequence[str]) -> list[str]:
    """Those of the text hashes that have no vector of this model."""
    rows = connection.execute(
        text(
            "SELECT h FROM unnest(:hashes) AS w (h) WHERE NOT EXISTS (SELECT FROM elmer.embeddings e "
            "WHERE e.workspace_id = :w AND e.model = :m AND e.text_hash = w.h)"
        ).bindparams(bindparam("hashes", type_=ARRAY(Text))),
        {"w": workspace_id, "m": model, "hashes": list(hashes)},
    )
    return list(rows.scalars())


def insert(connection: Connection, workspace_id: str, model: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
    """Save unit vectors by text hash; those already there stay as they are."""
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    if not vectors:
        return
    raw = _psycopg(connection)
    register_vector(raw)
    with raw.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS new_embeddings "
            "(workspace_id text, model text, text_hash text, embedding halfvec) ON COMMIT DROP"
        )
        with cursor.copy("COPY new_embeddings FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "text", "halfvec"])
            for text_hash, vector in vectors.items():
                copy.write_row((workspace_id, model, text_hash, HalfVector(vector)))
        cursor.execute(
            "INSERT INTO elmer.embeddings (workspace_id, model, text_hash, embedding) "
            "SELECT * FROM new_embeddings ORDER BY text_hash ON CONFLICT DO NOTHING"
        )
        cursor.execute("TRUNCATE new_embeddings")


def forget(connection: Connection, workspace_id: str, hashes: Sequence[str], model: str | None = None) -> int:
    """Delete the vectors of these texts, of one model or of all; returns how many."""
    if not hashes:
        return 0
    return connection.execute(
        text(
            "DELETE FROM elmer.embeddings WHERE workspace_id = :w AND text_hash = ANY(:h) "
            "AND (CAST(:m AS text) IS NULL OR model = :m)"
        ).bindparams(bindparam("h", type_=ARRAY(Text))),
        {"w": workspace_id, "h": list(hashes), "m": model},
    ).rowcount


def ensure_index(connection: Connection, model: str, dimensions: int) -> None:
    """Make the model's HNSW index (cosine, half precision) where it is missing.

    Searching works without it, only slower, so a model wider than pgvector can index has none.
    """
    if dimensions > INDEXABLE_DIMENSIONS:
        return
    name = "ix_embeddings_hnsw_" + hashlib.sha256(f"{model}:{dimensions}".encode()).hexdigest()[:16]
    exists = connection.execute(text("SELECT to_regclass(:n) IS NOT NULL"), {"n": f"elmer.{name}"}).scalar_one()
    if exists:
        return
    from psycopg import sql

    statement = sql.SQL(
        "CREATE INDEX IF NOT EXISTS {name} ON elmer.embeddings "
        "USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops) WHERE model = {model}"
    ).format(name=sql.Identifier(name), dimensions=sql.Literal(int(dimensions)), model=sql.Literal(model))
    _psycopg(connection).execute(statement)


def load(
    connection: Connection, workspace_id: str, model: str, hashes: Sequence[str]
) -> tuple[list[str], NDArray[np.float32]]:
    """The hashes that have a vector of this model, in the order given and each once, and the vectors.

    Shape (found, dimensions), float32, rows of unit length (renormalised after half precision). The rows are streamed
    into one matrix: beside it and the hashes only a chunk is held.
    """
    wanted = list(dict.fromkeys(hashes))
    matrix = np.empty((0, 0), np.float32)
    having = np.zeros(len(wanted), dtype=np.bool_)
    # halfvec_send: two bytes each for the dimensions and for nothing, then the numbers, all most significant first.
    with _psycopg(connection).cursor(name="vectors", binary=True) as cursor:
        cursor.execute(
            "SELECT w.position, halfvec_send(e.embedding) FROM unnest(%s::text[]) WITH ORDINALITY AS w (hash, position)"
            " JOIN elmer.embeddings e ON e.text_hash = w.hash WHERE e.workspace_id = %s AND e.model = %s",
            (wanted, workspace_id, model),
        )
        while rows := cursor.fetchmany(_CHUNK):
            raw = np.frombuffer(b"".join(sent for _, sent in rows), dtype=np.uint8).reshape(len(rows), -1)
            vectors = np.ascontiguousarray(raw[:, 4:]).view(">f2").astype(np.float32)
            if not matrix.size:
                matrix = np.empty((len(wanted), vectors.shape[1]), np.float32)
            places = np.array([position for position, _ in rows]) - 1
            matrix[places] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            having[places] = True
    return [one for one, has in zip(wanted, having.tolist(), strict=True) if has], _closed_up(matrix, having)


def _closed_up(matrix: NDArray[np.float32], having: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows there are, moved up within the matrix where some are missing."""
    places = np.flatnonzero(having)
    if len(places) == len(matrix):
        return matrix
    for start in range(0, len(places), _CHUNK):
        chosen = places[start : start + _CHUNK]
        matrix[start : start + len(chosen)] = matrix[chosen]
    return matrix[: len(places)]


def _psycopg(connection: Connection) -> PsycopgConnection:
    raw = connection.connection.driver_connection
    assert raw is not None
    return raw  # type: ignore[no-any-return]
