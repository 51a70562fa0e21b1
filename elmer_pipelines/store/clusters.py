"""The tables `clusters`, `cluster_events` and `cluster_trends`.

`clusters.human_theme` is written by `name_by_person` only (I5); ended clusters stay, with the date of their end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

Level = Literal["area", "theme", "need"]


@dataclass(frozen=True)
class ClusterRow:
    """What a clustering writes of one cluster."""

    id: str
    size: int
    severity: str | None
    frequency: str | None
    confidence: float | None
    suggested_action: str | None
    level: Level = "theme"
    parent_id: str | None = None
    centre: NDArray[np.float32] | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values; the centre as pgvector reads it, None where it stays as it was."""
        centre = None if self.centre is None else "[" + ",".join(f"{one:.5g}" for one in self.centre) + "]"
        return {**self.__dict__, "centre": centre}


def known_ids(connection: Connection, workspace_id: str) -> set[str]:
    """Every cluster id ever used in the workspace, ended ones included."""
    rows = connection.execute(text("SELECT id FROM elmer.clusters WHERE workspace_id = :w"), {"w": workspace_id})
    return set(rows.scalars())


def live_ids(connection: Connection, workspace_id: str) -> list[str]:
    """The ids of the clusters of every level that have not ended."""
    rows = connection.execute(
        text("SELECT id FROM elmer.clusters WHERE workspace_id = :w AND ended_at IS NULL ORDER BY id"),
        {"w": workspace_id},
    )
    return list(rows.scalars())


def empty_ids(connection: Connection, workspace_id: str) -> list[str]:
    """Clusters that have not ended and have no member, and areas all of whose themes are such."""
    rows = connection.execute(
        text(
            """
            SELECT c.id FROM elmer.clusters c WHERE c.workspace_id = :w AND c.ended_at IS NULL AND NOT (
                (c.level = 'theme' AND EXISTS (SELECT FROM elmer.cluster_members m
                    WHERE m.workspace_id = c.workspace_id AND m.cluster_id = c.id))
                OR (c.level = 'need' AND EXISTS (SELECT FROM elmer.cluster_members m
                    WHERE m.workspace_id = c.workspace_id AND m.need_id = c.id))
                OR (c.level = 'area' AND EXISTS (SELECT FROM elmer.clusters t JOIN elmer.cluster_members m
                    ON m.workspace_id = t.workspace_id AND m.cluster_id = t.id
                    WHERE t.workspace_id = c.workspace_id AND t.parent_id = c.id AND t.ended_at IS NULL)))
            ORDER BY 1
            """
        ),
        {"w": workspace_id},
    )
    return list(rows.scalars())


def save(connection: Connection, workspace_id: str, rows: Sequence[ClusterRow]) -> None:
    """Write clusters over what they were; one that had ended lives again. Themes stay until they are named again."""
    for start in range(0, len(rows), 500):
        connection.execute(
            text(
                "INSERT INTO elmer.clusters (workspace_id, id, level, parent_id, size, severity, frequency, "
                "confidence, suggested_action, centre) SELECT :w, r.id, r.level, r.parent_id, r.size, r.severity, "
                "r.frequency, r.confidence, r.suggested_action, CAST(r.centre AS halfvec) "
                "FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id text, level text, parent_id text, size int, "
                "severity text, frequency text, confidence float, suggested_action text, centre text) "
                "ON CONFLICT (workspace_id, id) DO UPDATE SET parent_id = excluded.parent_id, size = excluded.size, "
                "severity = excluded.severity, frequency = excluded.frequency, confidence = excluded.confidence, "
                "suggested_action = excluded.suggested_action, centre = coalesce(excluded.centre, clusters.centre), "
                "updated_at = now(), ended_at = NULL, last_members = '[]'"
            ),
            {"w": workspace_id, "rows": json.dumps([one.as_json() for one in rows[start : start + 500]])},
        )


def end(connection: Connection, workspace_id: str, last_members: Mapping[str, Sequence[str]]) -> None:
    """These clusters end, and it is remembered who was in them; their centres are forgotten."""
    rows = [{"id": one, "members": list(members)} for one, members in last_members.items()]
    connection.execute(
        text(
            "UPDATE elmer.clusters c SET ended_at = now(), updated_at = now(), centre = NULL, "
            "last_members = r.members FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id text, members jsonb) "
            "WHERE c.workspace_id = :w AND c.id = r.id AND c.ended_at IS NULL"
        ),
        {"w": workspace_id, "rows": json.dumps(rows)},
    )


def former(connection: Connection, workspace_id: str, level: Level, days: int) -> dict[str, list[str]]:
    """Clusters of the level that ended in the last so many days, with who was in them then."""
    rows = connection.execute(
        text(
            "SELECT id, last_members FROM elmer.clusters WHERE workspace_id = :w AND level = :level "
            "AND ended_at > now() - make_interval(days => :days) AND last_members <> '[]' ORDER BY ended_at, id"
        ),
        {"w": workspace_id, "level": level, "days": days},
    )
    return {row.id: [str(one) for one in row.last_members] for row in rows}


def centres(
    connection: Connection, workspace_id: str, level: Level, cluster_ids: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """The centres of live clusters of a level, all or these, as unit vectors."""
    import numpy as np

    rows = connection.execute(
        text(
            "SELECT id, CAST(centre AS text) AS centre FROM elmer.clusters WHERE workspace_id = :w AND level = :level "
            "AND ended_at IS NULL AND centre IS NOT NULL "
            "AND (CAST(:ids AS text[]) IS NULL OR id = ANY(CAST(:ids AS text[]))) ORDER BY id"
        ),
        {"w": workspace_id, "level": level, "ids": None if cluster_ids is None else list(cluster_ids)},
    )
    found = {row.id: np.fromstring(row.centre.strip("[]"), sep=",", dtype=np.float32) for row in rows}
    return {one: centre / max(float(np.linalg.norm(centre)), 1e-9) for one, centre in found.items()}


def outdated(connection: Connection, workspace_id: str) -> list[str]:
    """Live themes a member of which a person or an extraction has changed since the theme was last summed up."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT c.id FROM elmer.clusters c JOIN elmer.cluster_members m "
            "ON m.workspace_id = c.workspace_id AND m.cluster_id = c.id JOIN elmer.signals s "
            "ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
            "WHERE c.workspace_id = :w AND c.ended_at IS NULL AND s.updated_at >= c.updated_at ORDER BY 1"
        ),
        {"w": workspace_id},
    )
    return list(rows.scalars())


def find(connection: Connection, workspace_id: str, cluster_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These clusters of any level, ended ones too: id, level, parent_id, theme (the person's where there is one),
    own_theme (the machine's), size, severity, frequency, confidence, suggested_action, suggested_project_id, summary,
    distinction, central_signal_ids, created_at, ended_at, named_by_person."""
    rows = connection.execute(
        text(
            "SELECT id, level, parent_id, coalesce(human_theme, theme) AS theme, theme AS own_theme, size, "
            "severity, frequency, confidence, suggested_action, suggested_project_id, summary, distinction, "
            "central_signal_ids, created_at, ended_at, human_theme IS NOT NULL AS named_by_person "
            "FROM elmer.clusters WHERE workspace_id = :w AND id = ANY(:ids)"
        ).bindparams(bindparam("ids", type_=ARRAY(Text))),
        {"w": workspace_id, "ids": list(cluster_ids)},
    )
    return {row["id"]: dict(row) for row in rows.mappings()}


def note_events(
    connection: Connection, workspace_id: str, events: Sequence[Mapping[str, Any]], clustering_id: int | None = None
) -> None:
    """Add to the history: each event has `cluster_id`, `event` and a `detail` of JSON values."""
    if events:
        connection.execute(
            text(
                "INSERT INTO elmer.cluster_events (workspace_id, cluster_id, event, detail, clustering_id) "
                "VALUES (:w, :cluster_id, :event, CAST(:detail AS jsonb), :clustering)"
            ),
            [
                {"w": workspace_id, "cluster_id": one["cluster_id"], "event": one["event"],
                 "detail": json.dumps(one["detail"]), "clustering": clustering_id}
                for one in events
            ],
        )  # fmt: skip


def history(connection: Connection, workspace_id: str, cluster_id: str) -> list[dict[str, Any]]:
    """What happened to a cluster: at, event, detail, oldest first."""
    rows = connection.execute(
        text(
            "SELECT at, event, detail FROM elmer.cluster_events WHERE workspace_id = :w AND cluster_id = :c ORDER BY id"
        ),
        {"w": workspace_id, "c": cluster_id},
    )
    return [dict(row) for row in rows.mappings()]


def live(connection: Connection, workspace_id: str, level: Level = "theme") -> list[dict[str, Any]]:
    """Clusters of a level that have not ended, largest first; `theme` is the person's where there is one."""
    rows = connection.execute(
        text(
            "SELECT c.id, c.level, c.parent_id, coalesce(c.human_theme, c.theme) AS theme, c.summary, "
            "c.distinction, c.size, c.severity, c.frequency, "
            "c.confidence, c.suggested_action, c.suggested_project_id, c.terms, c.central_signal_ids, c.named_by, "
            "c.human_theme IS NOT NULL AS named_by_person, t.verdict AS trend, c.created_at, c.updated_at "
            "FROM elmer.clusters c LEFT JOIN elmer.cluster_trends t "
            "ON t.workspace_id = c.workspace_id AND t.cluster_id = c.id "
            "WHERE c.workspace_id = :w AND c.level = :level AND c.ended_at IS NULL ORDER BY c.size DESC, c.id"
        ),
        {"w": workspace_id, "level": level},
    )
    return [dict(row) for row in rows.mappings()]


_MEMBERS_OF = {
    "area": "SELECT t.parent_id AS cluster_id, {} FROM elmer.cluster_members m JOIN elmer.clusters t "
    "ON t.workspace_id = m.workspace_id AND t.id = m.cluster_id {} AND t.parent_id IS NOT NULL",
    "theme": "SELECT m.cluster_id, {} FROM elmer.cluster_members m {} AND m.cluster_id IS NOT NULL",
    "need": "SELECT m.need_id AS cluster_id, {} FROM elmer.cluster_members m {} AND m.need_id IS NOT NULL",
}


def members_of(connection: Connection, workspace_id: str, level: Level = "theme") -> dict[str, list[str]]:
    """The live signals of every live cluster of a level, those nearest to the centre of their theme first."""
    live_signals = (
        "JOIN elmer.signals s ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
        "WHERE m.workspace_id = :w AND s.retired_at IS NULL"
    )
    members = _MEMBERS_OF[level].format("m.signal_id, m.similarity", live_signals)
    rows = connection.execute(
        text(f"{members} ORDER BY cluster_id, similarity DESC NULLS LAST, signal_id"),
        {"w": workspace_id},
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.cluster_id, []).append(row.signal_id)
    return found


def name_by_person(connection: Connection, workspace_id: str, cluster_id: str, theme: str | None) -> bool:
    """Give a cluster the name a person chose, or take it back with None; False where there is no such cluster."""
    done = connection.execute(
        text("UPDATE elmer.clusters SET human_theme = :t WHERE workspace_id = :w AND id = :c"),
        {"w": workspace_id, "c": cluster_id, "t": theme},
    )
    return bool(done.rowcount)


def unclustered(connection: Connection, workspace_id: str) -> int:
    """How many live signals are in no cluster."""
    return int(
        connection.execute(
            text(
                "SELECT count(*) FROM elmer.cluster_members m JOIN elmer.signals s "
                "ON s.workspace_id = m.workspace_id AND s.id = m.signal_id "
                "WHERE m.workspace_id = :w AND m.cluster_id IS NULL AND s.retired_at IS NULL"
            ),
            {"w": workspace_id},
        ).scalar_one()
    )
