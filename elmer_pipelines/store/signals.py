"""The tables `signals` and `rejected_quotes`.

A person's edits lie in `signals.edits` and are laid over the machine's values on reading; no function that an
extraction calls writes there, nor to `status` (I4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.store import duplicates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

EDITABLE = ("severity", "frequency", "segment", "interpretation")
_EFFECTIVE = ", ".join(f"coalesce(s.edits->>'{name}', s.{name}) AS {name}" for name in EDITABLE)


@dataclass(frozen=True)
class SignalRow:
    """What an extraction writes of one signal."""

    id: str
    start: int
    end: int
    verbatim: str
    text_hash: str
    match: str
    interpretation: str | None
    severity: str | None
    frequency: str | None
    segment: str | None
    speaker: str | None
    occurred_at: datetime | None


@dataclass(frozen=True)
class Earlier:
    """A signal of the document as an earlier extraction left it, retired ones included."""

    id: str
    content_hash: str
    start: int
    end: int
    verbatim: str
    retired: bool


def of_document(connection: Connection, workspace_id: str, document_id: str) -> list[Earlier]:
    """Every signal the document ever had, in order of place."""
    rows = connection.execute(
        text(
            'SELECT id, content_hash, start, "end", verbatim, retired_at IS NOT NULL FROM elmer.signals '
            'WHERE workspace_id = :w AND document_id = :d ORDER BY start, "end", id'
        ),
        {"w": workspace_id, "d": document_id},
    )
    return [Earlier(*row) for row in rows]


def replace_of_document(
    connection: Connection,
    workspace_id: str,
    document_id: str,
    content_hash: str,
    extractor: str,
    rows: Sequence[SignalRow],
    gone: Sequence[str],
) -> None:
    """Save `rows` as the document's signals and retire those in `gone`; status and edits stay as people left them."""
    if rows:
        connection.execute(
            text(
                'INSERT INTO elmer.signals AS s (workspace_id, id, document_id, content_hash, start, "end", verbatim, '
                "text_hash, match, interpretation, severity, frequency, segment, speaker, occurred_at, extractor) "
                "VALUES (:w, :id, :document, :content, :start, :end, :verbatim, :text_hash, :match, :interpretation, "
                ":severity, :frequency, :segment, :speaker, :occurred_at, :extractor) "
                "ON CONFLICT (workspace_id, id) DO UPDATE SET content_hash = excluded.content_hash, "
                'start = excluded.start, "end" = excluded."end", verbatim = excluded.verbatim, '
                "text_hash = excluded.text_hash, match = excluded.match, interpretation = excluded.interpretation, "
                "severity = excluded.severity, frequency = excluded.frequency, segment = excluded.segment, "
                "speaker = excluded.speaker, occurred_at = excluded.occurred_at, extractor = excluded.extractor, "
                "updated_at = now(), retired_at = NULL"
            ),
            [
                {**row.__dict__, "w": workspace_id, "document": document_id, "content": content_hash,
                 "extractor": extractor}
                for row in rows
            ],
        )  # fmt: skip
    if gone:
        connection.execute(
            text(
                "UPDATE elmer.signals SET retired_at = now(), updated_at = now() "
                "WHERE workspace_id = :w AND id = ANY(:ids) AND retired_at IS NULL"
            ).bindparams(bindparam("ids", type_=ARRAY(Text))),
            {"w": workspace_id, "ids": list(gone)},
        )
        duplicates.hand_over(connection, workspace_id)


def replace_rejected(
    connection: Connection,
    workspace_id: str,
    document_id: str,
    extractor: str,
    rejected: Sequence[tuple[str, str]],
) -> None:
    """Make (words, reason) the document's rejected quotes."""
    connection.execute(
        text("DELETE FROM elmer.rejected_quotes WHERE workspace_id = :w AND document_id = :d"),
        {"w": workspace_id, "d": document_id},
    )
    if rejected:
        connection.execute(
            text(
                "INSERT INTO elmer.rejected_quotes (workspace_id, document_id, position, words, reason, extractor) "
                "VALUES (:w, :d, :position, :words, :reason, :extractor)"
            ),
            [
                {"w": workspace_id, "d": document_id, "position": n, "words": words.replace("\x00", ""),
                 "reason": reason, "extractor": extractor}
                for n, (words, reason) in enumerate(rejected)
            ],
        )  # fmt: skip


def live_texts(connection: Connection, workspace_id: str) -> dict[str, str]:
    """Every live signal's id with the hash of its words."""
    rows = connection.execute(
        text("SELECT id, text_hash FROM elmer.signals WHERE workspace_id = :w AND retired_at IS NULL ORDER BY id"),
        {"w": workspace_id},
    )
    return {row.id: row.text_hash for row in rows}


def verbatims(connection: Connection, workspace_id: str, ids: Sequence[str]) -> dict[str, str]:
    """The words of these signals, by id."""
    rows = connection.execute(
        text("SELECT id, verbatim FROM elmer.signals WHERE workspace_id = :w AND id = ANY(:ids)").bindparams(
            bindparam("ids", type_=ARRAY(Text))
        ),
        {"w": workspace_id, "ids": list(ids)},
    )
    return {row.id: row.verbatim for row in rows}


def said_by(connection: Connection, workspace_id: str, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """The document of each of these signals and, where it names one, the speaker."""
    rows = connection.execute(
        text(
            "SELECT id, document_id, speaker FROM elmer.signals WHERE workspace_id = :w AND id = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(ids)},
    )
    return {row.id: (row.document_id, row.speaker) for row in rows}


def live(
    connection: Connection, workspace_id: str, ids: Sequence[str] | None = None, *, retired: bool = False
) -> list[dict[str, Any]]:
    """Live signals (all, or these; with `retired` those that are gone or merged too) with document, cluster, projects.

    A person's edits are laid over the machine's values. `said` counts those merged into the signal, and itself.

    Keys: id, document_id, address, title, kind, start, end, verbatim, match, interpretation, severity, frequency,
    segment, speaker, occurred_at (of the words, else of the document), status, extractor, cluster_id, theme, projects
    (names, joined by "; "), text_hash, language, merged_into, said.
    """
    only = "AND s.id = ANY(:ids)" if ids is not None else ""
    alive = "" if retired else "AND s.retired_at IS NULL AND s.merged_into IS NULL"
    statement = text(
        f"""
        SELECT s.id, s.document_id, s.content_hash, d.address, v.title, v.kind, s.start, s."end", s.verbatim, s.match,
               {_EFFECTIVE}, s.retired_at,
               s.speaker, coalesce(s.occurred_at, v.occurred_at) AS occurred_at, s.status, s.extractor,
               m.cluster_id, coalesce(c.human_theme, c.theme) AS theme, l.projects, s.text_hash, s.language,
               s.merged_into, 1 + (SELECT count(*) FROM elmer.signals o WHERE o.workspace_id = s.workspace_id
                                   AND o.merged_into = s.id AND o.retired_at IS NULL) AS said
        FROM elmer.signals s
        JOIN elmer.documents d ON d.workspace_id = s.workspace_id AND d.id = s.document_id
        JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id
             AND v.content_hash = s.content_hash
        LEFT JOIN elmer.cluster_members m ON m.workspace_id = s.workspace_id AND m.signal_id = s.id
        LEFT JOIN elmer.clusters c ON c.workspace_id = s.workspace_id AND c.id = m.cluster_id
        LEFT JOIN LATERAL (
            SELECT string_agg(p.name, '; ' ORDER BY p.name) AS projects
            FROM elmer.signal_links k JOIN elmer.projects p ON p.workspace_id = k.workspace_id AND p.id = k.project_id
            WHERE k.workspace_id = s.workspace_id AND k.signal_id = s.id AND p.retired_at IS NULL
        ) l ON true
        WHERE s.workspace_id = :w {alive} {only}
        ORDER BY d.address, s.start, s.id
        """  # noqa: S608 - only names of this module are put in
    )
    arguments: dict[str, Any] = {"w": workspace_id}
    if ids is not None:
        statement = statement.bindparams(bindparam("ids", type_=ARRAY(Text)))
        arguments["ids"] = list(ids)
    return [dict(row) for row in connection.execute(statement, arguments).mappings()]


def counts(connection: Connection, workspace_id: str) -> dict[str, dict[str, int]]:
    """Live signals by severity (`none` where unclear) and by status; rejected quotes by reason."""
    found: dict[str, dict[str, int]] = {"severity": {}, "status": {}, "rejected": {}}
    statements = {
        "severity": "SELECT coalesce(edits->>'severity', severity, 'none'), count(*) FROM elmer.signals "
        "WHERE workspace_id = :w AND retired_at IS NULL AND merged_into IS NULL GROUP BY 1 ORDER BY 1",
        "status": "SELECT status, count(*) FROM elmer.signals "
        "WHERE workspace_id = :w AND retired_at IS NULL AND merged_into IS NULL GROUP BY 1 ORDER BY 1",
        "rejected": "SELECT reason, count(*) FROM elmer.rejected_quotes WHERE workspace_id = :w GROUP BY 1 ORDER BY 1",
    }
    for name, statement in statements.items():
        rows = connection.execute(text(statement), {"w": workspace_id})
        found[name] = {row[0]: row[1] for row in rows}
    return found


def edit(connection: Connection, workspace_id: str, signal_id: str, changes: dict[str, str]) -> bool:
    """Lay a person's values over the machine's; an empty one takes an edit back. False: no such signal."""

    cleared = [name for name, value in changes.items() if not value]
    kept = {name: value for name, value in changes.items() if value}
    done = connection.execute(
        text(
            "UPDATE elmer.signals SET edits = (edits - CAST(:cleared AS text[])) || CAST(:kept AS jsonb), "
            "updated_at = now() WHERE workspace_id = :w AND id = :id"
        ),
        {"w": workspace_id, "id": signal_id, "cleared": cleared, "kept": json.dumps(kept)},
    )
    return bool(done.rowcount)


def set_status(connection: Connection, workspace_id: str, signal_id: str, status: str) -> bool:
    """Set a signal's status as a person, which no step changes afterwards; False where there is no such signal."""
    done = connection.execute(
        text(
            "UPDATE elmer.signals SET status = :s, edits = edits || jsonb_build_object('status', CAST(:s AS text)), "
            "updated_at = now() WHERE workspace_id = :w AND id = :id"
        ),
        {"w": workspace_id, "id": signal_id, "s": status},
    )
    return bool(done.rowcount)


def oldest_first(connection: Connection, workspace_id: str, *, merged: bool = True) -> list[dict[str, Any]]:
    """Live signals, what was said first first: id, text_hash, severity and frequency as people see them.

    The order in which rows were stored means nothing: answers come in any (I2).
    """
    rows = connection.execute(
        text(
            "SELECT s.id, s.text_hash, coalesce(s.edits->>'severity', s.severity) AS severity, "
            "coalesce(s.edits->>'frequency', s.frequency) AS frequency FROM elmer.signals s "
            "JOIN elmer.documents d ON d.workspace_id = s.workspace_id AND d.id = s.document_id "
            "JOIN elmer.document_versions v ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id "
            "AND v.content_hash = s.content_hash WHERE s.workspace_id = :w AND s.retired_at IS NULL "
            "AND (:merged OR s.merged_into IS NULL) "
            "ORDER BY coalesce(s.occurred_at, v.occurred_at), d.address, s.start, s.id"
        ),
        {"w": workspace_id, "merged": merged},
    )
    return [dict(row) for row in rows.mappings()]


def for_clustering(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """As `oldest_first`, without those that were merged into another, which speaks for them."""
    return oldest_first(connection, workspace_id, merged=False)
