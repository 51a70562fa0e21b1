"""Hybrid search over signals: full text and vectors in one statement, joined by reciprocal rank fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_DEPTH = 60  # how far down each of the two lists is read
_SMOOTHING = 60  # Cormack, Clarke & Büttcher 2009: k = 60 in 1 / (k + rank)


def hybrid(
    connection: Connection,
    workspace_id: str,
    words: str,
    vector: Sequence[float],
    model: str,
    limit: int,
) -> list[dict[str, Any]]:
    """The best live signals for the query: signal_id, score, word_rank and vector_rank (None: not in that list).

    A signal that has any of the words is in the first list; the second has the nearest vectors of this model.
    """
    # The number of dimensions stands in the statement because the model's index is on that expression.
    dimensions = len(vector)
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    connection.execute(text("SET LOCAL hnsw.ef_search = 100"))
    rows = connection.execute(
        text(
            f"""
            WITH query AS (
                SELECT replace(plainto_tsquery('simple', :words)::text, '&', '|')::tsquery AS words
            ), by_words AS (
                SELECT s.id, row_number() OVER (ORDER BY ts_rank_cd(s.words, q.words, 1) DESC, s.id) AS rank
                FROM elmer.signals s, query q
                WHERE s.workspace_id = :w AND s.retired_at IS NULL AND s.words @@ q.words
                ORDER BY rank LIMIT {_DEPTH}
            ), nearest AS (
                SELECT e.text_hash, e.embedding::halfvec({dimensions}) <=> CAST(:vector AS halfvec({dimensions})) AS far
                FROM elmer.embeddings e
                WHERE e.workspace_id = :w AND e.model = :model
                  AND EXISTS (SELECT FROM elmer.signals s WHERE s.workspace_id = e.workspace_id
                              AND s.text_hash = e.text_hash AND s.retired_at IS NULL)
                ORDER BY far LIMIT {_DEPTH}
            ), by_vector AS (
                SELECT s.id, row_number() OVER (ORDER BY n.far, s.id) AS rank, 1 - n.far AS similarity
                FROM nearest n JOIN elmer.signals s ON s.workspace_id = :w AND s.text_hash = n.text_hash
                WHERE s.retired_at IS NULL
                ORDER BY rank LIMIT {_DEPTH}
            )
            SELECT coalesce(a.id, b.id) AS signal_id,
                   coalesce(1.0 / ({_SMOOTHING} + a.rank), 0) + coalesce(1.0 / ({_SMOOTHING} + b.rank), 0) AS score,
                   a.rank AS word_rank, b.rank AS vector_rank, b.similarity
            FROM by_words a FULL JOIN by_vector b ON a.id = b.id
            ORDER BY score DESC, signal_id LIMIT :limit
            """  # noqa: S608 - only numbers of this module are put in
        ),
        {
            "w": workspace_id,
            "words": words.replace("\x00", ""),
            "vector": "[" + ",".join(f"{value:.6g}" for value in vector) + "]",
            "model": model,
            "limit": limit,
        },
    )
    return [{**row, "score": float(row["score"])} for row in rows.mappings()]
