"""What processes share through PostgreSQL about a service: the budget, and the allowance of an account.

The tables' functions are in `store/budgets.py` and `store/limits.py`; who asks is in `models/budgeted.py` and
`models/limited.py`.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.allowances import OTHERS_S, Leased, Level
from elmer_pipelines.store import budgets, limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from elmer_pipelines.models.recorded import CallContext
    from elmer_pipelines.store.budgets import Sums
    from elmer_pipelines.store.database import Database

_HELD_S = 600.0  # a reservation of a process that died counts this long
_RENEW_S = 120.0
_LOOK_AGAIN_S = 0.25  # another process's reservation may come back without a word
_SETTLED = timedelta(seconds=30)  # older rows of the ledger are all written: their sum can be kept
_KEPT = timedelta(seconds=60)
_NO_WAIT = text("SET LOCAL synchronous_commit = off")  # a share lost in a crash of the server is a second's worth


class BudgetPurse:
    """A `Purse` for one step of one workspace: a cap per day and per run, and one of the workspace per day, in USD.

    Callers take turns, so that none is overtaken for ever by smaller calls. `largest_usd` is the largest amount that
    was refused.
    """

    def __init__(
        self, database: Database, context: CallContext, cap_usd: float | None, workspace_cap_usd: float | None = None
    ) -> None:
        self._database, self._context = database, context
        self._cap, self._workspace_cap = cap_usd, workspace_cap_usd
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._changes = 0
        self._own: set[int] = set()
        self._over = threading.local()
        self._renewed_at = time.monotonic()
        self._kept: tuple[datetime, Sums] | None = None
        self.largest_usd = 0.0

    def reserve(self, worst_usd: float) -> int:
        """Set the amount aside, waiting while what others reserved may come back. Raises ModelFault `budget`."""
        with self._turn:
            while True:
                with self._changed:
                    seen = self._changes
                reservation = self._try(worst_usd)
                if reservation is not None:
                    return reservation
                with self._changed:
                    self._changed.wait_for(lambda seen=seen: self._changes != seen, _LOOK_AGAIN_S)  # type: ignore[misc]

    def promise(self, worst_usd: float) -> int:
        """Set the amount aside without waiting for what others reserved. Raises ModelFault `budget`."""
        with self._turn:
            reservation = self._try(worst_usd, patient=False)
        assert reservation is not None
        return reservation

    def take_back(self, connection: Connection, reservations: list[int]) -> None:
        """Undo promises, in the transaction that owes them otherwise; to be told to `settled` once committed."""
        budgets.settle(connection, self._context.workspace_id, reservations)

    def release(self, reservation: int) -> None:
        """The attempt is over: this thread's next line of the ledger settles it."""
        self._settling().append(reservation)

    def cancel(self, reservation: int) -> None:
        """Nothing was sent: the amount is free again."""
        with self._database.begin() as connection:
            budgets.settle(connection, self._context.workspace_id, [reservation])
        self._free([reservation])

    def released(self) -> list[int]:
        """What this thread released; to be told to `settled` once it is taken back."""
        return list(self._settling())

    def settled(self, reservations: list[int]) -> None:
        """The reservations are gone, and what their calls cost stands in the ledger."""
        if not reservations:
            return
        self._settling().clear()
        self._free(reservations)

    def _free(self, reservations: list[int]) -> None:
        with self._changed:
            self._own.difference_update(reservations)
            self._changes += 1
            self._changed.notify_all()

    def _settling(self) -> list[int]:
        if not hasattr(self._over, "ids"):
            self._over.ids = []
        ids: list[int] = self._over.ids
        return ids

    def _try(self, worst: float, *, patient: bool = True) -> int | None:
        """A reservation, or None where the amount would fit if nothing else were reserved; `patient` says to wait."""
        context = self._context
        with self._database.begin() as connection:
            now = budgets.lock(connection, context.workspace_id)
            until, older = self._older(connection, now)
            owed = budgets.owed(connection, context.workspace_id, context.run_id)
            recent, held = budgets.committed(connection, context.workspace_id, context.run_id, until)
            spent = older + recent + owed
            for scope, cap, used, reserved in self._caps(spent, held):
                if used + worst + (0.0 if patient else reserved) > cap:
                    raise self._refusal(worst, scope, cap, used, owed.everywhere)
            if any(used + reserved + worst > cap for _, cap, used, reserved in self._caps(spent, held)):
                return None
            self._renew(connection)
            made = budgets.reserve(connection, context.workspace_id, context.run_id, context.step, worst, _HELD_S)
        with self._changed:
            self._own.add(made)
        return made

    def _caps(self, spent: Sums, held: Sums) -> list[tuple[str, float, float, float]]:
        """Every cap there is: whose, how much, spent, reserved."""
        caps = [
            ("today", self._cap, spent.everywhere, held.everywhere),
            ("in this run", self._cap if self._context.run_id else None, spent.run, held.run),
            (f"today in workspace {self._context.workspace_id}", self._workspace_cap, spent.workspace, held.workspace),
        ]
        return [(scope, cap, used, reserved) for scope, cap, used, reserved in caps if cap is not None]

    def _refusal(self, worst: float, scope: str, cap: float, used: float, owed: float) -> ModelFault:
        self.largest_usd = max(self.largest_usd, worst)
        how = "were spent, or may be owed for open batches," if owed else "were spent"
        return ModelFault(
            "budget",
            f"The budget of {cap:.2f} USD allows no call that may cost {worst:.4f}: {used:.4f} USD {how} {scope}.",
            next_step="Raise the budget (ELMER_BUDGET_USD, or budget_usd in workspace.toml), or run again tomorrow, "
            "UTC. What was done is kept, the rest stays pending.",
            retryable=False,
        )

    def _older(self, connection: Connection, now: datetime) -> tuple[datetime, Sums]:
        """What was spent up to a moment since which all is summed each time; kept for a minute of the same day."""
        kept = self._kept
        if kept is None or now - kept[0] > _KEPT or _day(now) != _day(kept[0]):
            until = now - _SETTLED
            kept = until, budgets.spent(connection, self._context.workspace_id, self._context.run_id, until)
            self._kept = kept
        return kept

    def _renew(self, connection: Connection) -> None:
        if time.monotonic() - self._renewed_at > _RENEW_S:
            self._renewed_at = time.monotonic()
            with self._changed:
                own = list(self._own)
            budgets.renew(connection, self._context.workspace_id, own, _HELD_S)


class SharedAllowance:
    """An `Allowance` that all processes of the installation share."""

    def __init__(self, database: Database, account: str, model: str) -> None:
        self._database, self._account, self._model = database, account, model

    def lease(self, wanted: Mapping[str, float], seen: Mapping[str, Level]) -> Leased:
        """Take up to `wanted` of each kind."""
        with self._database.begin() as connection:
            connection.execute(_NO_WAIT)
            if seen:
                told = {kind: (level.per_minute, level.left) for kind, level in seen.items()}
                limits.observe(connection, self._account, self._model, told, OTHERS_S)
            found = limits.lease(connection, self._account, self._model, wanted)
        return Leased(
            {kind: granted for kind, (granted, *_) in found.items()},
            {kind: Level(per_minute, left) for kind, (_, per_minute, left, _) in found.items()},
            max((blocked for *_, blocked in found.values()), default=0.0),
        )

    def block(self, seconds: float) -> None:
        """Nobody sends before so many seconds have passed, in any process."""
        with self._database.begin() as connection:
            limits.block(connection, self._account, self._model, seconds)


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
