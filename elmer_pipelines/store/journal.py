"""The tables `model_answers` and `model_calls`: what was paid for is kept (I2), and every attempt is a row.

A cached answer is used only by the workspace that asked (I9).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection


def answer(connection: Connection, workspace_id: str, fingerprint: str) -> dict[str, Any] | None:
    """The stored answer under this fingerprint, as it was given to `keep`."""
    found = connection.execute(
        text("SELECT answer FROM elmer.model_answers WHERE workspace_id = :w AND fingerprint = :f"),
        {"w": workspace_id, "f": fingerprint},
    ).scalar()
    return dict(found) if found is not None else None


def keep(connection: Connection, workspace_id: str, fingerprint: str, value: dict[str, Any]) -> None:
    """Store an answer, replacing an older one (which was no usable answer, or it would not have been asked again)."""
    connection.execute(
        text(
            "INSERT INTO elmer.model_answers (workspace_id, fingerprint, answer) "
            "VALUES (:w, :f, CAST(:a AS jsonb)) "
            "ON CONFLICT (workspace_id, fingerprint) DO UPDATE SET answer = excluded.answer, created_at = now()"
        ),
        {"w": workspace_id, "f": fingerprint, "a": json.dumps(value)},
    )


def note_calls(connection: Connection, workspace_id: str, calls: Sequence[dict[str, Any]]) -> None:
    """Add rows to the ledger; keys are the columns of `model_calls` (cost_usd None: the price is unknown)."""
    connection.execute(
        text(
            "INSERT INTO elmer.model_calls (workspace_id, run_id, step, provider, model, prompt, fingerprint, inputs, "
            "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, latency_s, outcome, "
            "request_id) VALUES (:w, :run_id, :step, :provider, :model, :prompt, :fingerprint, :inputs, "
            ":input_tokens, :output_tokens, :cache_read_tokens, :cache_write_tokens, :cost_usd, :latency_s, :outcome, "
            ":request_id)"
        ),
        [{**call, "w": workspace_id} for call in calls],
    )


def totals(connection: Connection, workspace_id: str, since: datetime | None = None) -> list[dict[str, Any]]:
    """Per model: calls sent (cache hits apart), inputs, tokens, cost in USD (None: unknown), cached, failed."""
    rows = connection.execute(
        text(
            "SELECT provider, model, count(*) FILTER (WHERE outcome <> 'cached') AS calls, "
            "count(*) FILTER (WHERE outcome = 'cached') AS cached, "
            "count(*) FILTER (WHERE outcome NOT IN ('ok', 'cached')) AS failed, sum(inputs) AS inputs, "
            "sum(input_tokens + cache_read_tokens + cache_write_tokens) AS input_tokens, "
            "sum(output_tokens) AS output_tokens, "
            "CASE WHEN bool_or(cost_usd IS NULL) THEN NULL ELSE coalesce(sum(cost_usd), 0) END "
            "AS cost_usd FROM elmer.model_calls "
            "WHERE workspace_id = :w AND (CAST(:since AS timestamptz) IS NULL OR at >= :since) "
            "GROUP BY provider, model ORDER BY provider, model"
        ),
        {"w": workspace_id, "since": since},
    )
    return [{**row, "cost_usd": None if row["cost_usd"] is None else float(row["cost_usd"])} for row in rows.mappings()]


_GROUPS = {
    "day": "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "asset": "step",
    "workspace": "workspace_id",
    "run": "coalesce(run_id, '')",
    "prompt": "coalesce(prompt, '')",
}


def costs(connection: Connection, workspace_id: str, by: str, since: datetime | None = None) -> list[dict[str, Any]]:
    """Calls sent, cache hits, failures, inputs, tokens, cost (None: a price is unknown).

    `by` is `day` (UTC), `asset`, `workspace`, `run` or `prompt`.
    """
    rows = connection.execute(
        text(
            f"SELECT {_GROUPS[by]} AS name, count(*) FILTER (WHERE outcome <> 'cached') AS calls, "  # noqa: S608
            "count(*) FILTER (WHERE outcome = 'cached') AS cached, "
            "count(*) FILTER (WHERE outcome NOT IN ('ok', 'cached')) AS failed, "
            "sum(inputs) FILTER (WHERE outcome <> 'cached') AS inputs, "
            "sum(input_tokens) AS input_tokens, sum(cache_read_tokens) AS cache_read_tokens, "
            "sum(cache_write_tokens) AS cache_write_tokens, sum(output_tokens) AS output_tokens, "
            "CASE WHEN bool_or(cost_usd IS NULL) THEN NULL ELSE coalesce(sum(cost_usd), 0) END AS cost_usd "
            "FROM elmer.model_calls WHERE workspace_id = :w "
            "AND (CAST(:since AS timestamptz) IS NULL OR at >= :since) GROUP BY 1 ORDER BY 1"
        ),
        {"w": workspace_id, "since": since},
    )
    return [{**row, "cost_usd": None if row["cost_usd"] is None else float(row["cost_usd"])} for row in rows.mappings()]


def now(connection: Connection) -> datetime:
    """The database's clock: the beginning of a span for `totals`."""
    value: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return value
