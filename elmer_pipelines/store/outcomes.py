"""The `outcomes` table: one row per step and record, with its fingerprint, state, error and claim (I3, I8)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.errors import OF_THE_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from elmer_pipelines.errors import RecordError

_TEXTS = ARRAY(Text)
MENDABLE = tuple(sorted(OF_THE_ACCOUNT))  # kinds of failure that each run tries again
OUTAGE = timedelta(hours=6)  # after so long, what failed and may succeed is tried again however often it was


@dataclass(frozen=True)
class Outcome:
    """What came of one record: `determined_by` is of when it was last done, None where it never was.

    `updated_at` is when it became what it is; `fingerprint` of what it is to be done for, or was.
    """

    record_id: str
    fingerprint: str
    state: str
    attempts: int
    retryable: bool
    error_kind: str | None
    message: str | None
    next_step: str | None
    run_id: str | None
    updated_at: datetime
    determined_by: dict[str, list[str | None]] | None


def synchronise(
    connection: Connection, workspace_id: str, step: str, wanted: Mapping[str, str], *, max_attempts: int
) -> None:
    """Make pending what is new or changed, and what failed but may succeed now; forget what is no longer wanted."""
    arguments = {
        "workspace": workspace_id,
        "step": step,
        "records": list(wanted),
        "fingerprints": list(wanted.values()),
        "most": max_attempts,
    }
    arrays = (bindparam("records", type_=_TEXTS), bindparam("fingerprints", type_=_TEXTS))
    connection.execute(
        text(
            """
            INSERT INTO elmer.outcomes AS o (workspace_id, step, record_id, fingerprint)
            SELECT :workspace, :step, w.record_id, w.fingerprint
            FROM unnest(:records, :fingerprints) AS w (record_id, fingerprint)
            WHERE NOT EXISTS (SELECT FROM elmer.outcomes k WHERE k.workspace_id = :workspace AND k.step = :step
                AND k.record_id = w.record_id AND k.fingerprint = w.fingerprint AND k.state <> 'failed')
            ORDER BY 3
            ON CONFLICT (workspace_id, step, record_id) DO UPDATE
            SET fingerprint = excluded.fingerprint, state = 'pending', updated_at = now(),
                attempts = CASE WHEN o.fingerprint = excluded.fingerprint THEN o.attempts ELSE 0 END,
                ask_anew = o.ask_anew AND o.fingerprint = excluded.fingerprint,
                claimed_by = NULL, claimed_until = NULL,
                error_kind = NULL, message = NULL, next_step = NULL, retryable = false
            WHERE o.fingerprint <> excluded.fingerprint
               OR (o.state = 'failed' AND o.retryable AND o.attempts < :most)
               -- A key may have been mended, and an outage be over, since; asking about either costs little.
               OR (o.state = 'failed' AND o.error_kind = ANY(:mendable))
               OR (o.state = 'failed' AND o.retryable AND o.updated_at < now() - CAST(:outage AS interval))
            """
        ).bindparams(*arrays, bindparam("mendable", type_=_TEXTS)),
        {**arguments, "mendable": list(MENDABLE), "outage": OUTAGE},
    )
    connection.execute(
        text(
            """
            DELETE FROM elmer.outcomes o
            WHERE workspace_id = :workspace AND step = :step
              AND NOT EXISTS (SELECT FROM unnest(:records) AS w (record_id) WHERE w.record_id = o.record_id)
            """
        ).bindparams(arrays[0]),
        {"workspace": workspace_id, "step": step, "records": arguments["records"]},
    )


def fingerprint_of(connection: Connection, workspace_id: str, step: str, record_id: str) -> str | None:
    """The fingerprint a record was last worked with, None where it is not known."""
    return connection.execute(
        text("SELECT fingerprint FROM elmer.outcomes WHERE workspace_id = :w AND step = :s AND record_id = :r"),
        {"w": workspace_id, "s": step, "r": record_id},
    ).scalar_one_or_none()


def made_otherwise(
    connection: Connection, workspace_id: str, step: str, wanted: Mapping[str, str]
) -> dict[str, dict[str, list[str | None]]]:
    """Of records that were done once and have another fingerprint than wanted: what determined them when done."""
    rows = connection.execute(
        text(
            "SELECT o.record_id, o.determined_by FROM elmer.outcomes o JOIN unnest(:records, :fingerprints) "
            "AS w (record_id, fingerprint) ON w.record_id = o.record_id WHERE o.workspace_id = :w AND o.step = :s "
            "AND o.fingerprint <> w.fingerprint AND o.determined_by IS NOT NULL"
        ).bindparams(bindparam("records", type_=_TEXTS), bindparam("fingerprints", type_=_TEXTS)),
        {"w": workspace_id, "s": step, "records": list(wanted), "fingerprints": list(wanted.values())},
    )
    return {row.record_id: row.determined_by for row in rows}


def forget(connection: Connection, workspace_id: str, step: str, record_ids: Sequence[str]) -> None:
    """Drop what is known of these records, so that the step works them again."""
    connection.execute(
        text("DELETE FROM elmer.outcomes WHERE workspace_id = :w AND step = :s AND record_id = ANY(:r)").bindparams(
            bindparam("r", type_=_TEXTS)
        ),
        {"w": workspace_id, "s": step, "r": list(record_ids)},
    )


def count_pending(connection: Connection, workspace_id: str, step: str) -> int:
    """How many records of the step wait to be worked, claimed ones included."""
    return int(
        connection.execute(
            text("SELECT count(*) FROM elmer.outcomes WHERE workspace_id = :w AND step = :s AND state = 'pending'"),
            {"w": workspace_id, "s": step},
        ).scalar_one()
    )


def to_ask_anew(connection: Connection, workspace_id: str, step: str) -> set[str]:
    """The pending records that a person wants tried again: a stored answer that is a fault is not used for them."""
    rows = connection.execute(
        text(
            "SELECT record_id FROM elmer.outcomes "
            "WHERE workspace_id = :w AND step = :s AND state = 'pending' AND ask_anew"
        ),
        {"w": workspace_id, "s": step},
    )
    return set(rows.scalars())


def claim(
    connection: Connection, workspace_id: str, step: str, owner: str, limit: int, lease_seconds: float
) -> list[str]:
    """At most `limit` pending records that nobody works on and that wait for nothing: the owner's for the lease."""
    rows = connection.execute(
        text(
            """
            WITH free AS (
                SELECT record_id FROM elmer.outcomes
                WHERE workspace_id = :workspace AND step = :step AND state = 'pending'
                  AND error_kind IS DISTINCT FROM 'waiting' AND (claimed_until IS NULL OR claimed_until < now())
                ORDER BY record_id LIMIT :limit FOR UPDATE SKIP LOCKED
            )
            UPDATE elmer.outcomes o
            SET claimed_by = :owner, claimed_until = now() + make_interval(secs => :lease)
            FROM free
            WHERE o.workspace_id = :workspace AND o.step = :step AND o.record_id = free.record_id
            RETURNING o.record_id
            """
        ),
        {"workspace": workspace_id, "step": step, "owner": owner, "limit": limit, "lease": lease_seconds},
    )
    return sorted(rows.scalars())


def renew(connection: Connection, workspace_id: str, step: str, owner: str, lease_seconds: float) -> None:
    """Extend every claim of the owner, but for those it is saving at this moment (waiting for them could deadlock)."""
    connection.execute(
        text(
            "WITH ours AS (SELECT record_id FROM elmer.outcomes WHERE workspace_id = :w AND step = :s "
            "AND state = 'pending' AND claimed_by = :o FOR UPDATE SKIP LOCKED) "
            "UPDATE elmer.outcomes o SET claimed_until = now() + make_interval(secs => :lease) FROM ours "
            "WHERE o.workspace_id = :w AND o.step = :s AND o.record_id = ours.record_id"
        ),
        {"w": workspace_id, "s": step, "o": owner, "lease": lease_seconds},
    )


def release(connection: Connection, workspace_id: str, step: str, owner: str) -> None:
    """Give back what the owner claimed and did not finish."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET claimed_by = NULL, claimed_until = NULL "
            "WHERE workspace_id = :w AND step = :s AND state = 'pending' AND claimed_by = :o"
        ),
        {"w": workspace_id, "s": step, "o": owner},
    )


def await_answers(
    connection: Connection, workspace_id: str, step: str, record_ids: Sequence[str], message: str, next_step: str
) -> None:
    """The records' answers are on their way: they stay pending, without an attempt, and nobody claims them until
    `wake`."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET error_kind = 'waiting', message = :m, next_step = :n, updated_at = now() "
            "WHERE workspace_id = :w AND step = :s AND record_id = ANY(:r) AND state = 'pending'"
        ).bindparams(bindparam("r", type_=_TEXTS)),
        {"w": workspace_id, "s": step, "r": list(record_ids), "m": message, "n": next_step},
    )


def wake(connection: Connection, workspace_id: str, step: str) -> None:
    """Something came that records of the step wait for: let each be looked at again."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET error_kind = NULL, message = NULL, next_step = NULL, updated_at = now() "
            "WHERE workspace_id = :w AND step = :s AND state = 'pending' AND error_kind = 'waiting'"
        ),
        {"w": workspace_id, "s": step},
    )


def count_waiting(connection: Connection, workspace_id: str) -> dict[str, int]:
    """Per step, how many records wait for an answer that is on its way; steps without one are left out."""
    rows = connection.execute(
        text(
            "SELECT step, count(*) FROM elmer.outcomes WHERE workspace_id = :w AND state = 'pending' "
            "AND error_kind = 'waiting' GROUP BY step ORDER BY step"
        ),
        {"w": workspace_id},
    )
    return {step: int(number) for step, number in rows}


def put_back(connection: Connection, workspace_id: str, step: str, record_id: str) -> None:
    """Give back one claimed record, as pending as it was: no attempt was made."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET claimed_by = NULL, claimed_until = NULL "
            "WHERE workspace_id = :w AND step = :s AND record_id = :r AND state = 'pending'"
        ),
        {"w": workspace_id, "s": step, "r": record_id},
    )


def still_ours(connection: Connection, workspace_id: str, step: str, record_id: str, owner: str) -> bool:
    """Lock the row and say whether the owner still holds it, pending."""
    found = connection.execute(
        text(
            "SELECT 1 FROM elmer.outcomes WHERE workspace_id = :w AND step = :s AND record_id = :r "
            "AND state = 'pending' AND claimed_by = :o FOR UPDATE"
        ),
        {"w": workspace_id, "s": step, "r": record_id, "o": owner},
    )
    return found.first() is not None


def finish(
    connection: Connection,
    workspace_id: str,
    step: str,
    record_id: str,
    run_id: str | None,
    determined_by: Mapping[str, Any],
) -> None:
    """The record is done for its present fingerprint; what determined it is kept until it is done again."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET state = 'done', attempts = attempts + 1, claimed_by = NULL, ask_anew = false, "
            "claimed_until = NULL, error_kind = NULL, message = NULL, next_step = NULL, retryable = false, "
            "run_id = :run, determined_by = CAST(:by AS jsonb), updated_at = now() "
            "WHERE workspace_id = :w AND step = :s AND record_id = :r"
        ),
        {"w": workspace_id, "s": step, "r": record_id, "run": run_id, "by": json.dumps(determined_by)},
    )


def fail(
    connection: Connection, workspace_id: str, step: str, record_id: str, error: RecordError, run_id: str | None
) -> None:
    """The record failed: its error, one attempt more."""
    connection.execute(
        text(
            "UPDATE elmer.outcomes SET state = 'failed', attempts = attempts + 1, claimed_by = NULL, ask_anew = false, "
            "claimed_until = NULL, error_kind = :kind, message = :message, next_step = :next, retryable = :retryable, "
            "run_id = :run, updated_at = now() WHERE workspace_id = :w AND step = :s AND record_id = :r"
        ),
        {
            "w": workspace_id, "s": step, "r": record_id, "run": run_id, "kind": error.kind,
            "message": str(error).replace("\x00", "")[:2_000], "next": error.next_step, "retryable": error.retryable,
        },
    )  # fmt: skip


def retry(connection: Connection, workspace_id: str, step: str | None = None) -> int:
    """Make every failed record of the step (or of all steps) pending again, to be asked anew; returns how many."""
    done = connection.execute(
        text(
            "UPDATE elmer.outcomes SET state = 'pending', attempts = 0, ask_anew = true, updated_at = now() "
            "WHERE workspace_id = :w AND state = 'failed' AND (CAST(:s AS text) IS NULL OR step = :s)"
        ),
        {"w": workspace_id, "s": step},
    )
    return done.rowcount


def failures(connection: Connection, workspace_id: str, step: str | None = None) -> list[dict[str, Any]]:
    """Every failed record: step, record_id, error_kind, message, next_step, retryable, attempts, updated_at."""
    rows = connection.execute(
        text(
            "SELECT step, record_id, error_kind, message, next_step, retryable, attempts, updated_at "
            "FROM elmer.outcomes WHERE workspace_id = :w AND state = 'failed' "
            "AND (CAST(:s AS text) IS NULL OR step = :s) ORDER BY step, record_id"
        ),
        {"w": workspace_id, "s": step},
    )
    return [dict(row) for row in rows.mappings()]


def counts(connection: Connection, workspace_id: str) -> dict[str, dict[str, int]]:
    """Per step, how many records are in each state."""
    rows = connection.execute(
        text("SELECT step, state, count(*) FROM elmer.outcomes WHERE workspace_id = :w GROUP BY 1, 2"),
        {"w": workspace_id},
    )
    found: dict[str, dict[str, int]] = {}
    for step, state, number in rows:
        found.setdefault(step, {"pending": 0, "done": 0, "failed": 0})[state] = number
    return found


def rows(
    connection: Connection, workspace_id: str, step: str, record_ids: Sequence[str] | None = None
) -> dict[str, Outcome]:
    """The step's outcomes by record, all or of these records."""
    found = connection.execute(
        text(
            "SELECT record_id, fingerprint, state, attempts, retryable, error_kind, message, next_step, run_id, "
            "updated_at, determined_by FROM elmer.outcomes WHERE workspace_id = :w AND step = :s "
            "AND (CAST(:ids AS text[]) IS NULL OR record_id = ANY(CAST(:ids AS text[])))"
        ),
        {"w": workspace_id, "s": step, "ids": None if record_ids is None else list(record_ids)},
    )
    return {row.record_id: Outcome(*row) for row in found}
