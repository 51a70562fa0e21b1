"""The `workspaces` table: what is registered, and where its documents lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from elmer_pipelines.errors import WorkspaceError

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Workspace(NamedTuple):
    """A registered workspace; `root` is an absolute path or an fsspec URL."""

    id: str
    name: str
    root: str


def register(connection: Connection, workspace_id: str, name: str, root: str) -> None:
    """Add the workspace, or point a known one to another name and folder."""
    connection.execute(
        text(
            "INSERT INTO elmer.workspaces (id, name, root) VALUES (:id, :name, :root) "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name, root = excluded.root"
        ),
        {"id": workspace_id, "name": name, "root": root},
    )


def get(connection: Connection, workspace_id: str) -> Workspace:
    """One workspace. Raises WorkspaceError when it is not registered."""
    row = connection.execute(
        text("SELECT id, name, root FROM elmer.workspaces WHERE id = :id"), {"id": workspace_id}
    ).first()
    if row is None:
        known = ", ".join(one.id for one in every(connection)) or "none yet"
        raise WorkspaceError(
            f"There is no workspace {workspace_id!r} (registered: {known}). Register it: elmer init {workspace_id} PATH"
        )
    return Workspace(*row)


def every(connection: Connection) -> list[Workspace]:
    """All workspaces by id."""
    rows = connection.execute(text("SELECT id, name, root FROM elmer.workspaces ORDER BY id"))
    return [Workspace(*row) for row in rows]
