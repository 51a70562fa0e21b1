"""The tables `artifacts` (one row per version) and `citations`.

What is written into them is made in `artifacts/`; nothing here reads or writes files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Artifact:
    """One version of a generated document; `status` is `draft` while a citation does not resolve."""

    id: str
    project_id: str
    kind: str
    version: int
    status: str
    title: str
    text: str
    written_by: str
    fingerprint: str
    file: str | None


@dataclass(frozen=True)
class CitationRow:
    """A citation: characters `start:end` of the artifact's text are the cited id; `sentence` is what it supports."""

    start: int
    end: int
    signal_id: str
    sentence: str
    resolved: bool


_COLUMNS = "id, project_id, kind, version, status, title, text, written_by, fingerprint, file"


def newest(connection: Connection, workspace_id: str, project_id: str, kind: str) -> Artifact | None:
    """The last version of a project's artifact of a kind, None where there is none."""
    row = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM elmer.artifacts "  # noqa: S608 - a constant of this module
            "WHERE workspace_id = :w AND project_id = :p AND kind = :k ORDER BY version DESC LIMIT 1"
        ),
        {"w": workspace_id, "p": project_id, "k": kind},
    ).first()
    return Artifact(*row) if row else None


def get(connection: Connection, workspace_id: str, artifact_id: str) -> Artifact | None:
    """The artifact's version with this id, None where the workspace has none."""
    row = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM elmer.artifacts WHERE workspace_id = :w AND id = :id"  # noqa: S608
        ),
        {"w": workspace_id, "id": artifact_id},
    ).first()
    return Artifact(*row) if row else None


def insert(connection: Connection, workspace_id: str, artifact: Artifact, citations: Sequence[CitationRow]) -> None:
    """Save a new version with its citations."""
    connection.execute(
        text(
            f"INSERT INTO elmer.artifacts (workspace_id, {_COLUMNS}) VALUES (:w, :id, :project_id, :kind, :version, "  # noqa: S608
            ":status, :title, :text, :written_by, :fingerprint, :file)"
        ),
        {"w": workspace_id, **artifact.__dict__},
    )
    if citations:
        connection.execute(
            text(
                'INSERT INTO elmer.citations (workspace_id, artifact_id, start, "end", signal_id, sentence, resolved) '
                "VALUES (:w, :a, :start, :end, :signal_id, :sentence, :resolved)"
            ),
            [{"w": workspace_id, "a": artifact.id, **one.__dict__} for one in citations],
        )


def left_behind(connection: Connection, workspace_id: str, kind: str) -> list[Artifact]:
    """Artifacts of a kind that still have a file although their project is retired."""
    rows = connection.execute(
        text(
            f"SELECT {', '.join(f'a.{name}' for name in _COLUMNS.split(', '))} FROM elmer.artifacts a "  # noqa: S608
            "JOIN elmer.projects p ON p.workspace_id = a.workspace_id AND p.id = a.project_id "
            "WHERE a.workspace_id = :w AND a.kind = :k AND a.file IS NOT NULL AND p.retired_at IS NOT NULL "
            "AND a.version = (SELECT max(n.version) FROM elmer.artifacts n WHERE n.workspace_id = a.workspace_id "
            "AND n.project_id = a.project_id AND n.kind = a.kind) ORDER BY a.id"
        ),
        {"w": workspace_id, "k": kind},
    )
    return [Artifact(*row) for row in rows]


def set_file(connection: Connection, workspace_id: str, artifact_id: str, file: str | None) -> None:
    """Note where the version's file lies now, None for nowhere."""
    connection.execute(
        text("UPDATE elmer.artifacts SET file = :f WHERE workspace_id = :w AND id = :id"),
        {"w": workspace_id, "id": artifact_id, "f": file},
    )


def citations_of(connection: Connection, workspace_id: str, artifact_id: str) -> list[CitationRow]:
    """The citations of one version, in order of place."""
    rows = connection.execute(
        text(
            'SELECT start, "end", signal_id, sentence, resolved FROM elmer.citations '
            "WHERE workspace_id = :w AND artifact_id = :a ORDER BY start"
        ),
        {"w": workspace_id, "a": artifact_id},
    )
    return [CitationRow(*row) for row in rows]


def listing(connection: Connection, workspace_id: str, kind: str | None = None) -> list[dict[str, Any]]:
    """The newest version of every artifact of live projects (all kinds, or one), with its citations counted.

    Keys: id, kind, project_id, project, version, status, title, written_by, file, created_at, citations, unresolved.
    Whether citations resolve is asked anew, as in `unresolved`: a link taken away makes of a final one a draft.
    """
    rows = connection.execute(
        text(
            """
            SELECT DISTINCT ON (p.name, a.project_id, a.kind) a.id, a.kind, a.project_id, p.name AS project, a.version,
                   CASE WHEN c.unresolved > 0 THEN 'draft' ELSE a.status END AS status, a.title, a.written_by,
                   a.file, a.created_at, c.citations, c.unresolved
            FROM elmer.artifacts a
            JOIN elmer.projects p ON p.workspace_id = a.workspace_id AND p.id = a.project_id AND p.retired_at IS NULL
            CROSS JOIN LATERAL (
                SELECT count(*) AS citations,
                       count(*) FILTER (WHERE NOT k.resolved OR l.signal_id IS NULL) AS unresolved
                FROM elmer.citations k LEFT JOIN elmer.signal_links l ON l.workspace_id = a.workspace_id
                     AND l.project_id = a.project_id AND l.signal_id = k.signal_id
                WHERE k.workspace_id = a.workspace_id AND k.artifact_id = a.id
            ) c
            WHERE a.workspace_id = :w AND (CAST(:k AS text) IS NULL OR a.kind = :k)
            ORDER BY p.name, a.project_id, a.kind, a.version DESC
            """
        ),
        {"w": workspace_id, "k": kind},
    )
    return [dict(row) for row in rows.mappings()]


def unresolved(connection: Connection, workspace_id: str, kind: str | None = None) -> list[dict[str, Any]]:
    """Citations, in newest versions, of what is not a signal of their project (I6): what the asset check fails on.

    It asks the tables anew instead of trusting the flag: a person may have taken a link away since. A signal that was
    retired since is still there to be read, so it resolves. Keys: artifact_id, kind, project, signal_id, sentence.
    """
    rows = connection.execute(
        text(
            """
            SELECT a.id AS artifact_id, a.kind, p.name AS project, k.signal_id, k.sentence, k.start
            FROM elmer.artifacts a
            JOIN elmer.projects p ON p.workspace_id = a.workspace_id AND p.id = a.project_id AND p.retired_at IS NULL
            JOIN elmer.citations k ON k.workspace_id = a.workspace_id AND k.artifact_id = a.id
            WHERE a.workspace_id = :w AND (CAST(:k AS text) IS NULL OR a.kind = :k)
              AND a.version = (SELECT max(n.version) FROM elmer.artifacts n WHERE n.workspace_id = a.workspace_id
                               AND n.project_id = a.project_id AND n.kind = a.kind)
              AND (NOT k.resolved OR NOT EXISTS (
                    SELECT FROM elmer.signal_links l WHERE l.workspace_id = a.workspace_id
                    AND l.project_id = a.project_id AND l.signal_id = k.signal_id))
            ORDER BY 3, 2, k.start
            """
        ),
        {"w": workspace_id, "k": kind},
    )
    return [dict(row) for row in rows.mappings()]


_SUPPORT = """
    SELECT s.id, s.document_id, s.verbatim, s.start, s."end",
           coalesce(s.edits->>'interpretation', s.interpretation) AS interpretation,
           coalesce(s.edits->>'severity', s.severity) AS severity,
           coalesce(s.edits->>'frequency', s.frequency) AS frequency,
           coalesce(s.edits->>'segment', s.segment) AS segment,
           s.speaker, coalesce(s.occurred_at, v.occurred_at) AS occurred_at, s.text_hash, s.content_hash,
           d.address, v.title, v.kind, coalesce(l.similarity, m.similarity) AS centrality,
           m.cluster_id, coalesce(c.human_theme, c.theme) AS theme, coalesce(u.group_id, s.id) AS same
    FROM elmer.signal_links l
    JOIN elmer.signals s ON s.workspace_id = l.workspace_id AND s.id = l.signal_id AND s.retired_at IS NULL
         AND s.merged_into IS NULL
    JOIN elmer.documents d ON d.workspace_id = s.workspace_id AND d.id = s.document_id
    JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id
         AND v.content_hash = s.content_hash
    LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id
    LEFT JOIN elmer.clusters c ON c.workspace_id = m.workspace_id AND c.id = m.cluster_id
    LEFT JOIN elmer.duplicate_signals u ON u.workspace_id = s.workspace_id AND u.signal_id = s.id
    WHERE l.workspace_id = :w AND l.project_id = :p
"""


def support(
    connection: Connection, workspace_id: str, project_id: str, limit: int, per_document: int
) -> list[dict[str, Any]]:
    """The project's live linked signals with their documents, at most `limit`, what carries most weight first.

    Repetitions of one statement and what goes past `per_document` of one document come last; before that the order is
    severity, frequency, similarity to the project or cluster. Besides the signal's and document's columns each row has
    `segment_json` and `segment_number` (from 1): the segment the words are in.
    """
    rows = connection.execute(
        text(
            f"""
            WITH linked AS ({_SUPPORT}), ranked AS (
                SELECT *, array_position(ARRAY['critical', 'high', 'medium', 'low'], severity) AS severity_rank,
                       array_position(ARRAY['common', 'occasional', 'rare'], frequency) AS frequency_rank
                FROM linked
            ), placed AS (
                SELECT *,
                       row_number() OVER (PARTITION BY document_id ORDER BY severity_rank NULLS LAST,
                           frequency_rank NULLS LAST, centrality DESC NULLS LAST, id) AS in_document,
                       row_number() OVER (PARTITION BY same ORDER BY severity_rank NULLS LAST,
                           frequency_rank NULLS LAST, centrality DESC NULLS LAST, id) AS in_repetition
                FROM ranked
            ), chosen AS (
                SELECT * FROM placed
                ORDER BY in_repetition > 1, in_document > :per_document, severity_rank NULLS LAST,
                         frequency_rank NULLS LAST, in_document, centrality DESC NULLS LAST, id
                LIMIT :limit
            )
            SELECT chosen.*, g.segment_json, g.segment_number
            FROM chosen
            JOIN elmer.document_versions v ON v.workspace_id = :w AND v.document_id = chosen.document_id
                 AND v.content_hash = chosen.content_hash
            LEFT JOIN LATERAL (
                SELECT value AS segment_json, ordinality AS segment_number
                FROM jsonb_array_elements(v.segments) WITH ORDINALITY
                WHERE CAST(value->>'start' AS integer) <= chosen.start AND chosen.start < CAST(value->>'end' AS integer)
                LIMIT 1
            ) g ON true
            ORDER BY in_repetition > 1, in_document > :per_document, severity_rank NULLS LAST,
                     frequency_rank NULLS LAST, in_document, chosen.centrality DESC NULLS LAST, chosen.id
            """  # noqa: S608 - only constants of this module are put in
        ),
        {"w": workspace_id, "p": project_id, "limit": limit, "per_document": per_document},
    )
    return [dict(row) for row in rows.mappings()]


def support_totals(connection: Connection, workspace_id: str, project_id: str) -> dict[str, Any]:
    """Figures over all live signals of the project: signals, documents, people, first and last (heard), and by value.

    `severity`, `frequency` and `segment` map each value that is set to its number of signals, the largest first;
    `people` counts different names of speakers.
    """
    row = connection.execute(
        text(
            f"WITH linked AS ({_SUPPORT}) SELECT count(*) AS signals, count(DISTINCT document_id) AS documents, "  # noqa: S608
            "count(DISTINCT lower(speaker)) AS people, min(occurred_at) AS first, max(occurred_at) AS last FROM linked"
        ),
        {"w": workspace_id, "p": project_id},
    ).one()
    totals: dict[str, Any] = dict(row._mapping)
    for name in ("severity", "frequency", "segment"):
        counted = connection.execute(
            text(
                f"WITH linked AS ({_SUPPORT}) SELECT {name}, count(*) FROM linked WHERE {name} IS NOT NULL "  # noqa: S608
                "GROUP BY 1 ORDER BY 2 DESC, 1"
            ),
            {"w": workspace_id, "p": project_id},
        )
        totals[name] = {one[0]: one[1] for one in counted}
    return totals


def linked_ids(connection: Connection, workspace_id: str, project_id: str) -> set[str]:
    """The ids of all signals linked to the project: what its artifacts may cite."""
    rows = connection.execute(
        text("SELECT signal_id FROM elmer.signal_links WHERE workspace_id = :w AND project_id = :p"),
        {"w": workspace_id, "p": project_id},
    )
    return set(rows.scalars())


def linked_counts(connection: Connection, workspace_id: str) -> dict[str, int]:
    """Every live project that has live linked signals, and how many."""
    rows = connection.execute(
        text(
            "SELECT l.project_id, count(*) FROM elmer.signal_links l "
            "JOIN elmer.signals s ON s.workspace_id = l.workspace_id AND s.id = l.signal_id AND s.retired_at IS NULL "
            "AND s.merged_into IS NULL "
            "JOIN elmer.projects p ON p.workspace_id = l.workspace_id AND p.id = l.project_id AND p.retired_at IS NULL "
            "WHERE l.workspace_id = :w GROUP BY 1 ORDER BY 1"
        ),
        {"w": workspace_id},
    )
    return {row[0]: row[1] for row in rows}


def vectors_model(connection: Connection, workspace_id: str, hashes: Sequence[str]) -> str | None:
    """The embedding model that has vectors for most of these texts, None where none has any."""
    return connection.execute(
        text(
            "SELECT model FROM elmer.embeddings WHERE workspace_id = :w AND text_hash = ANY(:h) "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).bindparams(bindparam("h", type_=ARRAY(Text))),
        {"w": workspace_id, "h": list(hashes)},
    ).scalar_one_or_none()


def citing(connection: Connection, workspace_id: str, signal_id: str) -> list[dict[str, Any]]:
    """The artifacts' newest versions that cite a signal: id, kind, title, version, file, sentence."""
    rows = connection.execute(
        text(
            "SELECT a.id, a.kind, a.title, a.version, a.file, k.sentence FROM elmer.citations k "
            "JOIN elmer.artifacts a ON a.workspace_id = k.workspace_id AND a.id = k.artifact_id "
            "WHERE k.workspace_id = :w AND k.signal_id = :s AND a.version = (SELECT max(n.version) "
            "FROM elmer.artifacts n WHERE n.workspace_id = a.workspace_id AND n.project_id = a.project_id "
            "AND n.kind = a.kind) ORDER BY a.title, a.kind, k.start"
        ),
        {"w": workspace_id, "s": signal_id},
    )
    return [dict(row) for row in rows.mappings()]
