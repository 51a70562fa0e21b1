# ruff: noqa: S608 - statements are put together from constants of this module and of search_filters
"""Hybrid search over signals in one statement: full text and vectors, under filters, joined by reciprocal rank fusion.

What a person may filter by is resolved to ids in `search_filters.py`; who embeds the query is decided above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.store.search_filters import Conditions, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, TextClause

_DEPTH = 40  # how far down each of the two lists is read
_SMOOTHING = 60  # Cormack, Clarke & Büttcher 2009: k = 60 in 1 / (k + rank)
_LONGEST = 4_000  # characters of a query that are looked for
_RANKED = 3_000  # matches of words that are ranked, for each language
_DRAWN, _NARROWEST = 300, 0.2  # signals that tell what share the filters keep; below it no more matches are read
_UNKNOWN = 0.01  # share of all signals that a workspace has at most where the statistics don't name it
_RAREST = 0.01  # share of the signals that have a word: rarer ones tell no more
_TELLING = 8  # of a query's words, the rarest: those that say how well a signal answers it
_LEAST_TELLING = 0.01  # of a word that all signals have
_FEWEST, _MOST = 1_000, 20_000  # bounds of what is compared one by one
# The index is read in any order and sorted afterwards; what it must pass over under a filter stays bounded by `bound`.
# Whoever wants the first thousand rows of a filter is better off with an index than the planner thinks.
_SETTINGS = {
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": "120",
    "hnsw.max_scan_tuples": "60000",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}


@dataclass(frozen=True)
class Query:
    """What is looked for: words, a vector of a model, or both; never the signal `besides`."""

    words: str = ""
    vector: Sequence[float] | None = None
    model: str = ""
    besides: str | None = None


def hybrid(
    connection: Connection,
    workspace_id: str,
    query: Query,
    scope: Scope | None = None,
    limit: int = 10,
    *,
    exact: bool = False,
) -> list[dict[str, Any]]:
    """The best live signals for the query: signal_id, score, word_rank, vector_rank, similarity, best first.

    A signal that has any of the words, each stemmed by the signal's own language, is in the first list, ranked by how
    rare those it has are; its place counts by what share of the query they are, or common words would outvote meaning.
    The second list has the nearest vectors of the model. A rank is None for what is not in that list, `similarity`
    where there is no vector. Few signals, because the filters or the workspace leave no more, are compared one by one;
    of many, the vector index and the rarer words choose. `exact` compares all: the measure of what an index misses.
    """
    conditions = (scope or Scope()).conditions(besides=query.besides)
    depth = max(_DEPTH, min(limit, 200))
    connection.execute(_SET, _SET_VALUES)
    statement = text(_statement(conditions, 0 if query.vector is None else len(query.vector)))
    rows = connection.execute(
        _bound(statement, conditions),
        {
            **conditions.values,
            "w": workspace_id,
            "words": _words(query.words),
            "limit": limit,
            "depth": depth,
            "exact": exact,
            **_vector_values(query),
        },
    )
    return [{**row, "score": float(row["score"])} for row in rows.mappings()]


_SET = text("SELECT " + ", ".join(f"set_config('{one}', :v{n}, true)" for n, one in enumerate(_SETTINGS)))
_SET_VALUES = {f"v{n}": value for n, value in enumerate(_SETTINGS.values())}


def _words(asked: str) -> str:
    """What of the query PostgreSQL can take: no null, no half of a surrogate pair, not endless."""
    return asked[:_LONGEST].replace("\x00", " ").encode("utf-8", "replace").decode()


def _bound(statement: TextClause, conditions: Conditions) -> TextClause:
    lists = [name for name, value in conditions.values.items() if isinstance(value, list)]
    return statement.bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in lists))


def _vector_values(query: Query) -> dict[str, str]:
    if query.vector is None:
        return {}
    return {"vector": _as_text(query.vector), "model": query.model}


def _as_text(vector: Sequence[float]) -> str:
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"


def _statement(conditions: Conditions, dimensions: int) -> str:
    """The statement; the number of dimensions stands in it because the model's index is on that expression."""
    by_vector = _BY_VECTOR if dimensions else "by_vector AS (SELECT NULL::text AS id, NULL::bigint AS rank WHERE false)"
    similarity = _SIMILARITY if dimensions else "NULL::float"
    return (
        (_HEAD + by_vector + _FUSION)
        .replace("{similarity}", similarity)
        .replace("{dimensions}", str(dimensions))
        .replace("{signals}", conditions.source)
        .replace("{conditions}", conditions.where)
        .replace("{one_by_one}", conditions.each)
    )


def _tells(share: str, rarest: str) -> str:
    """How much a word tells that such a share of the texts has: inverse document frequency, `rarest` at the most."""
    return f"greatest(-ln(greatest({share}, {rarest})), {_LEAST_TELLING})::float"


# `told`: which of the query's words a signal has, each weighed by how rare it is (inverse document frequency). Words
# stand in columns, not in an array, which would take twice as long. `said`: what share of the query that is. A place in
# the list of words counts by it: common words alone would outvote meaning, and a rare one would not be heard.
_TERMS = ", ".join(
    f"(array_agg(term::tsquery ORDER BY place))[{n}] AS q{n}, (array_agg(tells ORDER BY place))[{n}] AS t{n}"
    for n in range(1, _TELLING + 1)
)
_TOLD = " + ".join(f"CASE WHEN {{words}} @@ a.q{n} THEN a.t{n} ELSE 0 END" for n in range(1, _TELLING + 1))
_QUOTED = "'''' || replace(replace(t.lexeme, '\\', '\\\\'), '''', '''''') || ''''"  # a lexeme as a query for it
_BY_WORDS = "told / whole AS said, row_number() OVER (ORDER BY told / (1 + ln(greatest(long, 1))) DESC, id) AS rank"
_SCORE = f"coalesce(a.said / ({_SMOOTHING} + a.rank), 0) + coalesce(1.0 / ({_SMOOTHING} + b.rank), 0)"

# `bound`: a scan of n rows one by one costs as much as the index, which passes over total / n vectors for each hit,
# where n² is about depth × total. `common`: how many signals have a word, as the planner's statistics know it; what
# is in half of all signals tells nothing, and ranking its matches would take seconds. `passing`: what share the filters
# keep, by the first ids, which are hashes and so a fair draw: of words whose matches mostly fail, more can be read.
_HEAD = f"""
WITH RECURSIVE bound AS (
    SELECT CASE WHEN :exact THEN 1000000000 ELSE
        greatest({_FEWEST}, least({_MOST}, sqrt({_DEPTH} * greatest(reltuples, 0)))) END::bigint AS most
    FROM pg_class WHERE oid = to_regclass('elmer.embeddings')
), eligible AS MATERIALIZED (
    SELECT s.id, s.text_hash, s.language, s.words FROM {{signals}} s
    WHERE {{conditions}} LIMIT (SELECT most + 1 FROM bound)
), route AS MATERIALIZED (
    SELECT count(*) <= (SELECT most FROM bound) AS few FROM eligible
), present AS (
    SELECT min(language) AS language FROM elmer.signals WHERE workspace_id = :w
    UNION ALL
    SELECT (SELECT min(s.language) FROM elmer.signals s WHERE s.workspace_id = :w AND s.language > p.language)
    FROM present p WHERE p.language IS NOT NULL
), common AS MATERIALIZED (
    SELECT c.lexeme, c.share FROM pg_stats p,
        unnest(p.most_common_elems::text::text[], p.most_common_elem_freqs) AS c (lexeme, share)
    WHERE p.schemaname = 'elmer' AND p.tablename = 'signals' AND p.attname = 'words' AND c.lexeme IS NOT NULL
), drawn AS (
    SELECT * FROM elmer.signals WHERE workspace_id = :w ORDER BY id LIMIT {_DRAWN}
), passing AS MATERIALIZED (
    SELECT greatest({_NARROWEST}, count(*) FILTER (WHERE {{one_by_one}}) / greatest(count(*), 1)::float) AS share
    FROM drawn s
), here AS MATERIALIZED (
    SELECT passing.share * g.reltuples * coalesce((
        SELECT share FROM common WHERE lexeme = 'in workspace ' || :w), {_UNKNOWN}) AS signals
    FROM passing, pg_class g WHERE g.oid = to_regclass('elmer.signals')
), terms AS MATERIALIZED (
    SELECT p.language, {_QUOTED} AS term,
           row_number() OVER rarest AS place, sum(coalesce(c.share, 0)) OVER rarest AS share,
           {_tells("coalesce(c.share, 0)", str(_RAREST))} AS tells
    FROM present p
    CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector(p.language::regconfig, :words))) AS t (lexeme)
    LEFT JOIN common c ON c.lexeme = t.lexeme
    WHERE p.language IS NOT NULL
    WINDOW rarest AS (PARTITION BY p.language ORDER BY coalesce(c.share, 0), t.lexeme)
), asked AS MATERIALIZED (
    SELECT language, string_agg(term, ' | ')::tsquery AS any_word,
           {_TERMS}, sum(tells) FILTER (WHERE place <= {_TELLING}) AS whole,
           ('''in workspace ' || :w || '''')::tsquery
           && (string_agg(term, ' | ') FILTER (WHERE place = 1 OR share * here.signals < {_RANKED})::tsquery
               || string_agg(term, ' & ')::tsquery) AS telling
    FROM terms, here WHERE place <= 64 GROUP BY language
), heard AS (
    SELECT g.id, {_TOLD.format(words="g.words")} AS told, a.whole, length(g.words) AS long
    FROM eligible g JOIN asked a ON a.language = g.language
    WHERE (SELECT few FROM route) AND g.words @@ a.any_word
    UNION ALL
    SELECT m.id, {_TOLD.format(words="m.words")}, a.whole, length(m.words)
    FROM asked a CROSS JOIN LATERAL (
        SELECT s.id, s.words FROM elmer.signals s
        WHERE {{one_by_one}} AND s.language = a.language AND s.words @@ a.telling LIMIT {_RANKED}
    ) m WHERE NOT (SELECT few FROM route)
), by_words AS (
    SELECT id, {_BY_WORDS} FROM heard ORDER BY rank LIMIT :depth
), """

_FAR = "e.embedding::halfvec({dimensions}) <=> CAST(:vector AS halfvec({dimensions}))"
_SIMILARITY = (
    f"(SELECT 1 - ({_FAR}) FROM elmer.signals s JOIN elmer.embeddings e ON e.workspace_id = s.workspace_id "
    "AND e.model = :model AND e.text_hash = s.text_hash WHERE s.workspace_id = :w AND s.id = coalesce(a.id, b.id))"
)
# Whether a vector's signals pass the filters is asked of each in turn, in a subquery that no plan turns into a join:
# only then are the vectors read in the index's order, and only as many as needed.
_BY_VECTOR = f"""nearest AS MATERIALIZED (
    SELECT e.text_hash, {_FAR} AS far
    FROM elmer.embeddings e
    WHERE e.workspace_id = :w AND e.model = :model AND NOT (SELECT few FROM route)
      AND (SELECT true FROM elmer.signals s WHERE s.text_hash = e.text_hash AND {{one_by_one}} LIMIT 1)
    ORDER BY {_FAR} LIMIT :depth
), compared AS (
    SELECT g.id, {_FAR} AS far
    FROM eligible g CROSS JOIN LATERAL (
        SELECT e.embedding FROM elmer.embeddings e
        WHERE e.workspace_id = :w AND e.model = :model AND e.text_hash = g.text_hash LIMIT 1
    ) e WHERE (SELECT few FROM route)
    UNION ALL
    SELECT s.id, n.far FROM nearest n JOIN elmer.signals s ON s.text_hash = n.text_hash WHERE {{one_by_one}}
), by_vector AS (
    SELECT id, row_number() OVER (ORDER BY far, id) AS rank FROM compared ORDER BY rank LIMIT :depth
)"""

_FUSION = f"""
SELECT coalesce(a.id, b.id) AS signal_id,
       {_SCORE} AS score,
       a.rank AS word_rank, b.rank AS vector_rank, {{similarity}} AS similarity
FROM by_words a FULL JOIN by_vector b ON a.id = b.id
ORDER BY score DESC, signal_id LIMIT :limit
"""


def marked(connection: Connection, workspace_id: str, ids: Sequence[str], words: str) -> dict[str, list[list[int]]]:
    """Where each signal's verbatim has words of the query, stemmed by its language: pairs [start, end)."""
    rows = connection.execute(_MARKED, {"w": workspace_id, "ids": list(ids), "words": _words(words), **_MARKS})
    found = {}
    for row in rows:
        spans, plain = _spans(row.marked)
        found[row.id] = spans if plain == row.verbatim else []  # mark-up in a quote is shown otherwise: mark nothing
    return found


# From the range no one gives a meaning to; a quote that has them itself is shown without marks.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKS = {"options": f"HighlightAll=true, StartSel={_OPEN}, StopSel={_CLOSE}"}
_MARKED = text(
    """
    SELECT s.id, s.verbatim, ts_headline(s.language::regconfig, s.verbatim,
           replace(plainto_tsquery(s.language::regconfig, :words)::text, ' & ', ' | ')::tsquery, :options) AS marked
    FROM elmer.signals s WHERE s.workspace_id = :w AND s.id = ANY(:ids)
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))


def _spans(marked_text: str) -> tuple[list[list[int]], str]:
    spans: list[list[int]] = []
    plain = ""
    for number, piece in enumerate(re.split(f"[{_OPEN}{_CLOSE}]", marked_text)):
        if number % 2:
            spans.append([len(plain), len(plain) + len(piece)])
        plain += piece
    return spans, plain


def count(connection: Connection, workspace_id: str, scope: Scope) -> int:
    """How many live signals pass the filters."""
    conditions = scope.conditions()
    statement = text(f"SELECT count(*) FROM {conditions.source} s WHERE {conditions.where}")
    return int(connection.execute(_bound(statement, conditions), {**conditions.values, "w": workspace_id}).scalar_one())


def has_vectors(connection: Connection, workspace_id: str, model: str) -> bool:
    """Whether any text of the workspace has a vector of the model."""
    statement = "SELECT EXISTS (SELECT FROM elmer.embeddings WHERE workspace_id = :w AND model = :m)"
    return bool(connection.execute(text(statement), {"w": workspace_id, "m": model}).scalar_one())


def vector_of(connection: Connection, workspace_id: str, model: str, text_hash: str) -> list[float] | None:
    """The stored vector of a text; None where there is none of this model."""
    found = connection.execute(
        text(
            "SELECT CAST(embedding AS text) FROM elmer.embeddings "
            "WHERE workspace_id = :w AND model = :m AND text_hash = :h"
        ),
        {"w": workspace_id, "m": model, "h": text_hash},
    ).scalar_one_or_none()
    return None if found is None else [float(one) for one in found.strip("[]").split(",")]


def projects(
    connection: Connection, workspace_id: str, query: Query, texts: Mapping[str, tuple[str, str]], limit: int = 10
) -> list[dict[str, Any]]:
    """Of these projects (id to text and its hash) the best for the query: project_id, score and ranks as in `hybrid`.

    There are few projects: each is compared.
    """
    rows = connection.execute(
        _PROJECTS,
        {
            "w": workspace_id, "words": _words(query.words), "limit": limit,
            "ids": list(texts), "texts": [one for one, _ in texts.values()],
            "hashes": [one for _, one in texts.values()], "model": query.model,
            "vector": _as_text(query.vector) if query.vector is not None else None,
        },
    )  # fmt: skip
    return [{**row, "score": float(row["score"])} for row in rows.mappings()]


_PROJECTS = text(
    f"""
    WITH p AS MATERIALIZED (
        SELECT id, text_hash, elmer.words_of(:w, language, words) AS words, language
        FROM unnest(:ids, :texts, :hashes) AS u (id, words, text_hash), elmer.language_of(words, 'english') AS language
    ), asked AS (
        SELECT l.language, ({_QUOTED})::tsquery AS term
        FROM (SELECT DISTINCT language FROM p) l
        CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector(l.language::regconfig, :words))) AS t (lexeme)
    ), terms AS MATERIALIZED (
        SELECT a.language, a.term, {_tells("h.having / h.projects::float", "0.5 / h.projects")} AS tells
        FROM asked a CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE p.words @@ a.term) AS having, count(*) AS projects FROM p
        ) h
    ), heard AS (
        SELECT p.id, length(p.words) AS long, sum(t.tells) FILTER (WHERE p.words @@ t.term) AS told,
               sum(t.tells) AS whole
        FROM p JOIN terms t USING (language) GROUP BY p.id, length(p.words)
    ), by_words AS (
        SELECT id, {_BY_WORDS} FROM heard WHERE told IS NOT NULL
    ), by_vector AS (
        SELECT p.id, 1 - (e.embedding <=> CAST(:vector AS halfvec)) AS similarity,
               row_number() OVER (ORDER BY e.embedding <=> CAST(:vector AS halfvec), p.id) AS rank
        FROM p JOIN elmer.embeddings e ON e.workspace_id = :w AND e.model = :model AND e.text_hash = p.text_hash
        WHERE CAST(:vector AS text) IS NOT NULL
    )
    SELECT coalesce(a.id, b.id) AS project_id,
           {_SCORE} AS score,
           a.rank AS word_rank, b.rank AS vector_rank, b.similarity
    FROM by_words a FULL JOIN by_vector b ON a.id = b.id ORDER BY score DESC, project_id LIMIT :limit
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("ids", "texts", "hashes")))
