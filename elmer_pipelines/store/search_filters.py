"""Filters of a search: what they mean in SQL, which values there are, and names of people's turned into ids.

A person's edits count before the machine's values. Filters of one kind are alternatives; all kinds must hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

UNCLEAR = "none"  # as a severity or segment: where it is not known
_LIVE = "s.workspace_id = :w AND s.retired_at IS NULL AND s.merged_into IS NULL"
_SEVERITY = "coalesce(s.edits->>'severity', s.severity)"
_SEGMENT = "lower(coalesce(s.edits->>'segment', s.segment))"
_OF_SOURCE = """s.document_id IN (
    SELECT d.id FROM elmer.documents d JOIN elmer.document_versions v ON v.workspace_id = d.workspace_id
     AND v.document_id = d.id AND v.content_hash = d.content_hash
    WHERE d.workspace_id = :w
      AND (v.kind = ANY(:source) OR d.source_path = ANY(:source) OR d.address ^@ ANY(:source)))"""
_DATED = """(
    SELECT * FROM elmer.signals WHERE workspace_id = :w AND occurred_at >= :since AND occurred_at < :until
    UNION ALL
    SELECT t.* FROM elmer.document_versions v JOIN elmer.signals t ON t.workspace_id = v.workspace_id
      AND t.document_id = v.document_id AND t.content_hash = v.content_hash AND t.occurred_at IS NULL
    WHERE v.workspace_id = :w AND v.occurred_at >= :since AND v.occurred_at < :until)"""
_WHEN = """coalesce(s.occurred_at, (
    SELECT v.occurred_at FROM elmer.document_versions v WHERE v.workspace_id = s.workspace_id
       AND v.document_id = s.document_id AND v.content_hash = s.content_hash))"""


class Conditions(NamedTuple):
    """SQL for signals `s`: `source` and `where` to list them all, `each` to ask of one; and the values bound."""

    source: str
    where: str
    each: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """Filters by ids and stored values: empty means all. Sources are kinds, paths of files, or how addresses begin.

    `since` is included, `until` is not; a signal without a date of its own has its document's.
    """

    severity: Sequence[str] = ()
    segment: Sequence[str] = ()
    source: Sequence[str] = ()
    status: Sequence[str] = ()
    project_ids: Sequence[str] = ()
    cluster_ids: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, *, besides: str | None = None) -> Conditions:
        """What these filters are in SQL."""
        parts = [_LIVE]
        values: dict[str, Any] = {}
        for name, chosen, expression in (
            ("severity", self.severity, _SEVERITY),
            ("segment", [one.lower() for one in self.segment], _SEGMENT),
        ):
            if chosen:
                unclear = f" OR {expression} IS NULL" if UNCLEAR in chosen else ""
                parts.append(f"({expression} = ANY(:{name}){unclear})")
                values[name] = list(chosen)
        for name, chosen, condition in (
            ("status", self.status, "s.status = ANY(:status)"),
            ("source", self.source, _OF_SOURCE),
            ("clusters", self.cluster_ids, _among("cluster_members", "cluster_id", "clusters")),
            ("projects", self.project_ids, _among("signal_links", "project_id", "projects")),
        ):
            if chosen:
                parts.append(condition)
                values[name] = list(chosen)
        if besides is not None:
            parts.append("s.id <> :besides")
            values["besides"] = besides
        where = " AND ".join(parts)
        if self.since is None and self.until is None:
            return Conditions("elmer.signals", where, where, values)
        values |= {"since": self.since or "-infinity", "until": self.until or "infinity"}
        return Conditions(_DATED, where, f"{where} AND {_WHEN} >= :since AND {_WHEN} < :until", values)


def _among(table: str, column: str, name: str) -> str:
    return f"s.id IN (SELECT k.signal_id FROM elmer.{table} k WHERE k.workspace_id = :w AND k.{column} = ANY(:{name}))"  # noqa: S608 - constants


_OFFERED = {
    "segment": "SELECT DISTINCT coalesce(edits->>'segment', segment) AS id, NULL AS name FROM elmer.signals "
    "WHERE workspace_id = :w AND retired_at IS NULL AND coalesce(edits->>'segment', segment) IS NOT NULL ORDER BY 1",
    "kind": "SELECT DISTINCT v.kind AS id, NULL AS name FROM elmer.documents d JOIN elmer.document_versions v "
    "ON v.workspace_id = d.workspace_id AND v.document_id = d.id AND v.content_hash = d.content_hash "
    "WHERE d.workspace_id = :w AND d.retired_at IS NULL ORDER BY 1",
    "file": "SELECT DISTINCT source_path AS id, NULL AS name FROM elmer.documents "
    "WHERE workspace_id = :w AND retired_at IS NULL ORDER BY 1",
    "project": "SELECT id, name FROM elmer.projects WHERE workspace_id = :w AND retired_at IS NULL ORDER BY name, id",
    "cluster": "SELECT id, coalesce(human_theme, theme) AS name FROM elmer.clusters "
    "WHERE workspace_id = :w AND ended_at IS NULL ORDER BY size DESC, id",
}


def offered(connection: Connection, workspace_id: str, what: str) -> dict[str, str | None]:
    """What there is to filter by, with its name where it has one: segment, kind, file, project or cluster."""
    return {row.id: row.name for row in connection.execute(text(_OFFERED[what]), {"w": workspace_id})}


def sources_begin(connection: Connection, workspace_id: str, start: str) -> bool:
    """Whether any live document's address begins so."""
    statement = (
        "SELECT EXISTS (SELECT FROM elmer.documents WHERE workspace_id = :w AND retired_at IS NULL AND address ^@ :a)"
    )
    return bool(connection.execute(text(statement), {"w": workspace_id, "a": start}).scalar_one())


def with_descendants(connection: Connection, workspace_id: str, cluster_ids: Sequence[str]) -> list[str]:
    """These clusters and all below them."""
    rows = connection.execute(
        text(
            "WITH RECURSIVE below AS (SELECT id FROM elmer.clusters WHERE workspace_id = :w AND id = ANY(:ids) "
            "UNION SELECT c.id FROM elmer.clusters c JOIN below b ON c.parent_id = b.id WHERE c.workspace_id = :w) "
            "SELECT id FROM below ORDER BY id"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(cluster_ids)},
    )
    return list(rows.scalars())
