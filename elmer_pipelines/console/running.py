"""Bringing a workspace up to date from the command: through Dagster, in this process, with progress bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.console.terminal import StepProgress
from elmer_pipelines.steps import listening

if TYPE_CHECKING:
    from elmer_pipelines.workbench import Workbench


def run_workspace(bench: Workbench, select: str | None = None) -> bool:
    """Materialise the workspace's assets (all, or Dagster's selection); False when a step failed.

    The run is in the instance's history, with its logs. Raises SettingsError for a selection that names no asset.
    """
    from elmer_pipelines import definitions

    with StepProgress() as progress, listening(progress):
        return bool(definitions.run_workspace(bench.workspace_id, select, settings=bench.settings))
