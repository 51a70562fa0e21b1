"""What a benchmark hands back: one row of the table. How rows are made is each benchmark's own matter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One measured figure: what was measured, on how much, the value, and its unit."""

    what: str
    on: str
    value: float
    unit: str
