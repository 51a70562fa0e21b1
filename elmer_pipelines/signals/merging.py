"""Merging a group of duplicates into one signal, and undoing it, as a person asks for it.

What it changes in the tables is in `store/duplicates.py`; finding the groups is the step in `duplicate_groups.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.store import duplicates as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.store.duplicates import Merge


def group_of(connection: Connection, workspace_id: str, group_id: str) -> dict[str, Any]:
    """A group of duplicates as `store.groups` has it. Raises NotFoundError."""
    found = store.groups(connection, workspace_id, group_id=group_id)
    if not found:
        raise NotFoundError(f"Workspace {workspace_id!r} has no group {group_id}; `elmer duplicates` lists them.")
    return found[0]


def merge_group(connection: Connection, workspace_id: str, group_id: str, keep: str | None = None) -> Merge:
    """Let one signal of a group speak for the others: `keep`, else the oldest that speaks for itself.

    Raises NotFoundError for a group that there is not, a signal that is not in it, or one that is merged already.
    """
    group = group_of(connection, workspace_id, group_id)
    own = group["signals"][: group["voices"]]
    if keep is not None and keep not in own:
        raise NotFoundError(f"{keep} can't be kept: signals of {group_id} that are not merged are {', '.join(own)}.")
    if len(own) < 2:
        raise NotFoundError(f"{group_id} is merged already, into {', '.join(own) or 'a signal outside of it'}.")
    return store.merge(connection, workspace_id, group_id, keep or own[0], own)


def undo_merge(connection: Connection, workspace_id: str, merge_id: str) -> Merge:
    """Put back what a merge changed. Raises NotFoundError where there is none, or a later one stands on it."""
    later = store.later_merges(connection, workspace_id, merge_id)
    if later:
        raise NotFoundError(f"{merge_id} can't be undone before {later[0]}, which merged its signals further.")
    undone = store.undo(connection, workspace_id, merge_id)
    if undone is None:
        raise NotFoundError(
            f"Workspace {workspace_id!r} has no merge {merge_id} to undo; `elmer duplicates` lists them."
        )
    return undone
