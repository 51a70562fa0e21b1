"""Sending noted requests as message batches, once: rows first, then the service, then the service's id.

A process may die in between. A batch whose row says `submitting` is therefore looked for at the service before it is
sent again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import OF_THE_ACCOUNT, ModelFault
from elmer_pipelines.models.batches import BatchRequest, custom_id
from elmer_pipelines.store import batches as store
from elmer_pipelines.store import journal, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.accounts import BudgetPurse
    from elmer_pipelines.models.batches import BatchLimits, BatchService
    from elmer_pipelines.models.recorded import CallContext
    from elmer_pipelines.store.batches import Batch, Item
    from elmer_pipelines.store.database import Database

    Guard = Callable[[Callable[[], str]], str]

SETTLING = timedelta(minutes=10)  # a batch made just now may not be listed yet
_CLOCKS = timedelta(minutes=30)  # the service's clock and the database's may differ by so much
_FRAME_BYTES = 200  # of a request in its batch, beside its body
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Noted:
    """A request that was kept for a batch: what it is, whose words it has, its size, what is set aside for it."""

    item: Item
    records: tuple[str, ...]
    bytes: int
    reservation: int | None = None


@dataclass
class Sent:
    """What became of batches that were to be sent: ids by how it went, and why one was not taken."""

    submitted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    fault: ModelFault | None = None

    def note(self, batch_id: str, fault: ModelFault | None) -> None:
        """Count one batch."""
        if fault is None:
            self.submitted.append(batch_id)
            return
        (self.unclear if fault.retryable else self.refused).append(batch_id)
        self.fault = fault


def _unguarded(submit: Callable[[], str]) -> str:
    return submit()


def send(
    database: Database,
    context: CallContext,
    service: BatchService,
    noted: Sequence[Noted],
    *,
    model: str,
    purse: BudgetPurse | None = None,
    detail: dict[str, Any] | None = None,
    guard: Guard = _unguarded,
) -> Sent:
    """Send the requests in as many batches as the service's limits ask for; those that wait already are left out.

    `guard` makes each submission, or raises where the service refuses the key anyway.
    """
    sent = Sent()
    for part in _parts(noted, service.limits):
        batch = _remember(database, context, service.provider, part, model, purse, detail or {})
        if batch is not None:
            sent.note(batch.id, _submit(database, context.workspace_id, service, batch.id, guard))
    return sent


def _parts(noted: Sequence[Noted], limits: BatchLimits) -> Iterator[list[Noted]]:
    """Consecutive parts within the limits; requests that begin alike stay together, so that a cache serves them."""
    part: list[Noted] = []
    size = 0
    for one in sorted(noted, key=lambda one: (one.item.prompt or "", one.item.fingerprint)):
        if part and (len(part) == limits.requests or size + one.bytes + _FRAME_BYTES > limits.bytes):
            yield part
            part, size = [], 0
        part.append(one)
        size += one.bytes + _FRAME_BYTES
    if part:
        yield part


def _remember(
    database: Database,
    context: CallContext,
    provider: str,
    noted: Sequence[Noted],
    model: str,
    purse: BudgetPurse | None,
    detail: dict[str, Any],
) -> Batch | None:
    """Commit what is about to be sent; what was set aside for it is from then on owed by the batch."""
    workspace_id = context.workspace_id
    promised = [one.reservation for one in noted if one.reservation is not None]
    with database.begin() as connection:
        store.hold(connection, workspace_id)
        known = store.waiting(connection, workspace_id, among=[one.item.fingerprint for one in noted])
        new = [one for one in noted if one.item.fingerprint not in known]
        batch = None
        if new:
            batch = store.create(
                connection, workspace_id, [one.item for one in new], provider=provider, step=context.step, model=model,
                run_id=context.run_id, detail=detail,
            )  # fmt: skip
        for one in new:
            journal.note_records(connection, workspace_id, one.item.fingerprint, one.records)
        if purse is not None:
            purse.take_back(connection, promised)
    if purse is not None:
        purse.settled(promised)
    return batch


def _submit(
    database: Database, workspace_id: str, service: BatchService, batch_id: str, guard: Guard
) -> ModelFault | None:
    """Send what the rows of a batch say. Nobody else does meanwhile: the hold ends with this process at the latest."""
    with database.begin() as connection:
        if not store.hold_one(connection, workspace_id, batch_id):
            return None
        if store.get(connection, workspace_id, batch_id).state != "submitting":
            return None
        return _submit_held(connection, workspace_id, service, batch_id, guard)


def _submit_held(
    connection: Connection, workspace_id: str, service: BatchService, batch_id: str, guard: Guard = _unguarded
) -> ModelFault | None:
    """Where the service refuses the batch for good, every request of it has failed; after any other fault it may have
    been taken, and stays to be looked for."""
    items = store.unsent(connection, workspace_id, batch_id)
    requests = [BatchRequest(custom_id(batch_id, one.fingerprint), one.request) for one in items]
    try:
        service_id = guard(lambda: service.submit(batch_id, requests))
    except ModelFault as fault:
        if not fault.retryable:
            refuse(connection, workspace_id, batch_id, fault)
        return fault
    store.submitted(connection, workspace_id, batch_id, service_id)
    _log.info("batch %s of %d requests was submitted as %s", batch_id, len(requests), service_id)
    return None


def refuse(connection: Connection, workspace_id: str, batch_id: str, fault: ModelFault) -> None:
    """The service did not take the batch: its requests have failed, and their records are looked at again.

    Where it is the key that was refused, no request was looked at: they are as they were before.
    """
    told = fault.kind in OF_THE_ACCOUNT
    store.refused(connection, workspace_id, batch_id, fault.kind, str(fault), told=told)
    outcomes.wake(connection, workspace_id, store.get(connection, workspace_id, batch_id).step)


def recover(
    database: Database, workspace_id: str, service: BatchService, batch: Batch, *, settling: timedelta = SETTLING
) -> str:
    """See to a batch of which nobody knows whether the service has it: returns what came of it, in words.

    Raises ModelFault where the service can't be asked.
    """
    with database.begin() as connection:
        if not store.hold_one(connection, workspace_id, batch.id):
            return "is being submitted"
        if store.get(connection, workspace_id, batch.id).state != "submitting":
            return "was submitted"
        known = store.service_ids(connection, workspace_id)
        found, unclear = _at_service(service, batch, known)
        if found is not None:
            store.submitted(connection, workspace_id, batch.id, found)
            return "was found at the service"
        if unclear:
            return "may be one at the service that has not ended yet: it is not sent again before that one tells"
        if datetime.now(UTC) - batch.created_at < settling:
            return "is not listed by the service yet"
        fault = _submit_held(connection, workspace_id, service, batch.id)
    return "was submitted again: the service did not have it" if fault is None else f"can't be submitted: {fault}"


def _at_service(service: BatchService, batch: Batch, known: set[str]) -> tuple[str | None, bool]:
    """The service's id of the batch where one is proved to be ours, and whether one may be ours that tells too little.

    A service that keeps no mark shows ids of requests only once a batch has ended.
    """
    unclear = False
    for seen in service.since(batch.created_at - _CLOCKS):
        if seen.service_id in known or (seen.mark is not None and seen.mark != batch.id):
            continue
        if seen.mark == batch.id:
            return seen.service_id, False
        if seen.requests is not None and seen.requests != batch.items:
            continue
        if not seen.ended:
            unclear = True
        elif _is_ours(service, seen.service_id, batch.id):
            return seen.service_id, False
    return None, unclear


def _is_ours(service: BatchService, service_id: str, batch_id: str) -> bool:
    results = service.results(service_id)
    first = next(results, None)
    return first is not None and first.custom_id.startswith(f"{batch_id}-")
