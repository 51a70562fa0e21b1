"""How a step works through its records: what is pending, who has claimed it, what came of it (I3, I8).

A step says which records it wants and what determines each; only those whose fingerprint is missing or different are
worked. Records are claimed with a lease, so two runs share them; one that fails does not stop the others.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from elmer_pipelines.errors import RecordError, Waiting
from elmer_pipelines.models.anew import asking_anew
from elmer_pipelines.steps import StepResult, calls_expected, expecting, report_progress, report_stop
from elmer_pipelines.store import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.determinants import Determinants
    from elmer_pipelines.store.database import Database

LEASE_SECONDS = 120
_RENEW_SECONDS = LEASE_SECONDS / 4
_MANY = 1_000  # pending records from which on the planner needs new statistics
_log = logging.getLogger(__name__)
WHOLE = "all"  # the one record of a step that looks at the whole workspace at once
SERVICE_WORKERS = 64  # threads of a step that asks a service: how many calls run at once is its limiter's matter
MAX_ATTEMPTS = 3  # a retryable failure is tried again by the next runs, this often in all


@dataclass(frozen=True)
class Finished:
    """What working on one record came to: how to save it, in the transaction that marks it done; or its error."""

    record_id: str
    save: Callable[[Connection], None] | None = None
    error: RecordError | None = None


def one_by_one(do: Callable[[str], Callable[[Connection], None]]) -> Callable[[Sequence[str]], list[Finished]]:
    """Turn a function of one record into one of a chunk: each record has its own outcome.

    Any exception becomes that record's outcome; a bug is kind `internal` and is not retried by itself.
    """

    def work_on(records: Sequence[str]) -> list[Finished]:
        return [_attempt(record, do) for record in records]

    return work_on


def _attempt(record: str, do: Callable[[str], Callable[[Connection], None]]) -> Finished:
    try:
        return Finished(record, save=do(record))
    except Exception as error:  # noqa: BLE001 - I8: nothing a record does may stop the others
        return Finished(record, error=as_record_error(error))


def as_record_error(error: Exception) -> RecordError:
    """The error itself, or, where code failed in a way nobody foresaw, one that says so."""
    if isinstance(error, RecordError):
        return error
    if isinstance(error, DBAPIError):
        return _database_error(error)
    wrapped = RecordError(
        "internal",
        f"{type(error).__name__}: {error}",
        next_step="This is a fault of the program: report it with the message; `elmer failures --retry` tries again.",
    )
    wrapped.__cause__ = error
    return wrapped


def _database_error(error: DBAPIError) -> RecordError:
    """What the database said, without the values it was given (they may be customers' words)."""
    said = getattr(getattr(error.orig, "diag", None), "message_primary", None) or type(error.orig).__name__
    return RecordError(
        "database",
        f"The database refused to save the record: {said}.",
        next_step="The next run tries again; if it stays so, `elmer doctor` checks the database.",
        retryable=True,
    )


def work_through(
    database: Database,
    workspace_id: str,
    step: str,
    wanted: Mapping[str, Determinants],
    work_on: Callable[[Sequence[str]], list[Finished]],
    *,
    chunk: int = 1,
    workers: int = 4,
    run_id: str | None = None,
) -> StepResult:
    """Work every pending record of the step, in chunks, on `workers` threads; returns what came of it.

    `wanted` maps each record to what determines it; outcomes of records no longer wanted are forgotten. What `work_on`
    returns is saved record by record, each in one transaction with its outcome. A killed process leaves claims
    that run out after LEASE_SECONDS. A record that waits for a message batch stays pending. Where a model's call was
    not made (no budget left, or the service just refused the key), its record stays as it was, no more are taken, and
    `counts` has `stopped_by`, the `reason` with what to do, and how many are `left`. Raises only what concerns the
    whole step: the database, or the interpreter.
    """
    with database.begin() as connection:
        fingerprints = {record: one.fingerprint for record, one in wanted.items()}
        outcomes.synchronise(connection, workspace_id, step, fingerprints, max_attempts=MAX_ATTEMPTS)
        pending = outcomes.count_pending(connection, workspace_id, step)
        waiting = outcomes.count_waiting(connection, workspace_id).get(step, 0)
        anew = outcomes.to_ask_anew(connection, workspace_id, step)
    result = StepResult(step, pending=pending, waiting=waiting)
    report_progress(step, waiting, pending)
    if pending > _MANY:
        database.analyse()
    if pending > waiting:
        owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        asking = _anew(work_on, anew) if anew else work_on
        with _Lease(database, workspace_id, step, owner), expecting(max(pending, calls_expected())):
            _drain(database, workspace_id, step, wanted, asking, result, owner, chunk, workers, run_id)
    if "stopped_by" in result.counts:
        with database.begin() as connection:
            result.counts["left"] = outcomes.count_pending(connection, workspace_id, step) - result.waiting
        report_stop(result)
    if result.done > _MANY:
        database.analyse()
    return result


def _anew(
    work_on: Callable[[Sequence[str]], list[Finished]], anew: set[str]
) -> Callable[[Sequence[str]], list[Finished]]:
    """Work that asks again where a stored answer is a refusal, or cut off, for records a person wants tried again."""

    def work(records: Sequence[str]) -> list[Finished]:
        with asking_anew(not anew.isdisjoint(records)):
            return work_on(records)

    return work


def _drain(
    database: Database,
    workspace_id: str,
    step: str,
    wanted: Mapping[str, Determinants],
    work_on: Callable[[Sequence[str]], list[Finished]],
    result: StepResult,
    owner: str,
    chunk: int,
    workers: int,
    run_id: str | None,
) -> None:
    """Claim a chunk whenever a thread is free; save each as it comes; end when nothing is left to claim."""

    def claim(free: int) -> list[list[str]]:
        if "stopped_by" in result.counts or free < 1:
            return []
        with database.begin() as connection:
            records = outcomes.claim(connection, workspace_id, step, owner, chunk * free, LEASE_SECONDS)
        return [records[start : start + chunk] for start in range(0, len(records), chunk)]

    running: dict[Future[list[Finished]], list[str]] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix=f"elmer-{step}") as pool:
        try:
            while True:
                for records in claim(workers - len(running)):
                    running[pool.submit(contextvars.copy_context().run, work_on, records)] = records
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    records = running.pop(future)
                    _save(database, workspace_id, step, wanted, _finished(future, records), result, owner, run_id)
        finally:
            with database.begin() as connection:
                outcomes.release(connection, workspace_id, step, owner)


def _finished(future: Future[list[Finished]], records: list[str]) -> list[Finished]:
    """What came of a chunk; where working on it broke, that is the outcome of each of its records (I8)."""
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - an interpreter's end (KeyboardInterrupt) is no Exception
        return [Finished(record, error=as_record_error(error)) for record in records]


def _save(
    database: Database,
    workspace_id: str,
    step: str,
    wanted: Mapping[str, Determinants],
    finished: list[Finished],
    result: StepResult,
    owner: str,
    run_id: str | None,
) -> None:
    """Commit a chunk at once; where that fails, record by record, so that one bad row costs only itself."""
    try:
        with database.begin() as connection:
            for one in finished:
                _save_one(connection, workspace_id, step, wanted, one, owner, run_id)
    except Exception as error:
        if len(finished) == 1:
            if finished[0].error is not None:
                raise
            failed = [Finished(finished[0].record_id, error=as_record_error(error))]
            _save(database, workspace_id, step, wanted, failed, result, owner, run_id)
            return
        for one in finished:
            _save(database, workspace_id, step, wanted, [one], result, owner, run_id)
        return
    for one in finished:
        if one.error is not None and one.error.unsent:
            result.counts["stopped_by"] = one.error.kind
            result.counts["reason"] = f"{one.error} {one.error.next_step}"
        elif isinstance(one.error, Waiting):
            result.waiting += 1
            result.awaiting.append(one.record_id)
        else:
            result.failed += one.error is not None
    result.done += sum(one.error is None for one in finished)
    worked = result.done + result.failed + result.waiting
    report_progress(step, worked, max(result.pending, worked))


def _save_one(
    connection: Connection,
    workspace_id: str,
    step: str,
    wanted: Mapping[str, Determinants],
    one: Finished,
    owner: str,
    run_id: str | None,
) -> None:
    if not outcomes.still_ours(connection, workspace_id, step, one.record_id, owner):
        return  # the lease ran out and another run has it, or the record changed meanwhile: theirs counts
    if isinstance(one.error, Waiting):
        return  # ours until the step ends, so that it is not looked at again and again
    if one.error is not None and one.error.unsent:
        outcomes.put_back(connection, workspace_id, step, one.record_id)
        return
    if one.error is not None:
        outcomes.fail(connection, workspace_id, step, one.record_id, one.error, run_id)
        return
    if one.save is not None:
        one.save(connection)
    outcomes.finish(connection, workspace_id, step, one.record_id, run_id, wanted[one.record_id].as_json())


class _Lease:
    """Keeps the claims of one owner from running out while it lives."""

    def __init__(self, database: Database, workspace_id: str, step: str, owner: str) -> None:
        self._database, self._workspace_id, self._step, self._owner = database, workspace_id, step, owner
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"elmer-lease-{step}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                with self._database.begin() as connection:
                    outcomes.renew(connection, self._workspace_id, self._step, self._owner, LEASE_SECONDS)
            except DBAPIError as error:  # the next renewal comes long before the lease runs out
                _log.warning("claims of step %s could not be renewed: %s", self._step, error.orig)


def work_whole(
    database: Database,
    workspace_id: str,
    step: str,
    determined_by: Determinants,
    do: Callable[[Connection], StepResult],
    *,
    run_id: str | None = None,
) -> StepResult:
    """Work a step that looks at the whole workspace at once, unless what determines it is unchanged.

    One at a time per workspace and step, in one transaction with its outcome: a second run waits, then finds it done.
    Where an answer is on its way in a message batch nothing is changed, and the step stays pending.
    """
    wanted = {WHOLE: determined_by.fingerprint}
    try:
        with database.locked(f"{workspace_id}:{step}") as connection:
            outcomes.synchronise(connection, workspace_id, step, wanted, max_attempts=MAX_ATTEMPTS)
            if not outcomes.count_pending(connection, workspace_id, step):
                return StepResult(step)
            report_progress(step, 0, 1)
            result = do(connection)
            outcomes.finish(connection, workspace_id, step, WHOLE, run_id, determined_by.as_json())
    except Waiting:
        with database.locked(f"{workspace_id}:{step}") as connection:
            outcomes.synchronise(connection, workspace_id, step, wanted, max_attempts=MAX_ATTEMPTS)
        return StepResult(step, pending=1, waiting=1, awaiting=[WHOLE])
    result.pending = result.done = 1
    report_progress(step, 1, 1)
    return result
