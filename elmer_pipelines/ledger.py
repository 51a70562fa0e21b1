"""The journal of model calls in PostgreSQL: answers before they are used, a row per call, and this step's sums.

The tables' functions are in `store/journal.py`, the wrappers that call this in `models/cached.py` and `metered.py`.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from elmer_pipelines.models.protocols import RawAnswer, Usage
from elmer_pipelines.models.provenance import records_drawn_from
from elmer_pipelines.store import budgets
from elmer_pipelines.store import journal as store
from elmer_pipelines.store.together import Together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elmer_pipelines.accounts import BudgetPurse
    from elmer_pipelines.models.recorded import CallContext, CallRecord
    from elmer_pipelines.store.database import Database

_TOGETHER = 200


def raw_answer(stored: Mapping[str, Any]) -> RawAnswer:
    """The answer as it was kept."""
    return RawAnswer(**{**stored, "usage": Usage(**stored["usage"])})


class Ledger:
    """A `Journal` for one step of one workspace; `calls` counts what was sent, `cost_usd` what it came to.

    `unpriced` counts calls whose price is not known: they are not part of `cost_usd`. With a purse, a row takes the
    place of its reservation in one transaction. What threads look up or write at the same moment is one transaction,
    and each goes on when it is committed. Rows of answers from the cache, which nobody owes anything for, are
    gathered and written together: `flush` writes the last.
    """

    def __init__(self, database: Database, context: CallContext, purse: BudgetPurse | None = None) -> None:
        self._database, self.context, self.purse = database, context, purse
        self._guard = threading.Lock()
        self._lookups = Together(self._look_up)
        self._answers = Together(self._keep)
        self._rows = Together(self._write)
        self._cached: list[dict[str, Any]] = []
        self.calls = 0
        self.cost_usd = 0.0
        self.unpriced = 0

    def lookup(self, fingerprint: str) -> RawAnswer | None:
        """The stored answer, or None."""
        found = self._lookups.add(fingerprint)
        drawn_from = records_drawn_from()
        if found is not None and drawn_from:  # given to another record now: it is found by that one too
            with self._database.begin() as connection:
                store.note_records(connection, self.context.workspace_id, fingerprint, drawn_from)
        return None if found is None else raw_answer(found)

    def _look_up(self, fingerprints: Sequence[str]) -> list[dict[str, Any] | None]:
        workspace_id = self.context.workspace_id
        found = self._database.look_up(lambda connection: store.answers(connection, workspace_id, fingerprints))
        return [found.get(one) for one in fingerprints]

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        """Commit the answer."""
        self._answers.add((fingerprint, asdict(answer), records_drawn_from()))

    def _keep(self, answers: Sequence[tuple[str, dict[str, Any], tuple[str, ...]]]) -> list[None]:
        workspace_id = self.context.workspace_id
        with self._database.begin() as connection:
            store.keep(connection, workspace_id, {fingerprint: answer for fingerprint, answer, _ in answers})
            for fingerprint, _, records in sorted(answers, key=lambda one: one[0]):
                store.note_records(connection, workspace_id, fingerprint, records)
        return [None] * len(answers)

    def forget(self, fingerprint: str) -> None:
        """Drop the answer, which was of no use."""
        with self._database.begin() as connection:
            store.forget(connection, self.context.workspace_id, fingerprint)

    def ledger(self, record: CallRecord) -> None:
        """Commit a row, and add it to this step's sums."""
        prompt = None if record.prompt is None else f"{record.prompt} v{record.prompt_version}"
        row = {
            "run_id": record.run_id, "step": record.step, "provider": record.provider, "model": record.model,
            "prompt": prompt, "fingerprint": record.fingerprint, "inputs": record.inputs, **asdict(record.usage),
            "cost_usd": record.cost_usd, "latency_s": record.latency_s, "outcome": record.outcome,
            "request_id": record.request_id, "estimated": record.estimated,
        }  # fmt: skip
        if record.outcome == "cached":
            self._gather(row)
            return
        over = self.purse.released() if self.purse else []
        self._rows.add((row, over))
        if self.purse:
            self.purse.settled(over)
        with self._guard:
            self.calls += 1
            self.cost_usd += record.cost_usd or 0.0
            self.unpriced += record.cost_usd is None

    def collected(self, cost_usd: float) -> None:
        """Answers of message batches came in that cost so much; their rows are written."""
        with self._guard:
            self.cost_usd += cost_usd

    def _write(self, rows: Sequence[tuple[dict[str, Any], list[int]]]) -> list[None]:
        with self._database.begin() as connection:
            store.note_calls(connection, self.context.workspace_id, [row for row, _ in rows])
            over = [one for _, ids in rows for one in ids]
            if over:
                budgets.settle(connection, self.context.workspace_id, over)
        return [None] * len(rows)

    def _gather(self, row: dict[str, Any]) -> None:
        with self._guard:
            self._cached.append(row)
            if len(self._cached) < _TOGETHER:
                return
        self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        with self._guard:
            rows, self._cached = self._cached, []
        if rows:
            with self._database.begin() as connection:
                store.note_calls(connection, self.context.workspace_id, rows)

    def note_local(self, model: str, inputs: int, seconds: float) -> None:
        """One row for all the work a model of this machine did in the step; it is free and nothing was sent."""
        context = self.context
        row = {
            "run_id": context.run_id, "step": context.step, "provider": "local", "model": model, "prompt": None,
            "fingerprint": None, "inputs": inputs, **asdict(Usage()), "cost_usd": 0.0, "latency_s": seconds,
            "outcome": "ok", "request_id": None, "estimated": False,
        }  # fmt: skip
        with self._database.begin() as connection:
            store.note_calls(connection, context.workspace_id, [row])
