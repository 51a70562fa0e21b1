"""Taking in the results of message batches: each answer, what it cost and the end of its request in one transaction.

Results come in any order; two collectors at once share them. How batches are sent is in `sending.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from elmer_pipelines.batching.sending import SETTLING, recover, refuse
from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models import faults
from elmer_pipelines.models.batches import ItemResult, custom_id
from elmer_pipelines.models.budgeted import BATCH_SHARE
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.store import batches as store
from elmer_pipelines.store import embeddings, journal, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection

    from elmer_pipelines.models.batches import BatchService
    from elmer_pipelines.models.metered import Price
    from elmer_pipelines.store.batches import Batch, Taken
    from elmer_pipelines.store.database import Database

    Services = Callable[[Batch], BatchService | None]

_TOGETHER = 50  # results of one transaction, which must be short: budgets look at the ledger meanwhile
_GONE = timedelta(days=2)  # no batch takes longer than one
_UNSEEN = {"expired"}


@dataclass
class Collected:
    """What came in: `ended` are the batches that are done with, `notes` what a person should know of the others.

    `patient` says whether one of those that brought answers was made where nobody waited.
    """

    answers: int = 0
    failed: int = 0
    expired: int = 0
    cost_usd: float = 0.0
    ended: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    patient: bool = False


def collect(
    database: Database,
    workspace_id: str,
    services: Services,
    step: str | None = None,
    *,
    price: Price = cost_usd,
    settling: timedelta = SETTLING,
) -> Collected:
    """Take in what the workspace's open batches (of the step) have brought; costs one query where none is open.

    What can't be asked now is noted and stays open.
    """
    with database.begin() as connection:
        batches = store.open_ones(connection, workspace_id, step)
    collected = Collected()
    for batch in batches:
        service = services(batch)
        if service is None:
            collected.notes.append(f"{batch.id} can't be looked at: there is no key for {batch.provider}.")
            continue
        try:
            _look_at(database, workspace_id, service, batch, collected, price, settling)
        except ModelFault as fault:
            if fault.kind != "not_found" or _is_open(database, workspace_id, batch):
                collected.notes.append(f"{batch.id} could not be looked at: {fault}")
    return collected


def _is_open(database: Database, workspace_id: str, batch: Batch) -> bool:
    """Whether nobody else has collected it meanwhile, after which the service has nothing more of it."""
    with database.begin() as connection:
        return any(one.id == batch.id for one in store.open_ones(connection, workspace_id, batch.step))


def ended(database: Database, workspace_id: str, services: Services) -> list[Batch]:
    """The open batches that a run would get on with: ended ones, and those of which nobody knows whether they were
    taken. What can't be asked now is left out."""
    with database.begin() as connection:
        batches = store.open_ones(connection, workspace_id)
    found = []
    for batch in batches:
        service = services(batch)
        try:
            if service is not None and _wants_a_run(service, batch):
                found.append(batch)
        except ModelFault:  # the next look comes soon, and a run's own look says what is wrong
            continue
    return found


def _wants_a_run(service: BatchService, batch: Batch) -> bool:
    if batch.service_id is None:
        return datetime.now(UTC) - batch.created_at > SETTLING
    seen = service.look_up(batch.service_id)
    return _gone(batch) if seen is None else seen.ended


def _gone(batch: Batch) -> bool:
    return batch.submitted_at is not None and datetime.now(UTC) - batch.submitted_at > _GONE


def _look_at(
    database: Database,
    workspace_id: str,
    service: BatchService,
    batch: Batch,
    collected: Collected,
    price: Price,
    settling: timedelta,
) -> None:
    if batch.service_id is None:
        collected.notes.append(f"{batch.id} {recover(database, workspace_id, service, batch, settling=settling)}.")
        return
    seen = service.look_up(batch.service_id)
    if seen is None and not _gone(batch):
        collected.notes.append(f"{batch.id} is not known to the service yet.")
        return
    if seen is not None and not seen.ended:
        return
    if seen is not None and seen.fault is not None:
        with database.begin() as connection:
            refuse(connection, workspace_id, batch.id, seen.fault)
        collected.ended.append(batch.id)
        collected.notes.append(f"{batch.id} was refused: {seen.fault}")
        _discard(service, batch.service_id, f"{batch.id} was refused", collected)
        return
    with database.begin() as connection:
        awaited = store.awaited(connection, workspace_id, batch.id)
    state, results = ("expired", iter(())) if seen is None else ("collected", service.results(batch.service_id))
    try:
        came = _take_in(database, workspace_id, service, batch, awaited, results, collected, price)
    except ModelFault as fault:
        if fault.kind != "not_found" or not _gone(batch):
            raise
        state, results = "expired", _no_longer_there(batch, awaited)
        came = _take_in(database, workspace_id, service, batch, awaited, results, collected, price)
    with database.begin() as connection:
        closed = store.close(connection, workspace_id, batch.id, came, state)
        if closed:
            outcomes.wake(connection, workspace_id, batch.step)
            collected.ended.append(batch.id)
            collected.expired += len(awaited) - len(came)
    if closed and state == "collected":
        _discard(service, batch.service_id, f"{batch.id} is collected", collected)


def _discard(service: BatchService, service_id: str, said: str, collected: Collected) -> None:
    """Leave no customer's words with the service of a batch that is done with; where that fails, a person is told."""
    try:
        service.discard(service_id)
    except ModelFault as fault:
        if fault.kind != "not_found":
            collected.notes.append(f"{said}, but {service.provider} still keeps it as {service_id}: {fault}")


def _take_in(
    database: Database,
    workspace_id: str,
    service: BatchService,
    batch: Batch,
    awaited: Iterable[str],
    results: Iterable[ItemResult],
    collected: Collected,
    price: Price,
) -> set[str]:
    """Settle what comes, group by group; returns the fingerprints that came."""
    by_id = {custom_id(batch.id, one): one for one in awaited}
    came: set[str] = set()
    for group in _grouped(results):
        ours = {by_id[one.custom_id]: one for one in group if one.custom_id in by_id}
        with database.begin() as connection:
            taken = store.take(connection, workspace_id, batch.id, list(ours))
            settling = _Settling(connection, workspace_id, service, batch, price)
            for fingerprint, item in taken.items():
                settling.settle(item, ours[fingerprint])
            settling.write(taken.values())
        came |= ours.keys()
        settling.count(collected)
    return came


def _no_longer_there(batch: Batch, awaited: Iterable[str]) -> Iterator[ItemResult]:
    """What came of requests whose results the service, which keeps them for a month only, gave nobody: all are lost."""
    said = "Its result was not fetched while the service had it."
    for one in awaited:
        fault = faults.fault("expired", said, retryable=True, lost=True)
        yield ItemResult(custom_id(batch.id, one), fault=fault)


def _grouped(results: Iterable[ItemResult]) -> Iterator[list[ItemResult]]:
    group: list[ItemResult] = []
    for one in results:
        group.append(one)
        if len(group) == _TOGETHER:
            yield group
            group = []
    if group:
        yield group


class _Settling:
    """One transaction's results: answers and vectors kept, the ledger's rows, the ends of items."""

    def __init__(
        self, connection: Connection, workspace_id: str, service: BatchService, batch: Batch, price: Price
    ) -> None:
        self._connection, self._workspace_id, self._service = connection, workspace_id, service
        self._batch, self._price = batch, price
        self._rows: list[dict[str, Any]] = []
        self._vectors: dict[str, Any] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._answers = self._failed = self._expired = 0

    def settle(self, item: Taken, result: ItemResult) -> None:
        """Keep what came of one request; a purged one is only paid for."""
        fault = result.fault
        if fault is None:
            try:
                outcome, usage = self._keep(item, result.body or "")
            except ModelFault as broken:
                fault = broken
            else:
                self._answers += 1
                self._note(item, outcome, usage)
                store.settle(self._connection, self._workspace_id, self._batch.id, item, "answered")
                return
        unseen = fault.kind in _UNSEEN
        self._expired += unseen
        self._failed += not unseen
        self._note(item, fault.kind, Usage(), lost=fault.lost)
        store.settle(
            self._connection, self._workspace_id, self._batch.id, item, "expired" if unseen else "failed",
            kind=fault.kind, message=str(fault), retryable=fault.retryable,
        )  # fmt: skip

    def _keep(self, item: Taken, body: str) -> tuple[str, Usage]:
        """What is wrong with what came, or `ok`, and its tokens. Raises ModelFault where it is no answer."""
        assert self._batch.service_id is not None
        if self._batch.detail.get("dimensions"):
            vector, usage = self._vector(body)
            if item.keep_as is not None:
                self._vectors[item.keep_as] = vector
            return "ok", usage
        raw = self._service.answer(body, self._batch.model, self._batch.service_id)
        if not item.purged:
            self._kept[item.fingerprint] = asdict(raw)
        return self._service.verdict(raw), raw.usage

    def _vector(self, body: str) -> tuple[Any, Usage]:
        from elmer_pipelines.models.openai_embeddings import read_vectors

        vectors, usage = read_vectors(body, 1, int(self._batch.detail["dimensions"]))
        return vectors[0], usage

    def _note(self, item: Taken, outcome: str, usage: Usage, *, lost: bool = False) -> None:
        """A row of the ledger; an answer that was lost counts as the most it may have come to (I7)."""
        batch = self._batch
        listed = self._price(str(batch.detail.get("service_model") or batch.model), batch.provider, usage)
        cost = None if listed is None else item.worst_usd if lost else listed * BATCH_SHARE
        self._rows.append(
            {
                "run_id": batch.run_id, "step": batch.step, "provider": batch.provider, "model": batch.model,
                "prompt": item.prompt, "fingerprint": item.fingerprint, "inputs": 1, **asdict(usage),
                "cost_usd": cost, "latency_s": None, "outcome": outcome, "request_id": batch.service_id,
                "estimated": lost,
            }
        )  # fmt: skip

    def write(self, items: Iterable[Taken]) -> None:
        """The answers and vectors, the ledger's rows, and what is owed no more."""
        if self._kept:
            journal.keep(self._connection, self._workspace_id, self._kept)
        embeddings.insert(self._connection, self._workspace_id, self._batch.model, self._vectors)
        if self._rows:
            journal.note_calls(self._connection, self._workspace_id, self._rows)
            owed = sum(one.worst_usd for one in items)
            store.owe_less(self._connection, self._workspace_id, self._batch.id, owed)

    def count(self, collected: Collected) -> None:
        """Add what was settled, once it is committed."""
        collected.answers += self._answers
        collected.failed += self._failed
        collected.expired += self._expired
        collected.cost_usd += sum(row["cost_usd"] or 0.0 for row in self._rows)
        collected.patient |= bool(self._answers and self._batch.detail.get("patient"))
