"""Deleting a document from every table: its own rows, and all that was made with its words.

What is made again comes from the next run. Whether a document may go, and files on disk, are in `purging.py` above.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.ids import text_hash
from elmer_pipelines.store import batches, duplicates, embeddings
from elmer_pipelines.store.documents import KEPT_OUT
from elmer_pipelines.store.projects import project_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_TEXTS = ARRAY(Text)
_OWNED = "id, address, source_path, retired_at IS NOT NULL"
NOTICE = "This version was purged with a document it was made from. The next run writes it again.\n"


class Owned(NamedTuple):
    """A document as far as purging is concerned."""

    id: str
    address: str
    source_path: str
    retired: bool


@dataclass(frozen=True)
class Traces:
    """Where a document's words are: ids by what they are of, `files` the artifacts' on disk."""

    documents: tuple[str, ...]
    signals: tuple[str, ...]
    answers: tuple[str, ...]
    clusters: tuple[str, ...]
    initiatives: tuple[str, ...]
    artifacts: tuple[str, ...]
    files: tuple[str, ...]
    projects: tuple[str, ...]


def named(connection: Connection, workspace_id: str, name: str) -> list[Owned]:
    """The documents, retired ones too, with this id, this address, or from this source file."""
    return _owned(connection, workspace_id, ":n IN (id, address, source_path)", n=name)


def of_files(connection: Connection, workspace_id: str, paths: Sequence[str]) -> list[Owned]:
    """The documents, retired ones too, that came from these source files."""
    return _owned(connection, workspace_id, "source_path = ANY(:p)", p=list(paths))


def _owned(connection: Connection, workspace_id: str, which: str, **arguments: Any) -> list[Owned]:
    rows = connection.execute(
        text(
            f"SELECT {_OWNED} FROM elmer.documents WHERE workspace_id = :w AND {which} ORDER BY 2, 1"  # noqa: S608
        ),
        {"w": workspace_id, **arguments},
    )
    return [Owned(*row) for row in rows]


def at_work(connection: Connection, workspace_id: str) -> bool:
    """Whether a run works on the workspace at this moment."""
    return bool(
        connection.execute(
            text(
                "SELECT EXISTS (SELECT FROM elmer.outcomes "
                "WHERE workspace_id = :w AND state = 'pending' AND claimed_until > now())"
            ),
            {"w": workspace_id},
        ).scalar_one()
    )


def traces(connection: Connection, workspace_id: str, document_ids: Sequence[str]) -> Traces:
    """All that holds words of these documents; where that can't be known for certain, what may hold them."""
    signals = _ids(
        connection, workspace_id,
        "SELECT id FROM elmer.signals WHERE workspace_id = :w AND document_id = ANY(:ids)", document_ids,
    )  # fmt: skip
    answers = _ids(
        connection, workspace_id,
        "SELECT DISTINCT fingerprint FROM elmer.answer_records WHERE workspace_id = :w AND record_id = ANY(:ids)",
        document_ids,
    )  # fmt: skip
    names = _names_in(connection, workspace_id, answers)
    clusters = _clusters(connection, workspace_id, document_ids, signals, names)
    areas = _ids(
        connection, workspace_id,
        "SELECT DISTINCT a.id FROM elmer.clusters a JOIN elmer.clusters t USING (workspace_id) WHERE workspace_id = :w "
        "AND a.level = 'area' AND t.id = ANY(:ids) AND t.theme <> '' AND position(t.theme IN a.theme) > 0", clusters,
    )  # fmt: skip
    clusters = sorted({*clusters, *areas})
    initiatives = _ids(
        connection, workspace_id,
        "SELECT p.id FROM elmer.projects p WHERE p.workspace_id = :w AND p.origin = 'initiative' AND (p.cluster_id = "
        "ANY(:ids) OR EXISTS (SELECT FROM unnest(:names) AS n (theme) WHERE starts_with(p.name, n.theme)))",
        clusters, names=names,
    )  # fmt: skip
    artifacts = _artifacts(connection, workspace_id, signals, clusters, initiatives)
    return Traces(
        tuple(document_ids), tuple(signals), tuple(answers), tuple(clusters), tuple(initiatives),
        tuple(row.id for row in artifacts), tuple(sorted({row.file for row in artifacts if row.file})),
        tuple(sorted({row.project_id for row in artifacts})),
    )  # fmt: skip


def _ids(
    connection: Connection, workspace_id: str, statement: str, ids: Sequence[str], names: Sequence[str] | None = None
) -> list[str]:
    parameters = [bindparam("ids", type_=_TEXTS)] + ([] if names is None else [bindparam("names", type_=_TEXTS)])
    values: dict[str, Any] = {"w": workspace_id, "ids": list(ids)} | ({} if names is None else {"names": list(names)})
    return sorted(connection.execute(text(statement).bindparams(*parameters), values).scalars())


def _names_in(connection: Connection, workspace_id: str, answers: Sequence[str]) -> list[str]:
    """Names that these answers gave to clusters."""
    bodies = connection.execute(
        text(
            "SELECT answer->>'body' FROM elmer.model_answers WHERE workspace_id = :w AND fingerprint = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=_TEXTS)),
        {"w": workspace_id, "ids": list(answers)},
    ).scalars()
    found = {name for body in bodies for name in _names(body or "")}
    return sorted({" ".join(name.split()).strip(" .\"'“”") for name in found} - {""})  # as `ThemeAnswer` keeps it


def _names(value: Any) -> Iterator[str]:
    """Every `name` in a service's answer, whose own form holds the model's JSON as a text somewhere in it."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            yield from _names(json.loads(value))
        except ValueError:  # cut off: such an answer named nothing
            return
    elif isinstance(value, dict):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for one in value.values():
            yield from _names(one)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)


def _clusters(
    connection: Connection, workspace_id: str, documents: Sequence[str], signals: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Clusters the signals are in or were central to, that an answer named, or ended ones with a term of the texts."""
    rows = connection.execute(
        text(
            """
            WITH texts AS (
                SELECT lower(text) AS words FROM elmer.document_versions
                WHERE workspace_id = :w AND document_id = ANY(:documents)
            )
            SELECT c.id FROM elmer.clusters c
            WHERE c.workspace_id = :w AND (
                EXISTS (SELECT FROM elmer.cluster_members m LEFT JOIN elmer.clusters t
                            ON t.workspace_id = m.workspace_id AND t.id = m.cluster_id
                        WHERE m.workspace_id = c.workspace_id AND c.id IN (m.cluster_id, m.need_id, t.parent_id)
                        AND m.signal_id = ANY(:signals))
                OR EXISTS (SELECT FROM jsonb_array_elements_text(c.last_members || c.named_for) AS s (id)
                           WHERE s.id = ANY(:signals))
                OR EXISTS (SELECT FROM jsonb_array_elements_text(c.central_signal_ids) AS s (id)
                           WHERE s.id = ANY(:signals))
                OR EXISTS (SELECT FROM unnest(:names) AS n (name) WHERE starts_with(c.theme, n.name))
                OR (c.ended_at IS NOT NULL AND EXISTS (
                    SELECT FROM jsonb_array_elements_text(c.terms) AS t (term), texts
                    WHERE position(lower(t.term) in texts.words) > 0))
            )
            """
        ).bindparams(*(bindparam(one, type_=_TEXTS) for one in ("documents", "signals", "names"))),
        {"w": workspace_id, "documents": list(documents), "signals": list(signals), "names": list(names)},
    )
    return sorted(rows.scalars())


def _artifacts(
    connection: Connection, workspace_id: str, signals: Sequence[str], clusters: Sequence[str], projects: Sequence[str]
) -> list[Any]:
    """Every version of the artifacts of projects that the signals, or signals of these clusters, are linked to."""
    rows = connection.execute(
        text(
            """
            WITH near AS (
                SELECT unnest(:signals) AS signal_id
                UNION SELECT signal_id FROM elmer.cluster_members
                      WHERE workspace_id = :w AND cluster_id = ANY(:clusters)
            ), touched AS (
                SELECT unnest(:projects) AS project_id
                UNION SELECT l.project_id FROM elmer.signal_links l JOIN near USING (signal_id)
                      WHERE l.workspace_id = :w
                UNION SELECT a.project_id FROM elmer.citations k JOIN elmer.artifacts a
                      ON a.workspace_id = k.workspace_id AND a.id = k.artifact_id
                      WHERE k.workspace_id = :w AND k.signal_id = ANY(:signals)
            )
            SELECT id, project_id, file FROM elmer.artifacts JOIN touched USING (project_id)
            WHERE workspace_id = :w ORDER BY id
            """
        ).bindparams(*(bindparam(one, type_=_TEXTS) for one in ("signals", "clusters", "projects"))),
        {"w": workspace_id, "signals": list(signals), "clusters": list(clusters), "projects": list(projects)},
    )
    return list(rows)


def delete(connection: Connection, workspace_id: str, found: Traces, files: Sequence[str]) -> None:
    """Delete these traces, and all that the tables know of the source `files` (paths that held nothing else)."""
    hashes = _hashes(connection, workspace_id, found)
    # First, so that what a collector of batches keeps until now goes below.
    batches.purge(connection, workspace_id, found.answers, sorted(hashes))
    for table, column, ids in (
        ("model_answers", "fingerprint", found.answers),
        ("answer_records", "fingerprint", found.answers),
        ("answer_records", "record_id", found.documents),
        ("citations", "artifact_id", found.artifacts),
        ("outcomes", "record_id", (*found.documents, *found.signals, *found.clusters, *found.projects, *files)),
        ("documents", "id", found.documents),  # versions, signals, links, members and the rest go with it
        ("source_files", "path", files),
    ):
        statement = f"DELETE FROM elmer.{table} WHERE workspace_id = :w AND {column} = ANY(:ids)"  # noqa: S608 - constants
        _run(connection, workspace_id, statement, ids)
    _run(
        connection, workspace_id,
        "DELETE FROM elmer.outcomes WHERE workspace_id = :w AND record_id = 'all' AND step = ANY(:ids)",
        ("cluster_themes", "initiatives"),
    )  # fmt: skip
    duplicates.hand_over(connection, workspace_id)
    _blank(connection, workspace_id, found)
    _forget_vectors(connection, workspace_id, hashes)


def _run(connection: Connection, workspace_id: str, statement: str, ids: Sequence[str]) -> None:
    connection.execute(
        text(statement).bindparams(bindparam("ids", type_=_TEXTS)), {"w": workspace_id, "ids": list(ids)}
    )


def _hashes(connection: Connection, workspace_id: str, found: Traces) -> set[str]:
    """Of the texts whose vectors may have to go."""
    of_signals = _ids(
        connection, workspace_id,
        "SELECT DISTINCT text_hash FROM elmer.signals WHERE workspace_id = :w AND id = ANY(:ids)", found.signals,
    )  # fmt: skip
    rows = connection.execute(
        text("SELECT name, description FROM elmer.projects WHERE workspace_id = :w AND id = ANY(:ids)").bindparams(
            bindparam("ids", type_=_TEXTS)
        ),
        {"w": workspace_id, "ids": list(found.initiatives)},
    )
    return {*of_signals, *(text_hash(project_text(row.name, row.description)) for row in rows)}


def _blank(connection: Connection, workspace_id: str, found: Traces) -> None:
    """Empty what stays as a row but was worded with the documents: themes, initiatives, the newest artifacts."""
    _run(
        connection, workspace_id,
        "UPDATE elmer.clusters SET theme = NULL, summary = NULL, distinction = NULL, terms = '[]', "
        "central_signal_ids = '[]', named_for = '[]', named_by = NULL, updated_at = now() "
        "WHERE workspace_id = :w AND id = ANY(:ids)", found.clusters,
    )  # fmt: skip
    _run(
        connection, workspace_id,
        "UPDATE elmer.notices SET message = '', told_at = coalesce(told_at, now()) "
        "WHERE workspace_id = :w AND cluster_id = ANY(:ids)", found.clusters,
    )  # fmt: skip
    _run(
        connection, workspace_id,
        "UPDATE elmer.projects SET name = 'Cluster ' || cluster_id, description = '', updated_at = now() "
        "WHERE workspace_id = :w AND id = ANY(:ids)", found.initiatives,
    )  # fmt: skip
    _run(
        connection, workspace_id,
        "DELETE FROM elmer.artifacts a WHERE workspace_id = :w AND id = ANY(:ids) AND version < (SELECT max(n.version) "
        "FROM elmer.artifacts n WHERE n.workspace_id = a.workspace_id AND n.project_id = a.project_id "
        "AND n.kind = a.kind)", found.artifacts,
    )  # fmt: skip
    connection.execute(
        text(
            "UPDATE elmer.artifacts SET status = 'draft', title = 'Purged', text = :notice, fingerprint = 'purged', "
            "file = NULL WHERE workspace_id = :w AND id = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=_TEXTS)),
        {"w": workspace_id, "ids": list(found.artifacts), "notice": NOTICE},
    )


def _forget_vectors(connection: Connection, workspace_id: str, hashes: set[str]) -> None:
    """Delete the vectors of those texts that nothing live has any more."""
    used = connection.execute(
        text(
            "SELECT DISTINCT text_hash FROM elmer.signals "
            "WHERE workspace_id = :w AND retired_at IS NULL AND text_hash = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=_TEXTS)),
        {"w": workspace_id, "ids": sorted(hashes)},
    ).scalars()
    projects = connection.execute(
        text("SELECT name, description FROM elmer.projects WHERE workspace_id = :w AND retired_at IS NULL"),
        {"w": workspace_id},
    )
    kept = {*used, *(text_hash(project_text(row.name, row.description)) for row in projects)}
    embeddings.forget(connection, workspace_id, sorted(hashes - kept))


def keep_out(connection: Connection, workspace_id: str, paths: Sequence[str]) -> None:
    """Let no later run read these source files; each must be known."""
    connection.execute(
        text(
            "UPDATE elmer.source_files SET options_fingerprint = :mark, sha256 = NULL "
            "WHERE workspace_id = :w AND path = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=_TEXTS)),
        {"w": workspace_id, "mark": KEPT_OUT, "ids": list(paths)},
    )
