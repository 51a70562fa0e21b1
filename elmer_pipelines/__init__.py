"""Elmer Pipelines: from what customers say to product decisions that can be traced back to their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elmer_pipelines.workbench import Workbench

__all__ = ["Workbench"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command and Dagster import this package often and need the workbench seldom.
    if name == "Workbench":
        from elmer_pipelines.workbench import Workbench

        return Workbench
    raise AttributeError(name)
