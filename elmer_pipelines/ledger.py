"""The journal of model calls in PostgreSQL: answers before they are used, a row per call, and this step's sums.

The table's functions are in `store/journal.py`, the wrappers that call this in `models/recorded.py`.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from elmer_pipelines.models.protocols import RawAnswer, Usage
from elmer_pipelines.models.provenance import records_drawn_from
from elmer_pipelines.store import journal as store

if TYPE_CHECKING:
    from elmer_pipelines.models.recorded import CallContext, CallRecord
    from elmer_pipelines.store.database import Database


class Ledger:
    """A `Journal` for one step of one workspace; `calls` counts what was sent, `cost_usd` what it came to.

    `unpriced` counts calls whose price is not known: they are not part of `cost_usd`.
    """

    def __init__(self, database: Database, context: CallContext) -> None:
        self._database, self.context = database, context
        self._guard = threading.Lock()
        self.calls = 0
        self.cost_usd = 0.0
        self.unpriced = 0

    def lookup(self, fingerprint: str) -> RawAnswer | None:
        """The stored answer, or None."""
        with self._database.begin() as connection:
            found = store.answer(connection, self.context.workspace_id, fingerprint)
            if found is not None:  # given to another record now: it is found by that one too
                store.note_records(connection, self.context.workspace_id, fingerprint, records_drawn_from())
        return None if found is None else RawAnswer(**{**found, "usage": Usage(**found["usage"])})

    def store(self, fingerprint: str, answer: RawAnswer) -> None:
        """Commit the answer."""
        with self._database.begin() as connection:
            store.keep(connection, self.context.workspace_id, fingerprint, asdict(answer))
            store.note_records(connection, self.context.workspace_id, fingerprint, records_drawn_from())

    def ledger(self, record: CallRecord) -> None:
        """Commit a row, and add it to this step's sums."""
        prompt = None if record.prompt is None else f"{record.prompt} v{record.prompt_version}"
        row = {
            "run_id": record.run_id, "step": record.step, "provider": record.provider, "model": record.model,
            "prompt": prompt, "fingerprint": record.fingerprint, "inputs": record.inputs, **asdict(record.usage),
            "cost_usd": record.cost_usd, "latency_s": record.latency_s, "outcome": record.outcome,
            "request_id": record.request_id,
        }  # fmt: skip
        with self._database.begin() as connection:
            store.note_call(connection, record.workspace_id, row)
        with self._guard:
            if record.outcome != "cached":
                self.calls += 1
                self.cost_usd += record.cost_usd or 0.0
                self.unpriced += record.cost_usd is None

    def note_local(self, model: str, inputs: int, seconds: float) -> None:
        """One row for all the work a model of this machine did in the step; it is free and nothing was sent."""
        context = self.context
        row = {
            "run_id": context.run_id, "step": context.step, "provider": "local", "model": model, "prompt": None,
            "fingerprint": None, "inputs": inputs, **asdict(Usage()), "cost_usd": 0.0, "latency_s": seconds,
            "outcome": "ok", "request_id": None,
        }  # fmt: skip
        with self._database.begin() as connection:
            store.note_call(connection, context.workspace_id, row)
