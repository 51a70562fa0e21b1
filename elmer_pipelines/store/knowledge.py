"""The `knowledge` table: the workspace's own background texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def replace(connection: Connection, workspace_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Make these the knowledge of the workspace: each has `path`, `kind`, `title` and `text`."""
    connection.execute(text("DELETE FROM elmer.knowledge WHERE workspace_id = :w"), {"w": workspace_id})
    if rows:
        connection.execute(
            text(
                "INSERT INTO elmer.knowledge (workspace_id, path, kind, title, text) "
                "VALUES (:w, :path, :kind, :title, :text)"
            ),
            [{"w": workspace_id, **row} for row in rows],
        )


def every(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """All knowledge texts by path: path, kind, title, text."""
    rows = connection.execute(
        text("SELECT path, kind, title, text FROM elmer.knowledge WHERE workspace_id = :w ORDER BY path"),
        {"w": workspace_id},
    )
    return [dict(row) for row in rows.mappings()]
