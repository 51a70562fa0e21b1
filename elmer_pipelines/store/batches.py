"""The tables `model_batches` and `model_batch_items`: what was sent in message batches, and what came of each request.

A batch is open while it is `submitting` (the service may or may not have it) or `submitted`. What models, services and
answers are is not known here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Text, bindparam, text

from elmer_pipelines.ids import stable_id
from elmer_pipelines.store.database import lock_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

_COLUMNS = "id, provider, service_id, step, model, run_id, state, items, detail, created_at, submitted_at"
_TEXTS = ARRAY(Text)


@dataclass(frozen=True)
class Item:
    """One request of a batch; `worst_usd` is what it costs at the most, `keep_as` the text hash of a vector."""

    fingerprint: str
    request: dict[str, Any]
    prompt: str | None = None
    keep_as: str | None = None
    worst_usd: float = 0.0


@dataclass(frozen=True)
class Batch:
    """A batch as its row has it; `service_id` is None until the service has named it."""

    id: str
    provider: str
    service_id: str | None
    step: str
    model: str
    run_id: str | None
    state: str
    items: int
    detail: dict[str, Any]
    created_at: datetime
    submitted_at: datetime | None


@dataclass(frozen=True)
class Ended:
    """How a request ended that has no usable answer: `kind` is None where one came that was no good."""

    kind: str | None
    message: str | None
    retryable: bool


def hold(connection: Connection, workspace_id: str) -> None:
    """Let nobody else make a batch of this workspace until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(f"elmer:batches:{workspace_id}")})


def hold_one(connection: Connection, workspace_id: str, batch_id: str) -> bool:
    """Be the one that sends this batch until the transaction ends; False where a living process is."""
    key = lock_key(f"elmer:batch:{workspace_id}:{batch_id}")
    return bool(connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar_one())


def waiting(
    connection: Connection, workspace_id: str, step: str | None = None, among: Collection[str] | None = None
) -> dict[str, str]:
    """By fingerprint, the open batch its request waits in: of the step, or among these, or all."""
    rows = connection.execute(
        text(
            "SELECT i.fingerprint, b.id FROM elmer.model_batches b JOIN elmer.model_batch_items i "
            "ON i.workspace_id = b.workspace_id AND i.batch_id = b.id WHERE b.workspace_id = :w "
            "AND b.state IN ('submitting', 'submitted') AND i.state = 'waiting' "
            "AND (CAST(:s AS text) IS NULL OR b.step = :s) "
            "AND (CAST(:f AS text[]) IS NULL OR i.fingerprint = ANY(CAST(:f AS text[])))"
        ),
        {"w": workspace_id, "s": step, "f": None if among is None else list(among)},
    )
    return {row.fingerprint: row.id for row in rows}


def ended(connection: Connection, workspace_id: str, step: str) -> dict[str, list[Ended]]:
    """By fingerprint, how earlier requests of the step failed or expired, the oldest first; told ones left out."""
    rows = connection.execute(
        text(
            "SELECT i.fingerprint, i.error_kind, i.message, i.retryable FROM elmer.model_batches b "
            "JOIN elmer.model_batch_items i ON i.workspace_id = b.workspace_id AND i.batch_id = b.id "
            "WHERE b.workspace_id = :w AND b.step = :s AND NOT i.told AND i.state IN ('failed', 'expired') "
            "ORDER BY b.created_at, b.id"
        ),
        {"w": workspace_id, "s": step},
    )
    found: dict[str, list[Ended]] = {}
    for fingerprint, kind, message, retryable in rows:
        found.setdefault(fingerprint, []).append(Ended(kind, message, retryable))
    return found


def answered(connection: Connection, workspace_id: str, fingerprint: str) -> int:
    """How often a request was answered, since it was told of last: each time in vain, where it is asked again."""
    return int(
        connection.execute(
            text(
                "SELECT count(*) FROM elmer.model_batch_items WHERE workspace_id = :w AND fingerprint = :f "
                "AND state = 'answered' AND NOT told"
            ),
            {"w": workspace_id, "f": fingerprint},
        ).scalar_one()
    )


def any_of_step(connection: Connection, workspace_id: str, step: str) -> bool:
    """Whether the step has ever sent a batch."""
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT FROM elmer.model_batches WHERE workspace_id = :w AND step = :s)"),
            {"w": workspace_id, "s": step},
        ).scalar_one()
    )


def tell(connection: Connection, workspace_id: str, fingerprint: str) -> None:
    """How the requests under this fingerprint ended has become an outcome: the next try begins anew."""
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items SET told = true WHERE workspace_id = :w AND fingerprint = :f "
            "AND state IN ('answered', 'failed', 'expired')"
        ),
        {"w": workspace_id, "f": fingerprint},
    )


def forgive(connection: Connection, workspace_id: str, step: str | None = None) -> None:
    """Forget how requests of the step (or of all) ended, as a person wants them tried again: what is answered from now
    on was asked anew."""
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items i SET told = true FROM elmer.model_batches b "
            "WHERE i.workspace_id = :w AND b.workspace_id = :w AND b.id = i.batch_id AND NOT i.told "
            "AND i.state IN ('answered', 'failed', 'expired') AND (CAST(:s AS text) IS NULL OR b.step = :s)"
        ),
        {"w": workspace_id, "s": step},
    )


def create(
    connection: Connection,
    workspace_id: str,
    items: Sequence[Item],
    *,
    provider: str,
    step: str,
    model: str,
    run_id: str | None,
    detail: dict[str, Any],
) -> Batch:
    """A batch that is about to be sent, and what it may cost; to be called under `hold`."""
    number = connection.execute(
        text("SELECT count(*) FROM elmer.model_batches WHERE workspace_id = :w"), {"w": workspace_id}
    ).scalar_one()
    batch_id = stable_id("B", workspace_id, step, str(number), *(one.fingerprint for one in items))
    connection.execute(
        text(
            "INSERT INTO elmer.model_batches (workspace_id, id, provider, step, model, run_id, items, owed_usd, "
            "detail) VALUES (:w, :id, :provider, :step, :model, :run, :items, :owed, CAST(:detail AS jsonb))"
        ),
        {
            "w": workspace_id, "id": batch_id, "provider": provider, "step": step, "model": model, "run": run_id,
            "items": len(items), "owed": sum(one.worst_usd for one in items), "detail": json.dumps(detail),
        },
    )  # fmt: skip
    connection.execute(
        text(
            "INSERT INTO elmer.model_batch_items (workspace_id, batch_id, fingerprint, request, prompt, keep_as, "
            "worst_usd) VALUES (:w, :b, :f, CAST(:r AS jsonb), :p, :k, :worst)"
        ),
        [
            {
                "w": workspace_id, "b": batch_id, "f": one.fingerprint, "r": json.dumps(one.request), "p": one.prompt,
                "k": one.keep_as, "worst": one.worst_usd,
            }
            for one in items
        ],
    )  # fmt: skip
    return get(connection, workspace_id, batch_id)


def get(connection: Connection, workspace_id: str, batch_id: str) -> Batch:
    """The batch of this id, which must be there."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM elmer.model_batches WHERE workspace_id = :w AND id = :b"),  # noqa: S608 - constants
        {"w": workspace_id, "b": batch_id},
    ).one()
    return Batch(*row)


def open_ones(connection: Connection, workspace_id: str, step: str | None = None) -> list[Batch]:
    """Batches (of the step) whose results are not all in, the oldest first."""
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM elmer.model_batches WHERE workspace_id = :w "  # noqa: S608 - constants
            "AND state IN ('submitting', 'submitted') AND (CAST(:s AS text) IS NULL OR step = :s) "
            "ORDER BY created_at, id"
        ),
        {"w": workspace_id, "s": step},
    )
    return [Batch(*row) for row in rows]


def service_ids(connection: Connection, workspace_id: str) -> set[str]:
    """The names under which the service knows batches of this workspace."""
    rows = connection.execute(
        text("SELECT service_id FROM elmer.model_batches WHERE workspace_id = :w AND service_id IS NOT NULL"),
        {"w": workspace_id},
    )
    return set(rows.scalars())


def unsent(connection: Connection, workspace_id: str, batch_id: str) -> list[Item]:
    """The requests of a batch that has to be sent, in the order in which they were noted."""
    rows = connection.execute(
        text(
            "SELECT fingerprint, request, prompt, keep_as, worst_usd FROM elmer.model_batch_items "
            "WHERE workspace_id = :w AND batch_id = :b AND state = 'waiting' ORDER BY prompt, fingerprint"
        ),
        {"w": workspace_id, "b": batch_id},
    )
    return [Item(row[0], row[1], row[2], row[3], float(row[4])) for row in rows]


def submitted(connection: Connection, workspace_id: str, batch_id: str, service_id: str) -> None:
    """The service has the batch under this name; what was sent is kept here no longer."""
    connection.execute(
        text(
            "UPDATE elmer.model_batches SET state = 'submitted', service_id = :s, submitted_at = now() "
            "WHERE workspace_id = :w AND id = :b AND state = 'submitting'"
        ),
        {"w": workspace_id, "b": batch_id, "s": service_id},
    )
    _empty(connection, workspace_id, batch_id)


def refused(
    connection: Connection, workspace_id: str, batch_id: str, kind: str, message: str, *, told: bool = False
) -> None:
    """The service did not take the batch: nothing is owed; every request failed, or, where that is told, never was."""
    _end(connection, workspace_id, batch_id, "failed", message)
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items SET state = 'failed', error_kind = :k, message = :m, retryable = false, "
            "told = :t WHERE workspace_id = :w AND batch_id = :b AND state = 'waiting'"
        ),
        {"w": workspace_id, "b": batch_id, "k": kind, "m": message, "t": told},
    )
    _empty(connection, workspace_id, batch_id)


def awaited(connection: Connection, workspace_id: str, batch_id: str) -> list[str]:
    """The fingerprints whose results are still to be taken in, purged ones too: those are paid for as well."""
    rows = connection.execute(
        text(
            "SELECT fingerprint FROM elmer.model_batch_items WHERE workspace_id = :w AND batch_id = :b "
            "AND state IN ('waiting', 'purged') AND NOT told"
        ),
        {"w": workspace_id, "b": batch_id},
    )
    return list(rows.scalars())


@dataclass(frozen=True)
class Taken:
    """An item that only this transaction may settle; `purged`: what came must not be kept."""

    fingerprint: str
    prompt: str | None
    keep_as: str | None
    worst_usd: float
    purged: bool


def take(connection: Connection, workspace_id: str, batch_id: str, fingerprints: Sequence[str]) -> dict[str, Taken]:
    """Those of the items that wait and that nobody else is settling at this moment, locked."""
    rows = connection.execute(
        text(
            "SELECT fingerprint, prompt, keep_as, worst_usd, state = 'purged' FROM elmer.model_batch_items "
            "WHERE workspace_id = :w AND batch_id = :b AND fingerprint = ANY(:f) "
            "AND state IN ('waiting', 'purged') AND NOT told ORDER BY fingerprint FOR UPDATE SKIP LOCKED"
        ).bindparams(bindparam("f", type_=_TEXTS)),
        {"w": workspace_id, "b": batch_id, "f": list(fingerprints)},
    )
    return {row[0]: Taken(row[0], row[1], row[2], float(row[3]), row[4]) for row in rows}


def settle(
    connection: Connection,
    workspace_id: str,
    batch_id: str,
    item: Taken,
    state: str,
    *,
    kind: str | None = None,
    message: str | None = None,
    retryable: bool = False,
) -> None:
    """How the item ended: `answered`, `failed` or `expired`; nothing is owed for it any more."""
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items SET state = CASE WHEN state = 'purged' THEN state ELSE :state END, "
            "error_kind = :k, message = :m, retryable = :r, told = (state = 'purged') "
            "WHERE workspace_id = :w AND batch_id = :b AND fingerprint = :f"
        ),
        {
            "w": workspace_id, "b": batch_id, "f": item.fingerprint, "state": state, "k": kind, "m": message,
            "r": retryable,
        },
    )  # fmt: skip


def owe_less(connection: Connection, workspace_id: str, batch_id: str, usd: float) -> None:
    """So much of what the batch may cost is settled, in the transaction that writes what it did cost."""
    connection.execute(
        text(
            "UPDATE elmer.model_batches SET owed_usd = greatest(0, owed_usd - :usd) WHERE workspace_id = :w AND id = :b"
        ),
        {"w": workspace_id, "b": batch_id, "usd": usd},
    )


def close(connection: Connection, workspace_id: str, batch_id: str, seen: Collection[str], state: str) -> bool:
    """End a batch whose results were all read: items without one expired. False while another settles some of it."""
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items SET state = CASE WHEN state = 'purged' THEN state ELSE 'expired' END, "
            "told = (state = 'purged'), error_kind = 'expired', message = 'The service gave no result for it.', "
            "retryable = true WHERE workspace_id = :w AND batch_id = :b AND state IN ('waiting', 'purged') "
            "AND NOT told AND NOT fingerprint = ANY(:seen)"
        ).bindparams(bindparam("seen", type_=_TEXTS)),
        {"w": workspace_id, "b": batch_id, "seen": list(seen)},
    )
    if awaited(connection, workspace_id, batch_id):
        return False
    return _end(connection, workspace_id, batch_id, state, None)


def _end(connection: Connection, workspace_id: str, batch_id: str, state: str, reason: str | None) -> bool:
    ended = connection.execute(
        text(
            "UPDATE elmer.model_batches SET state = :state, owed_usd = 0, ended_at = now(), "
            "detail = CASE WHEN CAST(:reason AS text) IS NULL THEN detail "
            "ELSE detail || jsonb_build_object('reason', CAST(:reason AS text)) END "
            "WHERE workspace_id = :w AND id = :b AND state IN ('submitting', 'submitted')"
        ),
        {"w": workspace_id, "b": batch_id, "state": state, "reason": reason},
    )
    return ended.rowcount > 0


def _empty(connection: Connection, workspace_id: str, batch_id: str) -> None:
    connection.execute(
        text("UPDATE elmer.model_batch_items SET request = '{}' WHERE workspace_id = :w AND batch_id = :b"),
        {"w": workspace_id, "b": batch_id},
    )


def listing(connection: Connection, workspace_id: str, limit: int = 50) -> list[dict[str, Any]]:
    """Open and past batches, the newest first: state, items by how they stand, since when, what is owed at worst."""
    rows = connection.execute(
        text(
            "SELECT b.id, b.state, b.step, b.provider, b.model, b.items, "
            "count(*) FILTER (WHERE i.state = 'waiting') AS waiting, "
            "count(*) FILTER (WHERE i.state = 'answered') AS answered, "
            "count(*) FILTER (WHERE i.state = 'failed') AS failed, "
            "count(*) FILTER (WHERE i.state = 'expired') AS expired, "
            "b.created_at, b.submitted_at, b.ended_at, b.owed_usd, b.service_id, b.run_id, "
            "b.detail->>'reason' AS reason FROM elmer.model_batches b LEFT JOIN elmer.model_batch_items i "
            "ON i.workspace_id = b.workspace_id AND i.batch_id = b.id WHERE b.workspace_id = :w "
            "GROUP BY b.workspace_id, b.id ORDER BY b.created_at DESC, b.id LIMIT :limit"
        ),
        {"w": workspace_id, "limit": limit},
    )
    return [{**row, "owed_usd": float(row["owed_usd"])} for row in rows.mappings()]


def purge(
    connection: Connection, workspace_id: str, fingerprints: Sequence[str], text_hashes: Sequence[str] = ()
) -> None:
    """Forget these requests, and those for vectors of these texts.

    One whose result is still to come stays as a mark: what it costs is owed, and nothing of what it says will be kept.
    """
    arguments = {"w": workspace_id, "f": list(fingerprints), "h": list(text_hashes)}
    arrays = (bindparam("f", type_=_TEXTS), bindparam("h", type_=_TEXTS))
    connection.execute(
        text(
            "UPDATE elmer.model_batch_items i SET state = 'purged', request = '{}', keep_as = NULL, message = NULL "
            "FROM elmer.model_batches b WHERE i.workspace_id = :w AND i.state = 'waiting' "
            "AND (i.fingerprint = ANY(:f) OR i.keep_as = ANY(:h)) "
            "AND b.workspace_id = :w AND b.id = i.batch_id AND b.state IN ('submitting', 'submitted')"
        ).bindparams(*arrays),
        arguments,
    )
    connection.execute(
        text(
            "DELETE FROM elmer.model_batch_items WHERE workspace_id = :w "
            "AND (fingerprint = ANY(:f) OR keep_as = ANY(:h)) AND (state <> 'purged' OR told)"
        ).bindparams(*arrays),
        arguments,
    )
