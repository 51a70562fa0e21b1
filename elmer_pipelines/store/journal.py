"""The tables `model_answers` and `model_calls`: what was paid for is kept (I2), and every attempt is a row.

A cached answer is used only by the workspace that asked (I9).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection


def answers(connection: Connection, workspace_id: str, fingerprints: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The stored answers by fingerprint, as they were given to `keep`; those that are not there lack."""
    rows = connection.execute(
        text(
            "SELECT fingerprint, answer FROM elmer.model_answers WHERE workspace_id = :w AND fingerprint = ANY(:f)"
        ).bindparams(bindparam("f", type_=ARRAY(Text))),
        {"w": workspace_id, "f": list(fingerprints)},
    )
    return {row.fingerprint: dict(row.answer) for row in rows}


def keep(connection: Connection, workspace_id: str, answers: Mapping[str, dict[str, Any]]) -> None:
    """Store answers by fingerprint, replacing older ones (which were of no use, or they would not be asked again)."""
    connection.execute(
        text(
            "INSERT INTO elmer.model_answers (workspace_id, fingerprint, answer) "
            "VALUES (:w, :f, CAST(:a AS jsonb)) "
            "ON CONFLICT (workspace_id, fingerprint) DO UPDATE SET answer = excluded.answer, created_at = now()"
        ),
        # in one order, whoever writes: two that write the same would else wait for each other
        [{"w": workspace_id, "f": one, "a": json.dumps(value)} for one, value in sorted(answers.items())],
    )


def forget(connection: Connection, workspace_id: str, fingerprint: str) -> None:
    """Drop a stored answer; what it cost stays in the ledger."""
    connection.execute(
        text("DELETE FROM elmer.model_answers WHERE workspace_id = :w AND fingerprint = :f"),
        {"w": workspace_id, "f": fingerprint},
    )


def note_records(connection: Connection, workspace_id: str, fingerprint: str, records: Sequence[str]) -> None:
    """Remember the documents an answer's material came from; `records` are ids of documents and signals."""
    if records:
        connection.execute(
            text(
                "INSERT INTO elmer.answer_records (workspace_id, fingerprint, record_id) "
                "SELECT DISTINCT :w, :f, coalesce(s.document_id, r.id) FROM unnest(:records) AS r (id) "
                "LEFT JOIN elmer.signals s ON s.workspace_id = :w AND s.id = r.id "
                "ORDER BY 3 ON CONFLICT DO NOTHING"
            ).bindparams(bindparam("records", type_=ARRAY(Text))),
            {"w": workspace_id, "f": fingerprint, "records": list(records)},
        )


def note_calls(connection: Connection, workspace_id: str, calls: Sequence[dict[str, Any]]) -> None:
    """Add rows to the ledger; keys are the columns of `model_calls` (cost_usd None: the price is unknown)."""
    connection.execute(
        text(
            "INSERT INTO elmer.model_calls (workspace_id, run_id, step, provider, model, prompt, fingerprint, inputs, "
            "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, thinking_tokens, cost_usd, latency_s, "
            "outcome, request_id, estimated) VALUES (:w, :run_id, :step, :provider, :model, :prompt, :fingerprint, "
            ":inputs, :input_tokens, :output_tokens, :cache_read_tokens, :cache_write_tokens, :thinking_tokens, "
            ":cost_usd, :latency_s, :outcome, :request_id, :estimated)"
        ),
        [{**call, "w": workspace_id} for call in calls],
    )


def totals(connection: Connection, workspace_id: str, since: datetime | None = None) -> list[dict[str, Any]]:
    """Per model: calls sent (cache hits apart), inputs, tokens, cost in USD (None: unknown), cached, failed.

    `thinking_tokens` are part of the output, `lost_usd` of the cost: the most that answers which were lost came to.
    """
    rows = connection.execute(
        text(
            "SELECT provider, model, count(*) FILTER (WHERE outcome <> 'cached') AS calls, "
            "count(*) FILTER (WHERE outcome = 'cached') AS cached, "
            "count(*) FILTER (WHERE outcome NOT IN ('ok', 'cached')) AS failed, sum(inputs) AS inputs, "
            "sum(input_tokens + cache_read_tokens + cache_write_tokens) AS input_tokens, "
            "sum(output_tokens) AS output_tokens, sum(thinking_tokens) AS thinking_tokens, "
            "CASE WHEN bool_or(cost_usd IS NULL) THEN NULL ELSE coalesce(sum(cost_usd), 0) END "
            "AS cost_usd, coalesce(sum(cost_usd) FILTER (WHERE estimated), 0)::float AS lost_usd "
            "FROM elmer.model_calls WHERE workspace_id = :w AND (CAST(:since AS timestamptz) IS NULL OR at >= :since) "
            "GROUP BY provider, model ORDER BY provider, model"
        ),
        {"w": workspace_id, "since": since},
    )
    return [{**row, "cost_usd": None if row["cost_usd"] is None else float(row["cost_usd"])} for row in rows.mappings()]


def answered(connection: Connection, workspace_id: str, fingerprints: Sequence[str]) -> set[str]:
    """Those of the fingerprints under which an answer is stored."""
    rows = connection.execute(
        text("SELECT fingerprint FROM elmer.model_answers WHERE workspace_id = :w AND fingerprint = ANY(:f)"),
        {"w": workspace_id, "f": list(fingerprints)},
    )
    return set(rows.scalars())


@dataclass(frozen=True)
class History:
    """What the calls of a step to a model came to so far: means per call, and seconds per input; None: no call yet.

    `calls` are the newest 1,000 at most; `calls_per_record` is over all records that are done.
    """

    calls: int
    input_tokens: float | None
    output_tokens: float | None
    latency_s: float | None
    seconds_per_input: float | None
    calls_per_record: float | None


def history(connection: Connection, workspace_id: str, step: str, model: str) -> History:
    """How the step's calls to the model went."""
    row = connection.execute(
        text(
            "SELECT count(*), avg(input_tokens + cache_read_tokens + cache_write_tokens), avg(output_tokens), "
            "avg(latency_s), sum(latency_s) / nullif(sum(inputs), 0), "
            "(SELECT count(*) FROM elmer.model_calls WHERE workspace_id = :w AND step = :s AND model = :m) "
            "/ nullif((SELECT count(*) FROM elmer.outcomes WHERE workspace_id = :w AND step = :s "
            "AND state = 'done'), 0)::float FROM (SELECT * FROM elmer.model_calls "
            "WHERE workspace_id = :w AND step = :s AND model = :m AND outcome = 'ok' ORDER BY id DESC LIMIT 1000) c"
        ),
        {"w": workspace_id, "s": step, "m": model},
    ).one()
    means = [None if value is None else float(value) for value in row[1:]]
    return History(int(row[0]), *means)


_GROUPS = {
    "day": "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "asset": "step",
    "workspace": "workspace_id",
    "run": "coalesce(run_id, '')",
    "prompt": "coalesce(prompt, '')",
}


def costs(connection: Connection, workspace_id: str, by: str, since: datetime | None = None) -> list[dict[str, Any]]:
    """Calls sent, cache hits, failures, inputs, tokens, cost (None: a price is unknown); else as `totals`.

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
            "sum(thinking_tokens) AS thinking_tokens, "
            "CASE WHEN bool_or(cost_usd IS NULL) THEN NULL ELSE coalesce(sum(cost_usd), 0) END AS cost_usd, "
            "coalesce(sum(cost_usd) FILTER (WHERE estimated), 0)::float AS lost_usd "
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
