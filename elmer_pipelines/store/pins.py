"""The table `cluster_pins`: a person's word on who belongs where. No machine writes here (I5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add(
    connection: Connection,
    workspace_id: str,
    kind: str,
    signal_id: str,
    *,
    other_signal_id: str | None = None,
    cluster_id: str | None = None,
) -> int:
    """Store a pin, or find the same one stored already; returns its id."""
    values = {"w": workspace_id, "k": kind, "s": signal_id, "o": other_signal_id, "c": cluster_id}
    same = connection.execute(
        text(
            "SELECT id FROM elmer.cluster_pins WHERE workspace_id = :w AND kind = :k "
            "AND cluster_id IS NOT DISTINCT FROM CAST(:c AS text) AND ((signal_id = :s AND other_signal_id "
            "IS NOT DISTINCT FROM CAST(:o AS text)) OR (signal_id = :o AND other_signal_id = :s))"
        ),
        values,
    ).scalar_one_or_none()
    if same is not None:
        return int(same)
    return int(
        connection.execute(
            text(
                "INSERT INTO elmer.cluster_pins (workspace_id, kind, signal_id, other_signal_id, cluster_id) "
                "VALUES (:w, :k, :s, :o, :c) RETURNING id"
            ),
            values,
        ).scalar_one()
    )


def every(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """All pins, the oldest first: id, kind, signal_id, other_signal_id, cluster_id, created_at, the words of the
    signals (`words`, `other_words`), the cluster's theme and level, whether it has ended and a signal has retired."""
    rows = connection.execute(
        text(
            "SELECT p.id, p.kind, p.signal_id, p.other_signal_id, p.cluster_id, p.created_at, s.verbatim AS words, "
            "o.verbatim AS other_words, coalesce(c.human_theme, c.theme) AS theme, c.ended_at, "
            "s.retired_at IS NOT NULL OR o.retired_at IS NOT NULL AS retired "
            "FROM elmer.cluster_pins p "
            "JOIN elmer.signals s ON s.workspace_id = p.workspace_id AND s.id = p.signal_id "
            "LEFT JOIN elmer.signals o ON o.workspace_id = p.workspace_id AND o.id = p.other_signal_id "
            "LEFT JOIN elmer.clusters c ON c.workspace_id = p.workspace_id AND c.id = p.cluster_id "
            "WHERE p.workspace_id = :w ORDER BY p.id"
        ),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]


def remove(connection: Connection, workspace_id: str, pin_id: int) -> bool:
    """Take a pin out; False where there is none of this id."""
    done = connection.execute(
        text("DELETE FROM elmer.cluster_pins WHERE workspace_id = :w AND id = :i"), {"w": workspace_id, "i": pin_id}
    )
    return bool(done.rowcount)
