"""The evidence of a project: which of its signals an artifact is made from, and what they say in numbers.

What is written from it is in `composed.py` and `generated.py`; the queries are in `store/artifacts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.determinants import Determinants
from elmer_pipelines.documents.model import Segment
from elmer_pipelines.store import artifacts as store

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from elmer_pipelines.store.projects import Project

MAX_EVIDENCE = 60  # more than a person reads; what is left out is counted in the totals
PER_DOCUMENT = 3  # one long interview does not crowd out twenty short tickets


@dataclass(frozen=True)
class Evidence:
    """One linked signal with all that a reader needs to find its words: `place` says where, in words."""

    signal_id: str
    verbatim: str
    interpretation: str | None
    severity: str | None
    frequency: str | None
    segment: str | None
    speaker: str | None
    occurred_at: datetime | None
    title: str
    address: str
    kind: str
    start: int
    end: int
    place: str
    theme: str | None
    text_hash: str


@dataclass(frozen=True)
class Totals:
    """Figures over all of the project's live signals, not only those shown; maps from value to number of signals."""

    signals: int
    documents: int
    people: int
    first: datetime | None
    last: datetime | None
    severity: dict[str, int]
    frequency: dict[str, int]
    segment: dict[str, int]


@dataclass(frozen=True)
class Case:
    """A project and what supports it, the weightiest first."""

    project: Project
    evidence: tuple[Evidence, ...]
    totals: Totals

    def determinants(self) -> Determinants:
        """Everything that an artifact could show."""
        return Determinants.of(
            project=[self.project.name, self.project.description, self.project.stage, self.project.origin],
            evidence=[_as_json(one) for one in self.evidence],
            totals=_as_json(self.totals),
        )


def gather(connection: Connection, workspace_id: str, project: Project) -> Case:
    """The project's live linked signals, at most 60.

    Repetitions and the fourth and further signals of one document come last; before that they are in the order of
    severity, frequency, and similarity to the project or its cluster.
    """
    rows = store.support(connection, workspace_id, project.id, MAX_EVIDENCE, PER_DOCUMENT)
    totals = Totals(**store.support_totals(connection, workspace_id, project.id))
    return Case(project, tuple(_evidence(row) for row in rows), totals)


def _evidence(row: dict[str, Any]) -> Evidence:
    return Evidence(
        signal_id=row["id"],
        verbatim=row["verbatim"],
        interpretation=row["interpretation"],
        severity=row["severity"],
        frequency=row["frequency"],
        segment=row["segment"],
        speaker=row["speaker"],
        occurred_at=row["occurred_at"],
        title=row["title"],
        address=row["address"],
        kind=row["kind"],
        start=row["start"],
        end=row["end"],
        place=place(row["segment_json"], row["segment_number"]),
        theme=row["theme"],
        text_hash=row["text_hash"],
    )


def place(segment_json: dict[str, Any] | None, number: int | None) -> str:
    """Where in its document a segment is: `row 12`, `at 00:03:12`, `paragraph 4`; empty where no segment holds it."""
    if segment_json is None:
        return ""
    segment = Segment.from_json(segment_json)
    if segment.row is not None:
        return f"row {segment.row}"
    if segment.time is not None:
        minutes, seconds = divmod(int(segment.time), 60)
        return f"at {minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    under = f" under “{segment.heading}”" if segment.heading else ""
    return f"{'turn' if segment.speaker else 'paragraph'} {number}{under}"


def _as_json(value: Evidence | Totals) -> dict[str, Any]:
    return {key: one.isoformat() if hasattr(one, "isoformat") else one for key, one in value.__dict__.items()}
