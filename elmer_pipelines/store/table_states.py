"""How much each step's table holds for a workspace, and a version that changes when what it says changes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection


class TableState(NamedTuple):
    """Live rows, and 16 hex digits that stand for their content whatever their order."""

    rows: int
    version: str


_LIVE_TEXTS = """elmer.embeddings t WHERE t.workspace_id = :w AND EXISTS (
    SELECT FROM elmer.{table} r WHERE r.workspace_id = t.workspace_id AND r.retired_at IS NULL AND {match})"""

# Step: the live rows of its table, as `t`; and the columns that say what the row says.
_STATES: dict[str, tuple[str, str]] = {
    "documents": ("elmer.documents t WHERE t.workspace_id = :w AND t.retired_at IS NULL", "t.id, t.content_hash"),
    "knowledge": ("elmer.knowledge t WHERE t.workspace_id = :w", "t.path, t.kind, t.title, t.text"),
    "signals": (
        "elmer.signals t WHERE t.workspace_id = :w AND t.retired_at IS NULL",
        "t.id, t.content_hash, t.start, t.end, t.severity, t.frequency, t.segment, t.interpretation, t.edits::text, "
        "t.merged_into",
    ),
    "signal_embeddings": (
        _LIVE_TEXTS.format(table="signals", match="r.text_hash = t.text_hash"),
        "t.model, t.text_hash",
    ),
    "duplicate_signals": ("elmer.duplicate_signals t WHERE t.workspace_id = :w", "t.signal_id, t.group_id"),
    "signal_clusters": ("elmer.cluster_members t WHERE t.workspace_id = :w", "t.signal_id, t.cluster_id"),
    "cluster_themes": (
        "elmer.clusters t WHERE t.workspace_id = :w AND t.ended_at IS NULL",
        "t.id, t.theme, t.human_theme, t.summary",
    ),
    "cluster_trends": ("elmer.cluster_trends t WHERE t.workspace_id = :w", "t.cluster_id, t.verdict, t.weeks::text"),
    "projects": (
        "elmer.projects t WHERE t.workspace_id = :w AND t.retired_at IS NULL",
        "t.id, t.name, t.description, t.stage",
    ),
    "project_embeddings": (
        "elmer.outcomes t WHERE t.workspace_id = :w AND t.step = 'project_embeddings' AND t.state = 'done'",
        "t.record_id, t.fingerprint",
    ),
    "signal_classifications": (
        "elmer.signal_classifications t WHERE t.workspace_id = :w",
        "t.signal_id, t.verdict, t.project_id",
    ),
    "initiatives": ("elmer.initiatives t WHERE t.workspace_id = :w", "t.cluster_id, t.project_id, t.action"),
    "research_briefs": (
        "elmer.artifacts t WHERE t.workspace_id = :w AND t.kind = 'research_brief'",
        "t.id, t.status, t.fingerprint",
    ),
    "prds": ("elmer.artifacts t WHERE t.workspace_id = :w AND t.kind = 'prd'", "t.id, t.status, t.fingerprint"),
}


def steps() -> list[str]:
    """The steps whose table this module knows."""
    return sorted(_STATES)


def state_of(connection: Connection, workspace_id: str, step: str) -> TableState:
    """How the step's table stands. One scan of the workspace's rows; KeyError for a step it doesn't know."""
    live, columns = _STATES[step]
    sums = f"count(*), coalesce(sum(hashtextextended(concat_ws(chr(31), {columns}), 0)::numeric), 0)::text"
    statement = f"SELECT {sums} FROM {live}"  # noqa: S608 - put together from the constants above
    row = connection.execute(text(statement), {"w": workspace_id}).one()
    return TableState(int(row[0]), hashlib.sha256(f"{row[0]} {row[1]}".encode()).hexdigest()[:16])
