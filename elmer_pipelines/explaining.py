"""Why one record is fresh or stale, step by step: what it was last made of against what it would be made of now.

Reads only. Which records a step has is in `demand.py`; what a run would do about all of them in `planning.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.demand import demand
from elmer_pipelines.determinants import differences
from elmer_pipelines.errors import NotFoundError
from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.planning import UPSTREAM, reading, reason_of, standing
from elmer_pipelines.store import artifacts as artifact_store
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import outcomes
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import signals as signal_store
from elmer_pipelines.work import WHOLE

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from elmer_pipelines.demand import Demand
    from elmer_pipelines.determinants import Difference
    from elmer_pipelines.pipeline import Pipeline
    from elmer_pipelines.store.outcomes import Outcome

_MOST_DOCUMENTS = 20  # of a file with many, the first are explained


@dataclass(frozen=True)
class StepStory:
    """How one record stands in one step; `record_id` is `all` where the step looks at the whole workspace at once.

    `verdict` is fresh, stale, failed, or gone (nobody wants it any more); `reason` says why a run would work it.
    `differences` are the parts that are not what they were when it was last done. `upstream` maps the steps before it
    that have something to do to how many records: what they find may make this one stale.
    """

    step: str
    record_id: str
    verdict: str
    reason: str | None
    differences: tuple[Difference, ...]
    determined_by: dict[str, list[str | None]] | None
    state: str | None
    at: datetime | None
    run_id: str | None
    attempts: int
    error_kind: str | None
    message: str | None
    next_step: str | None
    upstream: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Plain values, the time in ISO form."""
        return {**asdict(self), "at": self.at.isoformat() if self.at else None}


@dataclass(frozen=True)
class Explanation:
    """A record, what it is, and its story in every step that concerns it."""

    id: str
    kind: str
    steps: tuple[StepStory, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"id": self.id, "kind": self.kind, "steps": [one.as_json() for one in self.steps]}


def explain(pipeline: Pipeline, workspace_id: str, record_id: str) -> Explanation:
    """Why what hangs on a record is fresh or stale.

    Takes the id of a document (D-…), signal (S-…), cluster (C-…), project (P-…) or artifact (A-…), or the path of a
    source file. Raises NotFoundError.
    """
    with reading(pipeline.database) as connection:
        kind, own_id, concerned = _concerned(connection, workspace_id, record_id)
        looked = _Looked(pipeline, connection, workspace_id)
        stories = [looked.story(step, record) for step in STEPS for record in concerned.get(step, ())]
    return Explanation(own_id, kind, tuple(story for story in stories if story is not None))


class _Looked:
    """Steps as they stand, each looked at once and only when asked for."""

    def __init__(self, pipeline: Pipeline, connection: Connection, workspace_id: str) -> None:
        self._pipeline, self._connection, self._workspace_id = pipeline, connection, workspace_id
        self._steps: dict[str, tuple[Demand, dict[str, Outcome]]] = {}

    def _step(self, step: str) -> tuple[Demand, dict[str, Outcome]]:
        if step not in self._steps:
            wanted = demand(self._pipeline, self._connection, self._workspace_id, step)
            self._steps[step] = wanted, outcomes.rows(self._connection, self._workspace_id, step)
        return self._steps[step]

    def story(self, step: str, record: str) -> StepStory | None:
        """The record's story in the step; None where the step neither wants it nor ever had it."""
        wanted, known = self._step(step)
        if record not in wanted.determinants and record not in known:
            return None
        now, was = wanted.determinants.get(record), known.get(record)
        reason = reason_of(wanted, record, was) if now else None
        verdict = (
            "gone" if now is None else "stale" if reason else "failed" if was and was.state == "failed" else "fresh"
        )
        changed = differences(was.determined_by, now) if now and was and was.determined_by else []
        return StepStory(
            step,
            record,
            verdict,
            reason,
            tuple(changed),
            now.as_json() if now else None,
            was.state if was else None,
            was.updated_at if was else None,
            was.run_id if was else None,
            was.attempts if was else 0,
            was.error_kind if was else None,
            was.message if was else None,
            was.next_step if was else None,
            self._upstream(step),
        )

    def _upstream(self, step: str) -> dict[str, int]:
        before: set[str] = set(UPSTREAM[step])
        for _ in STEPS:
            before |= {other for one in before for other in UPSTREAM[one]}
        found = {one: standing(*self._step(one)) for one in STEPS if one in before}
        return {one: len(here.to_do) + len(here.removed) for one, here in found.items() if here.to_do or here.removed}


def _concerned(
    connection: Connection, workspace_id: str, record_id: str
) -> tuple[str, str, dict[str, tuple[str, ...]]]:
    """What the id is, the id as it is written, and by step the records to tell of."""
    named = record_id.strip().strip("[]")
    finders = {"S": _signal, "C": _cluster, "P": _project, "A": _artifact, "D": _document}
    find = finders.get(named[:1].upper()) if named[1:2] == "-" else None
    if find is not None:
        own_id = named[0].upper() + named[1:].lower()
        concerned = find(connection, workspace_id, own_id)
        if concerned is not None:
            kinds = {"S": "signal", "C": "cluster", "P": "project", "A": "artifact", "D": "document"}
            return kinds[own_id[0]], own_id, concerned
    path = record_id.strip()
    if path in document_store.known_files(connection, workspace_id):
        documents = document_store.live_ids_of_files(connection, workspace_id, [path])
        return "source file", path, {"documents": (path,), "signals": tuple(documents[:_MOST_DOCUMENTS])}
    raise NotFoundError(
        f"Workspace {workspace_id!r} has no record {record_id!r}. Give an id (D-… document, S-… signal, C-… cluster, "
        "P-… project, A-… artifact) or the path of a source file, as `elmer trace` and `elmer failures` show them."
    )


def _document(connection: Connection, workspace_id: str, document_id: str) -> dict[str, tuple[str, ...]] | None:
    paths = [row["source_path"] for row in document_store.listing(connection, workspace_id) if row["id"] == document_id]
    return {"documents": tuple(paths), "signals": (document_id,)} if paths else None


def _signal(connection: Connection, workspace_id: str, signal_id: str) -> dict[str, tuple[str, ...]] | None:
    rows = signal_store.live(connection, workspace_id, [signal_id])
    if not rows:
        return None
    return {
        **(_document(connection, workspace_id, rows[0]["document_id"]) or {}),
        "signal_embeddings": (signal_id,),
        "duplicate_signals": (WHOLE,),
        "signal_clusters": (WHOLE,),
        "signal_classifications": (signal_id,),
    }


def _cluster(connection: Connection, workspace_id: str, cluster_id: str) -> dict[str, tuple[str, ...]] | None:
    found = cluster_store.find(connection, workspace_id, [cluster_id]).get(cluster_id)
    if found is None or found["ended_at"] is not None:
        return None
    return {
        "signal_clusters": (WHOLE,),
        "cluster_themes": (cluster_id, WHOLE),
        "cluster_trends": (WHOLE,),
        "initiatives": (WHOLE,),
    }


def _project(connection: Connection, workspace_id: str, project_id: str) -> dict[str, tuple[str, ...]] | None:
    origin = {one.id: one.origin for one in project_store.live(connection, workspace_id)}.get(project_id)
    if origin is None:
        return None
    return {
        "projects" if origin == "named" else "initiatives": (WHOLE,),
        "project_embeddings": (project_id,),
        "research_briefs": (project_id,),
        "prds": (project_id,),
    }


def _artifact(connection: Connection, workspace_id: str, artifact_id: str) -> dict[str, tuple[str, ...]] | None:
    found = artifact_store.get(connection, workspace_id, artifact_id)
    if found is None:
        return None
    step = {"research_brief": "research_briefs", "prd": "prds"}[found.kind]
    return {step: (found.project_id,)}
