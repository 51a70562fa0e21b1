"""From any id down to the customer's words: what `elmer trace` and notebooks show.

Reads only. A trace is plain data, fit for JSON; how it looks in a terminal is the command's matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.signals.extraction import document_of
from elmer_pipelines.store import artifacts as artifact_store
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import purging as owned
from elmer_pipelines.store import signals as signal_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from elmer_pipelines.documents.model import Document

_CONTEXT = 280  # characters shown on each side of a quote where its paragraph is longer


def trace(connection: Connection, workspace_id: str, record_id: str) -> dict[str, Any]:
    """What the record is, and the quotes it stands on, each inside its paragraph.

    Takes the id of a signal (S-…), cluster (C-…), project (P-…), artifact (A-…) or document (D-…), the file of an
    artifact, or a document's address; brackets around an id, as in a citation, are fine. Raises NotFoundError.
    """
    wanted = record_id.strip().strip("[]")
    finders = {"S": _signal, "C": _cluster, "P": _project, "A": _artifact, "D": _document}
    find = finders.get(wanted[:1].upper()) if wanted[1:2] == "-" else None
    found = find(connection, workspace_id, wanted[0].upper() + wanted[1:].lower()) if find else None
    found = found or _at(connection, workspace_id, record_id.strip())
    if found is None:
        raise NotFoundError(
            f"Workspace {workspace_id!r} has no record {record_id!r}. Ids look like S-4k7m2qz9x1ab (signal), C-… "
            "(cluster), P-… (project), A-… (artifact), D-… (document); `elmer export signals` lists them. The file of "
            "a PRD, or a document's address, will do as well."
        )
    return found


def _at(connection: Connection, workspace_id: str, place: str) -> dict[str, Any] | None:
    """The newest artifact in this file, or the document at this address; of a file with several, the first."""
    files = {place} if "://" in place else {place, str(Path(place).expanduser().absolute())}
    written = (one["id"] for one in artifact_store.listing(connection, workspace_id) if one["file"] in files)
    if artifact_id := next(written, None):
        return _artifact(connection, workspace_id, artifact_id)
    there = [one for one in owned.named(connection, workspace_id, place) if not one.retired]
    exactly = sorted(there, key=lambda one: (one.address != place, one.address))
    return _document(connection, workspace_id, exactly[0].id) if exactly else None


def quotes(connection: Connection, workspace_id: str, signal_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Each signal of these, in the order given, with its paragraph split at the quote: before, verbatim, after.

    The paragraph is that of the version in which the signal was found; `retired` says that its source is gone.
    """
    ids = list(dict.fromkeys(signal_ids))
    rows = {row["id"]: row for row in signal_store.live(connection, workspace_id, ids, retired=True)}
    version_of = {one: (row["document_id"], row["content_hash"]) for one, row in rows.items()}
    versions = document_store.load_versions(connection, workspace_id, set(version_of.values()))
    texts = {key: document_of(row) for key, row in versions.items()}
    return [_in_place(rows[one], texts[version_of[one]]) for one in ids if one in rows]


def _in_place(row: dict[str, Any], document: Document) -> dict[str, Any]:
    start, end = row["start"], row["end"]
    around = [s for s in document.segments if s.start < end and s.end > start]
    left = max(around[0].start if around else 0, start - _CONTEXT)
    right = min(around[-1].end if around else len(document.text), end + _CONTEXT)
    segment = around[0] if around else None
    return {
        **{key: row[key] for key in ("id", "verbatim", "interpretation", "severity", "frequency", "segment", "status")},
        "document": {"id": row["document_id"], "title": row["title"], "address": row["address"], "kind": row["kind"]},
        "speaker": row["speaker"],
        "retired": row["retired_at"] is not None,
        "occurred_at": row["occurred_at"].isoformat() if row["occurred_at"] else None,
        "characters": [start, end],
        "paragraph": document.segments.index(segment) + 1 if segment else None,
        "heading": segment.heading if segment else None,
        "seconds": segment.time if segment else None,
        "before": document.text[left:start],
        "after": document.text[end:right],
        "cluster": {"id": row["cluster_id"], "theme": row["theme"]} if row["cluster_id"] else None,
        "projects": row["projects"],
    }


def _signal(connection: Connection, workspace_id: str, signal_id: str) -> dict[str, Any] | None:
    found = quotes(connection, workspace_id, [signal_id])
    if not found:
        return None
    citing = artifact_store.citing(connection, workspace_id, signal_id)
    return {"kind": "signal", "id": signal_id, "title": found[0]["verbatim"], "quotes": found, "cited_in": citing}


def _cluster(connection: Connection, workspace_id: str, cluster_id: str) -> dict[str, Any] | None:
    row = cluster_store.find(connection, workspace_id, [cluster_id]).get(cluster_id)
    if row is None:
        return None
    level = row["level"]
    members = cluster_store.members_of(connection, workspace_id, level).get(cluster_id, [])
    trend = {one["id"]: one["trend"] for one in cluster_store.live(connection, workspace_id, level)}.get(cluster_id)
    shown = {key: row[key] for key in ("level", "theme", "summary", "size", "severity", "frequency", "confidence")}
    return {
        "kind": "cluster", "id": cluster_id, "title": row["theme"] or "not named yet", **shown, "trend": trend,
        "ended_at": row["ended_at"].isoformat() if row["ended_at"] else None,
        "quotes": quotes(connection, workspace_id, members),
        "history": [
            {**event, "at": event["at"].isoformat()}
            for event in cluster_store.history(connection, workspace_id, cluster_id)
        ],
    }  # fmt: skip


def _project(connection: Connection, workspace_id: str, project_id: str) -> dict[str, Any] | None:
    row = next((one for one in project_store.live(connection, workspace_id) if one.id == project_id), None)
    if row is None:
        return None
    links = [one for one in project_store.links(connection, workspace_id) if one["project_id"] == project_id]
    return {
        "kind": "project", "id": project_id, "title": row.name, "description": row.description, "stage": row.stage,
        "origin": row.origin, "quotes": quotes(connection, workspace_id, (one["signal_id"] for one in links)),
    }  # fmt: skip


def _artifact(connection: Connection, workspace_id: str, artifact_id: str) -> dict[str, Any] | None:
    row = artifact_store.get(connection, workspace_id, artifact_id)
    if row is None:
        return None
    citations = artifact_store.citations_of(connection, workspace_id, artifact_id)
    linked = artifact_store.linked_ids(connection, workspace_id, row.project_id)  # a link may be gone since
    resolved = [one.resolved and one.signal_id in linked for one in citations]
    return {
        "kind": row.kind, "id": artifact_id, "title": row.title, "version": row.version,
        "status": row.status if all(resolved) else "draft",
        "written_by": row.written_by, "file": row.file,
        "citations": [
            {"sentence": one.sentence, "signal_id": one.signal_id, "resolved": known}
            for one, known in zip(citations, resolved, strict=True)
        ],
        "quotes": quotes(connection, workspace_id, (one.signal_id for one in citations)),
    }  # fmt: skip


def _document(connection: Connection, workspace_id: str, document_id: str) -> dict[str, Any] | None:
    rows = document_store.load(connection, workspace_id, [document_id])
    if not rows:
        return None
    row = rows[0]
    ids = [one.id for one in signal_store.of_document(connection, workspace_id, document_id) if not one.retired]
    return {
        "kind": "document", "id": document_id, "title": row["title"], "address": row["address"],
        "format": row["format"], "version": row["version"], "retired": row["retired_at"] is not None,
        "people": row["people"], "occurred_at": row["occurred_at"].isoformat() if row["occurred_at"] else None,
        "quotes": quotes(connection, workspace_id, ids),
    }  # fmt: skip
