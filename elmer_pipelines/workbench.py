"""What notebooks and the command use: one object, DataFrames, search, trace, and a person's corrections.

Everything here reads or corrects; bringing a workspace up to date is the pipeline's matter, through Dagster.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elmer_pipelines import searching
from elmer_pipelines.cluster_bench import ClusterBench
from elmer_pipelines.documents.workspace_file import read_workspace_file, write_starter
from elmer_pipelines.errors import NotFoundError, WorkspaceError
from elmer_pipelines.explaining import Explanation, explain
from elmer_pipelines.frames import frame
from elmer_pipelines.installation import open_database
from elmer_pipelines.inventory import inventory
from elmer_pipelines.notifications import newest, withhold
from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.planning import StepPlan, plan
from elmer_pipelines.purging import Purge, plan_purge, purge
from elmer_pipelines.searching import Filters, Found
from elmer_pipelines.settings import WORKSPACE_ID, load_settings
from elmer_pipelines.signals import merging
from elmer_pipelines.store import artifacts as artifact_store
from elmer_pipelines.store import batches, budgets, journal, outcomes, workspaces
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import duplicates as duplicate_store
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import signals as signal_store
from elmer_pipelines.tracing import quotes, trace

if TYPE_CHECKING:
    from types import TracebackType

    import pandas as pd

    from elmer_pipelines.batching.collecting import Collected
    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.duplicates import Merge

Exported = Literal["documents", "signals", "clusters", "links", "artifacts"]
CostsBy = Literal["model", "day", "asset", "workspace", "run", "prompt"]
COSTS_BY: tuple[CostsBy, ...] = ("model", "day", "asset", "workspace", "run", "prompt")
EXPORTS: tuple[Exported, ...] = ("documents", "signals", "clusters", "links", "artifacts")
_SIGNAL_COLUMNS = [
    "id", "verbatim", "interpretation", "severity", "frequency", "segment", "status", "speaker", "occurred_at",
    "document_id", "address", "title", "kind", "start", "end", "match", "extractor", "cluster_id", "theme", "projects",
    "language", "said",
]  # fmt: skip
_WHY = ["score", "word_rank", "vector_rank", "similarity"]


class Workbench(ClusterBench):
    """One workspace to look at and correct. `Workbench()` opens the current folder's installation.

    `workspace` is an id, by default DEFAULT_WORKSPACE_ID where that is registered, else the only one there is. Raises
    SettingsError, DatabaseError, WorkspaceError. Close it, or use it in a `with` block.
    """

    def __init__(
        self, workspace: str | None = None, *, settings: Settings | None = None, pipeline: Pipeline | None = None
    ) -> None:
        self.settings = settings or (pipeline.settings if pipeline else load_settings())
        self.pipeline = pipeline or Pipeline(self.settings, open_database(self.settings))
        self.database = self.pipeline.database
        self.workspace_id = self._chosen(workspace)

    def __enter__(self) -> Workbench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trail: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections."""
        self.pipeline.close()

    def _chosen(self, workspace: str | None) -> str:
        with self.database.begin() as connection:
            registered = [one.id for one in workspaces.every(connection)]
            if workspace is None and self.settings.default_workspace_id not in registered and len(registered) == 1:
                return registered[0]
            wanted = workspace or self.settings.default_workspace_id
            if workspace is None and wanted not in registered and registered:
                raise WorkspaceError(f"Name a workspace with --workspace: {', '.join(registered)}.")
            return workspaces.get(connection, wanted).id

    def documents(self) -> pd.DataFrame:
        """Live documents: id, address, title, kind, format, version, occurred_at, people, characters, signals."""
        with self.database.begin() as connection:
            return frame(document_store.listing(connection, self.workspace_id))

    def signals(self) -> pd.DataFrame:
        """Live signals, a row each, with the document's address, the place, and their cluster and projects."""
        with self.database.begin() as connection:
            rows = signal_store.live(connection, self.workspace_id)
        return frame(rows, _SIGNAL_COLUMNS)

    def links(self) -> pd.DataFrame:
        """Links of signals to projects: signal_id, project_id, project, method, similarity, reason, created_at."""
        with self.database.begin() as connection:
            return frame(project_store.links(connection, self.workspace_id))

    def artifacts(self) -> pd.DataFrame:
        """The newest version of every artifact, with its file and its citations counted."""
        with self.database.begin() as connection:
            return frame(artifact_store.listing(connection, self.workspace_id))

    def projects(self) -> pd.DataFrame:
        """Live projects: id, name, description, stage, origin, cluster_id, signals."""
        with self.database.begin() as connection:
            projects = project_store.live(connection, self.workspace_id)
            linked = artifact_store.linked_counts(connection, self.workspace_id)
        return frame([{**one.__dict__, "signals": linked.get(one.id, 0)} for one in projects])

    def search(self, words: str, limit: int = 10, **filters: Any) -> pd.DataFrame:
        """Signals by words and by meaning together (reciprocal rank fusion), the best first, with why.

        `filters` are those of `searching.Filters`: severity, segment, source, status, project, cluster (a text or
        several), since, until. Where the query can't be embedded, words alone find; `attrs["notes"]` says so, and of
        an empty answer which filter to leave out. `matches` are the places of the words in the verbatim. Raises
        NotFoundError for a filter's value that there is not.
        """
        return _results(searching.search(self.pipeline, self.workspace_id, words, Filters.of(**filters), limit))

    def more_like(self, signal_id: str, limit: int = 10, **filters: Any) -> pd.DataFrame:
        """Signals that mean what this one means, without asking any model; else as `search`. Raises NotFoundError."""
        return _results(searching.more_like(self.pipeline, self.workspace_id, signal_id, Filters.of(**filters), limit))

    def similar_projects(self, like: str, limit: int = 10) -> pd.DataFrame:
        """Projects like a project (its id) or about some words, the best first, with why. Raises NotFoundError."""
        found = searching.similar_projects(self.pipeline, self.workspace_id, like, limit)
        return _results(found, [*_WHY, "id", "name", "description", "stage", "origin"])

    def duplicates(self) -> pd.DataFrame:
        """Groups of signals that say the same, the largest first: group, said, voices, merged, quote, signals…"""
        columns = ["group", "said", "voices", "merged", "sources", "similarity", "quote", "signals"]
        with self.database.begin() as connection:
            return frame(duplicate_store.groups(connection, self.workspace_id), columns)

    def duplicate_group(self, group_id: str) -> list[dict[str, Any]]:
        """The signals of a group in their paragraphs, that which a merge would keep first. Raises NotFoundError."""
        with self.database.begin() as connection:
            group = merging.group_of(connection, self.workspace_id, group_id)
            return quotes(connection, self.workspace_id, group["signals"])

    def merges(self) -> pd.DataFrame:
        """Merges that were not undone, the newest first: merge, group, kept, merged, merged_at."""
        with self.database.begin() as connection:
            rows = duplicate_store.merges(connection, self.workspace_id)
        return frame(rows, ["merge", "group", "kept", "merged", "merged_at"])

    def merge_duplicates(self, group_id: str, keep: str | None = None) -> Merge:
        """Let one signal of a group speak for all (`keep`, else the oldest). Raises NotFoundError."""
        with self.database.begin() as connection:
            return merging.merge_group(connection, self.workspace_id, group_id, keep)

    def undo_merge(self, merge_id: str) -> Merge:
        """Put everything back as it was before a merge. Raises NotFoundError."""
        with self.database.begin() as connection:
            return merging.undo_merge(connection, self.workspace_id, merge_id)

    def trace(self, record_id: str) -> dict[str, Any]:
        """From a signal, cluster, project, artifact or document down to quotes in their paragraphs.

        Raises NotFoundError.
        """
        with self.database.begin() as connection:
            return trace(connection, self.workspace_id, record_id)

    def quotes(self, signal_ids: list[str]) -> list[dict[str, Any]]:
        """Signals inside their paragraphs: before, verbatim, after, and where that is."""
        with self.database.begin() as connection:
            return quotes(connection, self.workspace_id, signal_ids)

    def export(self, what: Exported) -> pd.DataFrame:
        """The rows that `elmer export` writes. Raises ValueError for another name."""
        if what not in EXPORTS:
            raise ValueError(f"can't export {what!r}; there are {', '.join(EXPORTS)}")
        frame: pd.DataFrame = getattr(self, what)()
        return frame

    def plan(self, select: str | None = None) -> list[StepPlan]:
        """What a run (of all steps, or of a selection) would do, why, and what it would cost; nothing is spent.

        Raises SettingsError for a selection that is not understood.
        """
        return plan(self.pipeline, self.workspace_id, select)

    def explain(self, record_id: str) -> Explanation:
        """Why what hangs on a record, by its id or a source file's path, is fresh or stale. Raises NotFoundError."""
        return explain(self.pipeline, self.workspace_id, record_id)

    def failures(self, step: str | None = None) -> pd.DataFrame:
        """Records that failed: step, record_id, error_kind, message, next_step, retryable, attempts, updated_at."""
        with self.database.begin() as connection:
            rows = outcomes.failures(connection, self.workspace_id, step)
        columns = ["step", "record_id", "error_kind", "message", "next_step", "retryable", "attempts", "updated_at"]
        return frame(rows, columns)

    def retry_failures(self, step: str | None = None) -> int:
        """Make failed records pending again; the next run takes them. Returns how many."""
        with self.database.begin() as connection:
            batches.forgive(connection, self.workspace_id, step)
            return outcomes.retry(connection, self.workspace_id, step)

    def batches(self, limit: int = 50) -> pd.DataFrame:
        """Message batches, the newest first: state, step, model, items by how they stand, since when, what is owed."""
        with self.database.begin() as connection:
            return frame(batches.listing(connection, self.workspace_id, limit))

    def collect_batches(self) -> Collected:
        """Take in what open batches have brought; the next run uses it. Nothing is spent."""
        return self.pipeline.batching.collect(self.workspace_id)

    def plan_purge(self, document: str, *, keep_out: bool = False) -> Purge:
        """What deleting a document (id, address, path) would delete. Raises NotFoundError, WorkspaceError."""
        root = self.pipeline.root(self.workspace_id)
        return plan_purge(self.database, self.workspace_id, root, document, keep_out=keep_out)

    def purge(self, plan: Purge) -> None:
        """Delete what the plan found, for good. Raises RecordError where an artifact's file can't be deleted."""
        purge(self.database, self.workspace_id, plan)
        withhold(self.settings, self.workspace_id, plan.traces.clusters)

    def costs(self, since: datetime | None = None, *, by: CostsBy = "model") -> pd.DataFrame:
        """Per model, day (UTC), asset, prompt, run, or workspace (then of all): calls, cached, failed, inputs, tokens,
        cost_usd (missing where a price is not known), and lost_usd, the part of it for answers that never came.
        Raises ValueError for another `by`.
        """
        if by not in COSTS_BY:
            raise ValueError(f"no costs by {by!r}; there are {', '.join(COSTS_BY)}")
        with self.database.begin() as connection:
            if by == "model":
                return frame(journal.totals(connection, self.workspace_id, since))
            ids = [one.id for one in workspaces.every(connection)] if by == "workspace" else [self.workspace_id]
            rows = [row for one in ids for row in journal.costs(connection, one, by, since)]
        return frame([{by: row.pop("name"), **row} for row in rows])

    def budget(self) -> dict[str, float | None]:
        """The caps in USD (None: none), and what this day, UTC, has spent and reserved, here and everywhere."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with self.database.begin() as connection:
            owed = budgets.owed(connection, self.workspace_id, None)
            spent, held = budgets.committed(connection, self.workspace_id, None, midnight)
        return {
            "cap_usd": self.settings.budget_usd,
            "workspace_cap_usd": self.pipeline.workspace_file(self.workspace_id).models.budget_usd,
            "spent_today_usd": spent.everywhere,
            "workspace_spent_today_usd": spent.workspace,
            "reserved_usd": held.everywhere,
            "owed_for_batches_usd": owed.everywhere,
        }

    def status(self) -> dict[str, Any]:
        """Counts per step, what there is, and what people were told of late; plain values, fit for JSON."""
        with self.database.begin() as connection:
            found = inventory(connection, self.workspace_id)
        return {**found, "budget": self.budget(), "notifications": newest(self.settings, self.workspace_id)}

    def edit_signal(self, signal_id: str, **changes: str) -> None:
        """Lay your severity, frequency, segment or interpretation over the machine's; "" takes an edit back.

        Raises NotFoundError, and ValueError for a field that is not a person's to edit.
        """
        wrong = sorted(set(changes) - set(signal_store.EDITABLE))
        if wrong:
            raise ValueError(f"{', '.join(wrong)} can't be edited; editable are {', '.join(signal_store.EDITABLE)}")
        with self.database.begin() as connection:
            if not signal_store.edit(connection, self.workspace_id, signal_id, changes):
                raise NotFoundError(f"Workspace {self.workspace_id!r} has no signal {signal_id}.")

    def set_status(self, signal_id: str, status: Literal["new", "reviewed", "linked", "archived"]) -> None:
        """Set a signal's status, which no step changes afterwards. Raises NotFoundError."""
        with self.database.begin() as connection:
            if not signal_store.set_status(connection, self.workspace_id, signal_id, status):
                raise NotFoundError(f"Workspace {self.workspace_id!r} has no signal {signal_id}.")


def register_workspace(settings: Settings, workspace_id: str, path: str, *, move: bool = False) -> bool:
    """Register a folder or fsspec URL as a workspace; True when a `workspace.toml` was written into it.

    `move` points a workspace that has another folder to this one: the next run retires what is not in it. Raises
    WorkspaceError for an id that is no slug or has another folder, a folder that is not there, or a workspace.toml
    that can't be read.
    """
    if not re.fullmatch(WORKSPACE_ID, workspace_id):
        raise WorkspaceError(f"{workspace_id!r} can't name a workspace: use lower-case letters, digits, - and _.")
    root = path if "://" in path else str(Path(path).expanduser().resolve())
    if "://" not in root and Path(root).is_file():
        raise WorkspaceError(f"{root} is a file; a workspace is a folder. Name the folder that holds it.")
    read_workspace_file(root)
    database = open_database(settings)
    try:
        with database.begin() as connection:
            known = {one.id: one.root for one in workspaces.every(connection)}
            if not move and known.get(workspace_id, root) != root:
                raise WorkspaceError(
                    f"Workspace {workspace_id} is {known[workspace_id]}. To point it to {root} instead, which retires "
                    f"what is not there: elmer init {workspace_id} {path} --move"
                )
            made = write_starter(root, workspace_id)
            file = read_workspace_file(root)
            workspaces.register(connection, workspace_id, file.name or workspace_id, root)
    finally:
        database.close()
    return made


def _results(found: Found, columns: list[str] | None = None) -> pd.DataFrame:
    shown = frame(found.rows, columns or [*_WHY, *_SIGNAL_COLUMNS, "matches"])
    shown.attrs["notes"] = found.notes
    return shown
