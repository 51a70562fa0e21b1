"""The tables `projects`, `signal_links`, `signal_classifications` and `initiatives`.

What decides about a project, a link or an initiative is in `signals/classification.py` and `projects/`. A link a person
made (method `human`) is read here and never written or removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Float, Text, bindparam, text

from elmer_pipelines.ids import text_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Project:
    """A live project: `origin` is `named` (in workspace.toml) or `initiative` (a cluster gave rise to it)."""

    id: str
    name: str
    description: str
    stage: str
    origin: str
    cluster_id: str | None = None

    @property
    def text(self) -> str:
        """What is embedded of a project."""
        return project_text(self.name, self.description)

    @property
    def text_hash(self) -> str:
        """The key of the project's vectors."""
        return text_hash(self.text)


@dataclass(frozen=True)
class Classification:
    """What was decided about one signal; `method` is how it is linked where the verdict is `linked`."""

    signal_id: str
    verdict: str
    reason: str
    decided_by: str
    project_id: str | None = None
    similarity: float | None = None
    method: str = "similarity"


@dataclass(frozen=True)
class Candidate:
    """A signal and the projects nearest to it, the nearest first, each with its cosine similarity."""

    signal_id: str
    verbatim: str
    interpretation: str | None
    projects: tuple[tuple[str, float], ...]


def project_text(name: str, description: str) -> str:
    """The text of a project that is embedded: its name, a line break, its description."""
    return f"{name}\n{description}"


def live(connection: Connection, workspace_id: str, origin: str | None = None) -> list[Project]:
    """The workspace's projects that are not retired, oldest first; all, or those of one origin."""
    rows = connection.execute(
        text(
            "SELECT id, name, description, stage, origin, cluster_id FROM elmer.projects WHERE workspace_id = :w "
            "AND retired_at IS NULL AND (CAST(:o AS text) IS NULL OR origin = :o) ORDER BY created_at, id"
        ),
        {"w": workspace_id, "o": origin},
    )
    return [Project(*row) for row in rows]


def names_ever(connection: Connection, workspace_id: str) -> list[tuple[str, str]]:
    """(id, name) of every project there ever was, retired ones included, oldest first."""
    rows = connection.execute(
        text("SELECT id, name FROM elmer.projects WHERE workspace_id = :w ORDER BY created_at, id"),
        {"w": workspace_id},
    )
    return [(row.id, row.name) for row in rows]


def save(connection: Connection, workspace_id: str, projects: Iterable[Project]) -> int:
    """Insert projects, or bring them to these values and back from retirement; returns how many changed."""
    changed = 0
    for one in projects:
        changed += connection.execute(
            text(
                "INSERT INTO elmer.projects AS p (workspace_id, id, name, description, stage, origin, cluster_id) "
                "VALUES (:w, :id, :name, :description, :stage, :origin, :cluster_id) "
                "ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, stage = excluded.stage, "
                "description = excluded.description, updated_at = now(), retired_at = NULL "
                "WHERE (p.name, p.description, p.stage) IS DISTINCT FROM "
                "(excluded.name, excluded.description, excluded.stage) OR p.retired_at IS NOT NULL"
            ),
            {"w": workspace_id, **one.__dict__},
        ).rowcount
    return changed


def retire_named_except(connection: Connection, workspace_id: str, kept: Sequence[str]) -> int:
    """Retire every named project whose id is not in `kept`; returns how many. Initiatives stay."""
    return connection.execute(
        text(
            "UPDATE elmer.projects SET retired_at = now(), updated_at = now() WHERE workspace_id = :w "
            "AND origin = 'named' AND retired_at IS NULL AND NOT id = ANY(:kept)"
        ).bindparams(bindparam("kept", type_=ARRAY(Text))),
        {"w": workspace_id, "kept": list(kept)},
    ).rowcount


def unclassified_inputs(
    connection: Connection, workspace_id: str, model: str
) -> list[tuple[str, str, str | None, bool, bool]]:
    """Every live signal: id, hash of its words, interpretation, whether its vector of the model is there, too short.

    Too short is under 10 characters, white space at the ends aside.
    """
    rows = connection.execute(
        text(
            "SELECT s.id, s.text_hash, coalesce(s.edits->>'interpretation', s.interpretation), "
            "e.text_hash IS NOT NULL, char_length(btrim(s.verbatim, E' \\t\\r\\n')) < 10 "
            "FROM elmer.signals s LEFT JOIN elmer.embeddings e ON e.workspace_id = s.workspace_id "
            "AND e.model = :m AND e.text_hash = s.text_hash "
            "WHERE s.workspace_id = :w AND s.retired_at IS NULL ORDER BY s.id"
        ),
        {"w": workspace_id, "m": model},
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def with_vectors(connection: Connection, workspace_id: str, model: str, projects: Sequence[Project]) -> list[Project]:
    """Those of the projects whose text has a vector of the model."""
    found = connection.execute(
        text(
            "SELECT text_hash FROM elmer.embeddings WHERE workspace_id = :w AND model = :m AND text_hash = ANY(:h)"
        ).bindparams(bindparam("h", type_=ARRAY(Text))),
        {"w": workspace_id, "m": model, "h": [one.text_hash for one in projects]},
    )
    there = set(found.scalars())
    return [one for one in projects if one.text_hash in there]


def heard(connection: Connection, workspace_id: str, stems: Sequence[str]) -> dict[str, int]:
    """In how many live signals a word begins so, for each of the beginnings (letters only)."""
    rows = connection.execute(
        text(
            "SELECT w.stem, n.number FROM unnest(:stems) AS w (stem) CROSS JOIN LATERAL (SELECT count(*) AS number "
            "FROM elmer.signals s WHERE s.workspace_id = :w AND s.retired_at IS NULL "
            "AND s.words @@ to_tsquery('simple', quote_literal(w.stem) || ':*')) n"
        ).bindparams(bindparam("stems", type_=ARRAY(Text))),
        {"w": workspace_id, "stems": list(stems)},
    )
    return {row.stem: row.number for row in rows}


def nearest(
    connection: Connection,
    workspace_id: str,
    model: str,
    signal_ids: Sequence[str],
    projects: Sequence[Project],
    limit: int,
) -> list[Candidate]:
    """Each of the signals with the `limit` projects nearest to it by cosine similarity of the model's vectors.

    Without projects, or for a signal without a vector, the list of projects is empty.
    """
    rows = connection.execute(
        text(
            """
            WITH p AS MATERIALIZED (
                SELECT w.id, e.embedding FROM unnest(:projects, :hashes) AS w (id, text_hash)
                JOIN elmer.embeddings e ON e.workspace_id = :w AND e.model = :m AND e.text_hash = w.text_hash
            )
            SELECT s.id, s.verbatim, coalesce(s.edits->>'interpretation', s.interpretation) AS interpretation,
                   n.ids, n.similarities
            FROM elmer.signals s
            LEFT JOIN elmer.embeddings e
              ON e.workspace_id = s.workspace_id AND e.model = :m AND e.text_hash = s.text_hash
            LEFT JOIN LATERAL (
                SELECT array_agg(k.id ORDER BY k.similarity DESC, k.id) AS ids,
                       array_agg(k.similarity ORDER BY k.similarity DESC, k.id) AS similarities
                FROM (SELECT p.id, 1 - (e.embedding <=> p.embedding) AS similarity FROM p
                      ORDER BY 2 DESC, 1 LIMIT :limit) k
            ) n ON e.text_hash IS NOT NULL
            WHERE s.workspace_id = :w AND s.id = ANY(:ids) ORDER BY s.id
            """
        ).bindparams(
            bindparam("ids", type_=ARRAY(Text)),
            bindparam("projects", type_=ARRAY(Text)),
            bindparam("hashes", type_=ARRAY(Text)),
        ),
        {
            "w": workspace_id, "m": model, "ids": list(signal_ids), "limit": limit,
            "projects": [one.id for one in projects], "hashes": [one.text_hash for one in projects],
        },
    )  # fmt: skip
    return [
        Candidate(
            row.id, row.verbatim, row.interpretation, tuple(zip(row.ids or (), row.similarities or (), strict=True))
        )
        for row in rows
    ]


def save_classification(connection: Connection, workspace_id: str, decided: Classification) -> None:
    """Record the decision and make it the signal's one link by similarity; its links by people and clusters stay.

    The signal's status follows: see `refresh_statuses`.
    """
    connection.execute(
        _SAVE_CLASSIFICATION,
        {"w": workspace_id, **decided.__dict__, "linked": decided.project_id if decided.verdict == "linked" else None},
    )


# One statement instead of four: a first run saves one of these for each of many thousand signals. The parts of a WITH
# see the tables as they were, so whether a link is left is said by what this statement does, not read back.
_SAVE_CLASSIFICATION = text(
    """
    WITH kept AS (
        INSERT INTO elmer.signal_classifications AS c
            (workspace_id, signal_id, verdict, project_id, similarity, reason, decided_by)
        VALUES (:w, :signal_id, :verdict, CAST(:project_id AS text), CAST(:similarity AS float), :reason, :decided_by)
        ON CONFLICT (workspace_id, signal_id) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason,
            project_id = excluded.project_id, similarity = excluded.similarity,
            decided_by = excluded.decided_by, decided_at = now()
        RETURNING signal_id
    ), gone AS (
        DELETE FROM elmer.signal_links WHERE workspace_id = :w AND signal_id = :signal_id
            AND method IN ('similarity', 'verified') AND project_id IS DISTINCT FROM CAST(:linked AS text)
    ), made AS (
        INSERT INTO elmer.signal_links AS l (workspace_id, signal_id, project_id, method, similarity, reason)
        SELECT :w, signal_id, CAST(:linked AS text), :method, CAST(:similarity AS float), :reason
        FROM kept WHERE CAST(:linked AS text) IS NOT NULL
        ON CONFLICT (workspace_id, signal_id, project_id) DO UPDATE SET method = excluded.method,
            similarity = excluded.similarity, reason = excluded.reason
        WHERE l.method IN ('similarity', 'verified')
    ), left_over AS (
        SELECT CAST(:linked AS text) IS NOT NULL OR EXISTS (
            SELECT FROM elmer.signal_links l
            JOIN elmer.projects p ON p.workspace_id = l.workspace_id AND p.id = l.project_id AND p.retired_at IS NULL
            WHERE l.workspace_id = :w AND l.signal_id = :signal_id AND l.method NOT IN ('similarity', 'verified')
        ) AS linked
    )
    UPDATE elmer.signals s SET status = CASE WHEN o.linked THEN 'linked' ELSE 'new' END, updated_at = now()
    FROM left_over o
    WHERE s.workspace_id = :w AND s.id = :signal_id AND NOT s.edits ? 'status'
      AND ((o.linked AND s.status IN ('new', 'reviewed')) OR (NOT o.linked AND s.status = 'linked'))
    """
)


def refresh_statuses(connection: Connection, workspace_id: str, signal_ids: Sequence[str]) -> None:
    """Make `linked` what was new or reviewed and has a link to a live project; make `new` what lost its last one.

    A status that a person set (`edits.status`) and `archived` stay.
    """
    connection.execute(
        text(
            """
            WITH now_linked AS (
                SELECT s.id, EXISTS (
                    SELECT FROM elmer.signal_links l JOIN elmer.projects p
                      ON p.workspace_id = l.workspace_id AND p.id = l.project_id AND p.retired_at IS NULL
                    WHERE l.workspace_id = s.workspace_id AND l.signal_id = s.id
                ) AS linked
                FROM elmer.signals s WHERE s.workspace_id = :w AND s.id = ANY(:ids) AND NOT s.edits ? 'status'
            )
            UPDATE elmer.signals s SET status = CASE WHEN n.linked THEN 'linked' ELSE 'new' END, updated_at = now()
            FROM now_linked n
            WHERE s.workspace_id = :w AND s.id = n.id
              AND ((n.linked AND s.status IN ('new', 'reviewed')) OR (NOT n.linked AND s.status = 'linked'))
            """
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(signal_ids)},
    )


def link_by_cluster(
    connection: Connection,
    workspace_id: str,
    project_id: str,
    members: Mapping[str, float | None],
    reason: str,
    *,
    keep_others: bool = False,
) -> list[str]:
    """Make `members` (signal to similarity) the project's links of method `cluster`; returns the signals it touched.

    `keep_others` adds without taking away. A link that a person or a classification made is left as it is.
    """
    arrays = (bindparam("ids", type_=ARRAY(Text)), bindparam("similarities", type_=ARRAY(Float)))
    gone = connection.execute(
        text(
            "DELETE FROM elmer.signal_links WHERE workspace_id = :w AND project_id = :p AND method = 'cluster' "
            "AND NOT :keep AND NOT signal_id = ANY(:ids) RETURNING signal_id"
        ).bindparams(arrays[0]),
        {"w": workspace_id, "p": project_id, "ids": list(members), "keep": keep_others},
    )
    touched = list(gone.scalars())
    made = connection.execute(
        text(
            "INSERT INTO elmer.signal_links (workspace_id, signal_id, project_id, method, similarity, reason) "
            "SELECT :w, m.id, :p, 'cluster', m.similarity, :reason "
            "FROM unnest(:ids, :similarities) AS m (id, similarity) "
            "JOIN elmer.signals s ON s.workspace_id = :w AND s.id = m.id "
            "ON CONFLICT DO NOTHING RETURNING signal_id"
        ).bindparams(*arrays),
        {
            "w": workspace_id, "p": project_id, "reason": reason,
            "ids": list(members), "similarities": list(members.values()),
        },
    )  # fmt: skip
    touched += made.scalars()
    refresh_statuses(connection, workspace_id, touched)
    return touched


def link_by_person(
    connection: Connection, workspace_id: str, signal_id: str, project_id: str, reason: str | None = None
) -> None:
    """Record that a person linked the signal to the project; from then on no step removes the link."""
    connection.execute(
        text(
            "INSERT INTO elmer.signal_links (workspace_id, signal_id, project_id, method, reason) "
            "VALUES (:w, :s, :p, 'human', :r) ON CONFLICT (workspace_id, signal_id, project_id) "
            "DO UPDATE SET method = 'human', reason = excluded.reason"
        ),
        {"w": workspace_id, "s": signal_id, "p": project_id, "r": reason},
    )
    refresh_statuses(connection, workspace_id, [signal_id])


def links(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Every link of a live signal to a live project: signal_id, project_id, project, method, similarity, reason."""
    rows = connection.execute(
        text(
            "SELECT l.signal_id, l.project_id, p.name AS project, l.method, l.similarity, l.reason, l.created_at "
            "FROM elmer.signal_links l "
            "JOIN elmer.projects p ON p.workspace_id = l.workspace_id AND p.id = l.project_id "
            "JOIN elmer.signals s ON s.workspace_id = l.workspace_id AND s.id = l.signal_id "
            "WHERE l.workspace_id = :w AND p.retired_at IS NULL AND s.retired_at IS NULL AND s.merged_into IS NULL "
            "ORDER BY p.name, l.project_id, l.similarity DESC NULLS LAST, l.signal_id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def verdicts(connection: Connection, workspace_id: str) -> dict[str, int]:
    """How many live signals have each verdict."""
    rows = connection.execute(
        text(
            "SELECT c.verdict, count(*) FROM elmer.signal_classifications c JOIN elmer.signals s "
            "ON s.workspace_id = c.workspace_id AND s.id = c.signal_id "
            "WHERE c.workspace_id = :w AND s.retired_at IS NULL GROUP BY 1 ORDER BY 1"
        ),
        {"w": workspace_id},
    )
    return {row[0]: row[1] for row in rows}
