"""What a run would do, why, and what it would cost; nothing is worked, spent or written (I3).

What each step wants is in `demand.py`, the arithmetic of cost in `estimates.py`, one record's story in `explaining.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from elmer_pipelines import estimates
from elmer_pipelines.demand import demand
from elmer_pipelines.determinants import differences, why
from elmer_pipelines.documents.ingest import measure
from elmer_pipelines.errors import SettingsError
from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import outcomes
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.work import MAX_ATTEMPTS, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.demand import Demand
    from elmer_pipelines.determinants import Determinants
    from elmer_pipelines.estimates import Estimate
    from elmer_pipelines.pipeline import Pipeline
    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.outcomes import Outcome

NEW, UNFINISHED, RETRY, WAITING = "new", "not finished", "retry", "waits for a batch"
MISSING = "its file is missing"
_CHARACTERS_A_SIGNAL = 100  # until the workspace has some: as if every sentence were one
_MOST_BYTES = 20 << 20  # of files that are read to plan; the others are taken to be like them
_TERM = re.compile(r"(?P<before>\d*\+)?(?P<step>[a-z_]+)(?P<after>\+\d*)?")

# Which steps a step reads from, as the assets declare it (a test holds the two equal).
UPSTREAM: dict[str, tuple[str, ...]] = {
    "documents": (),
    "knowledge": (),
    "signals": ("documents",),
    "signal_embeddings": ("signals",),
    "duplicate_signals": ("signal_embeddings",),
    "signal_clusters": ("signal_embeddings",),
    "cluster_themes": ("signal_clusters",),
    "cluster_trends": ("signal_clusters",),
    "projects": ("knowledge",),
    "project_embeddings": ("projects",),
    "signal_classifications": ("signal_embeddings", "project_embeddings"),
    "initiatives": ("cluster_themes", "signal_classifications", "duplicate_signals"),
    "research_briefs": ("initiatives", "projects", "duplicate_signals"),
    "prds": ("research_briefs",),
}

_NOT_READ = ("knowledge", "projects")  # one is loaded before the other, but workspace.toml alone names projects


@dataclass(frozen=True)
class StepPlan:
    """What a run of one step would do now.

    `reasons` counts its records by why they are to be worked; `failed` are those that wait for a person, `removed`
    those whose source is gone. `now` is what its records come to as they are; `later` is the most that may be added
    once `after`, the steps before it, have done their part: it is less wherever their results come out the same.
    """

    step: str
    reasons: dict[str, int]
    fresh: int
    failed: int
    removed: int
    model: str | None
    after: tuple[str, ...]
    now: Estimate
    later: Estimate

    @property
    def to_do(self) -> int:
        """Records a run would work, as things are."""
        return sum(self.reasons.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values, `to_do` among them."""
        return {"to_do": self.to_do, **asdict(self)}


@dataclass(frozen=True)
class Standing:
    """How a step's records stand: which are to be worked and why, which failed for good, which are gone."""

    to_do: dict[str, str]
    failed: tuple[str, ...]
    removed: tuple[str, ...]


def plan(pipeline: Pipeline, workspace_id: str, select: str | None = None) -> list[StepPlan]:
    """What a run of the selected steps (as for `elmer run`; default: all) would do, in their order.

    Raises WorkspaceError, and SettingsError for a selection that is not understood.
    """
    chosen = selected(select)
    needed = _and_upstream(chosen)
    with reading(pipeline.database) as connection:
        looked = _Looked(pipeline, connection, workspace_id, needed)
        return [looked.plan_of(step) for step in STEPS if step in chosen]


def selected(select: str | None) -> set[str]:
    """The steps of a selection: names, joined by commas or `or`, with `+` before or after for what comes before or
    after it (`2+prds`: two steps up); `*` is all. Raises SettingsError."""
    if not select or select.strip() == "*":
        return set(STEPS)
    return {step for term in re.split(r"\s*,\s*|\s+or\s+|\s+", select.strip()) for step in _term(term, select)}


def _term(term: str, select: str) -> set[str]:
    found = _TERM.fullmatch(term)
    if found is None or found["step"] not in STEPS:
        raise SettingsError(
            f"{select!r} selects no assets here. Use names, with + before or after: signals+ or +prds. "
            f"The assets are {', '.join(STEPS)}."
        )
    step = found["step"]
    before = 0 if found["before"] is None else int(found["before"][:-1] or len(STEPS))
    after = 0 if found["after"] is None else int(found["after"][1:] or len(STEPS))
    downstream = {one: tuple(other for other in STEPS if one in UPSTREAM[other]) for one in STEPS}
    return _reached(step, UPSTREAM, before) | _reached(step, downstream, after)


def _reached(step: str, graph: dict[str, tuple[str, ...]], distance: int) -> set[str]:
    found = {step}
    for _ in range(distance):
        found |= {other for one in found for other in graph[one]}
    return found


def _and_upstream(steps: set[str]) -> set[str]:
    return {one for step in steps for one in _reached(step, UPSTREAM, len(STEPS))}


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """A transaction in which the database itself refuses every change."""
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        yield connection


def standing(wanted: Demand, known: dict[str, Outcome]) -> Standing:
    """What of `wanted` a run would work, as `outcomes.synchronise` and `claim` would have it, and why."""
    determinants = wanted.determinants
    to_do: dict[str, str] = {}
    failed = []
    for record in determinants:
        reason = reason_of(wanted, record, known.get(record))
        if reason is not None:
            to_do[record] = reason
        elif known[record].state == "failed":
            failed.append(record)
    return Standing(to_do, tuple(failed), tuple(sorted(known.keys() - determinants.keys())))


def reason_of(wanted: Demand, record: str, known: Outcome | None) -> str | None:
    """Why a run would work the record, its file being there or not; None where it would not."""
    reason = stale(wanted.determinants[record], known)
    if known is not None and record in wanted.missing:
        return reason or MISSING
    return reason


def stale(wanted: Determinants, known: Outcome | None) -> str | None:
    """Why a run would work the record; None where it would not: it is fresh, or failed and is left to a person."""
    if known is None:
        return NEW
    same = known.fingerprint == wanted.fingerprint
    if same and known.state == "done":
        return None
    if same and known.state == "failed":
        return RETRY if _again(known) else None
    if same and known.error_kind:
        return WAITING if known.error_kind == "waiting" else RETRY
    changes = differences(known.determined_by, wanted) if known.determined_by else []
    if changes:
        return why(changes)
    if known.determined_by is None:
        return NEW if known.state != "done" else "changed"
    return UNFINISHED


def _again(failed: Outcome) -> bool:
    """Whether the next run tries it again, by the rules of `outcomes.synchronise`."""
    if failed.error_kind in outcomes.MENDABLE:
        return True
    over = datetime.now(UTC) - failed.updated_at > outcomes.OUTAGE
    return failed.retryable and (failed.attempts < MAX_ATTEMPTS or over)


class _Looked:
    """The steps of a workspace as they stand at one moment, and what passes from one to the next."""

    def __init__(self, pipeline: Pipeline, connection: Connection, workspace_id: str, steps: set[str]) -> None:
        self._pipeline, self._connection, self._workspace_id = pipeline, connection, workspace_id
        self._demands: dict[str, Demand] = {}
        self._known: dict[str, int] = {}
        self._standing: dict[str, Standing] = {}
        for step in STEPS:
            if step in steps:
                wanted = demand(pipeline, connection, workspace_id, step)
                self._demands[step] = wanted
                rows = outcomes.rows(connection, workspace_id, step)
                self._standing[step] = standing(wanted, rows)
        self._coming = dict.fromkeys(STEPS, 0)
        self._characters = 0  # of the documents that the files to be read will give
        for step in STEPS:
            if step in steps and self._moving_before(step):
                self._coming[step] = self._most_coming(step)

    def plan_of(self, step: str) -> StepPlan:
        """One step's plan."""
        found, wanted = self._standing[step], self._demands[step]
        todo = sorted(found.to_do)
        paid = [one for one in todo if found.to_do[one] != WAITING]
        now = estimates.of_records(self._connection, self._workspace_id, step, wanted, paid)
        characters = self._characters if step == "signals" else 0
        later = estimates.of_coming(self._connection, self._workspace_id, step, wanted, self._coming[step], characters)
        return StepPlan(
            step,
            dict(Counter(found.to_do[one] for one in todo).most_common()),
            len(wanted.determinants) - len(todo) - len(found.failed),
            len(found.failed),
            len(found.removed),
            wanted.model,
            self._moving_before(step) if self._coming[step] else (),
            now,
            later,
        )

    def _moves(self, step: str) -> bool:
        """Whether what comes after the step may find something else than now."""
        found = self._standing[step]
        return bool(found.to_do or found.removed or self._moving_before(step))

    def _moving_before(self, step: str) -> tuple[str, ...]:
        return tuple(one for one in UPSTREAM[step] if (one, step) != _NOT_READ and self._moves(one))

    def _most_coming(self, step: str) -> int:
        """At most so many records more than are to be done already."""
        most: dict[str, Callable[[], int]] = {
            "signals": self._documents_coming,
            "signal_embeddings": self._signals_coming,
            "cluster_themes": self._clusters_coming,
            "project_embeddings": lambda: self._left("project_embeddings", self._projects()),
            "signal_classifications": self._classifications_coming,
            "research_briefs": lambda: self._left("research_briefs", self._projects_coming()),
            "prds": lambda: self._left("prds", self._projects_coming()),
        }
        if step in most:
            return most[step]()
        return 0 if self._standing[step].to_do else 1

    def _left(self, step: str, number: int) -> int:
        return max(0, number - len(self._standing[step].to_do))

    def _documents_coming(self) -> int:
        """The new and changed documents of the files to be read, which are read for this, the largest apart."""
        files = set(self._standing["documents"].to_do)
        if not files:
            return 0
        known = set(document_store.content_hashes(self._connection, self._workspace_id).values())
        found = measure(self._pipeline.root(self._workspace_id), files, known, _MOST_BYTES)
        share = found.bytes / found.read_bytes if found.read_bytes else 1.0
        self._characters = math.ceil(found.characters * share) or (0 if found.read_bytes else found.bytes)
        return math.ceil(found.documents * share) or (0 if found.read_bytes else len(files))

    def _signals_coming(self) -> int:
        """As many to a character as the documents gave so far."""
        there = document_store.listing(self._connection, self._workspace_id)
        again = self._standing["signals"].to_do
        characters: int = self._characters + sum(one["characters"] for one in there if one["id"] in again)
        extracted = [one for one in there if one["id"] not in again] or there
        of = sum(int(one["characters"]) for one in extracted)
        signals = sum(int(one["signals"]) for one in extracted)
        return math.ceil(characters * signals / of if signals else characters / _CHARACTERS_A_SIGNAL)

    def _clusters_coming(self) -> int:
        if WHOLE in self._demands["cluster_themes"].determinants:
            return self._left("cluster_themes", 1)
        live = len(cluster_store.live(self._connection, self._workspace_id))
        signals = len(self._demands["signal_embeddings"].determinants) + self._coming["signal_embeddings"]
        return self._left("cluster_themes", live or -(-signals // 3))  # a cluster has three signals at the least

    def _classifications_coming(self) -> int:
        if self._moves("projects") or self._moves("project_embeddings"):
            return self._left("signal_classifications", self._all_signals())
        return self._left(
            "signal_classifications",
            len(self._standing["signal_embeddings"].to_do) + self._coming["signal_embeddings"],
        )

    def _all_signals(self) -> int:
        return len(self._demands["signal_embeddings"].determinants) + self._coming["signal_embeddings"]

    def _projects(self) -> int:
        named = self._pipeline.workspace_file(self._workspace_id).projects
        live = project_store.live(self._connection, self._workspace_id)
        return max(len(named), len(live))

    def _projects_coming(self) -> int:
        """Every project, and those that a day's initiatives may add."""
        automation = self._pipeline.workspace_file(self._workspace_id).automation
        creating = automation.depth in {"auto_create", "full_auto"}
        return self._projects() + (automation.max_actions_per_day if creating else 0)


def totals(plans: Sequence[StepPlan]) -> tuple[Estimate, Estimate]:
    """What all steps come to now, and the most that may be added."""
    return estimates.total([one.now for one in plans]), estimates.total([one.later for one in plans])
