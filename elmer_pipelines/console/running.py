"""Bringing a workspace up to date from the command: through Dagster, in this process, with progress bars."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elmer_pipelines.console import terminal
from elmer_pipelines.console.terminal import StepProgress
from elmer_pipelines.errors import UNSENT
from elmer_pipelines.steps import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.workbench import Workbench


def run_workspace(bench: Workbench, select: str | None = None) -> bool:
    """Materialise the workspace's assets (all, or Dagster's selection); False when a step failed, as a whole or for
    every record.

    The run is in the instance's history, with its logs. Raises SettingsError for a selection that names no asset.
    """
    from elmer_pipelines import definitions

    bench.pipeline.workspace_file(bench.workspace_id)  # a mistake in it is told before anything starts
    before = bench.status()["steps"]
    stops: list[StepResult] = []
    with StepProgress() as progress, listening(progress, stops), notes_shown():
        outcome = definitions.run_workspace(bench.workspace_id, select, settings=bench.settings)
    for step in outcome.failed_steps:
        terminal.problem(f"the step {step} failed; its log is in Dagster's pages, run {outcome.run_id}.")
    for stop in stops:
        counts = stop.counts
        terminal.problem(f"the step {stop.step} stopped, {counts['left']:,} records are left: {counts['reason']}")
    refused = any(stop.counts["stopped_by"] not in UNSENT for stop in stops)  # a budget that is spent is no failure
    return bool(outcome) and not refused and not _broken(before, bench.status()["steps"])


@contextmanager
def notes_shown() -> Iterator[None]:
    """Show what the engine warns of inside the block as notes; Dagster still records them with the run.

    Left to the root logger they would be raw log lines, with the run's id in front, across the progress bars.
    """
    ours, handler = logging.getLogger("elmer_pipelines"), _Notes(logging.WARNING)
    passes_on = ours.propagate
    ours.addHandler(handler)
    ours.propagate = False
    try:
        yield
    finally:
        ours.propagate = passes_on
        ours.removeHandler(handler)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        terminal.note(record.getMessage())


def _broken(before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> list[str]:
    """Steps that now fail for every record there is: that is no bad record but something that concerns them all.

    A folder in which no file can be read is the exception: that is what the folder holds.
    """
    broken = [
        step
        for step, counts in after.items()
        if step != "documents" and counts["failed"] and not counts["done"] and before.get(step) != counts
    ]
    for step in broken:
        terminal.problem(f"every record of the step {step} failed: elmer failures says why.")
    return broken
