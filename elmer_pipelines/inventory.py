"""What there is in a workspace, counted: what `elmer status` shows. The rows themselves are `workbench.py`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.store import artifacts as artifact_store
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import documents as document_store
from elmer_pipelines.store import duplicates as duplicate_store
from elmer_pipelines.store import journal, outcomes
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import signals as signal_store

if TYPE_CHECKING:
    from sqlalchemy import Connection


def inventory(connection: Connection, workspace_id: str) -> dict[str, Any]:
    """Documents, signals, clusters, projects, artifacts, outcomes by step, calls and cost in USD; plain values."""
    steps = outcomes.counts(connection, workspace_id)
    calls = journal.totals(connection, workspace_id)
    return {
        "workspace": workspace_id,
        "documents": _documents(connection, workspace_id, steps.get("documents", {}).get("failed", 0)),
        "signals": _signals(connection, workspace_id),
        "clusters": _clusters(connection, workspace_id),
        "projects": _projects(connection, workspace_id),
        "artifacts": _by_kind(artifact_store.listing(connection, workspace_id)),
        "waiting": outcomes.count_waiting(connection, workspace_id),
        "steps": {step: steps[step] for step in STEPS if step in steps},
        "models": calls,
        "model_calls": sum(one["calls"] for one in calls if one["provider"] != "local"),
        "cost_usd": _sum_of_known([one["cost_usd"] for one in calls]),
    }


def _documents(connection: Connection, workspace_id: str, failed: int) -> dict[str, int]:
    found = document_store.counts(connection, workspace_id)
    return {
        "files": found["files"],
        "files_read": found["files"] - failed,
        "files_failed": failed,
        "documents": found["live"],
        "retired": found["retired"],
    }


def _signals(connection: Connection, workspace_id: str) -> dict[str, Any]:
    found = signal_store.counts(connection, workspace_id)
    return {
        "total": sum(found["status"].values()),
        "by_severity": found["severity"],
        "by_status": found["status"],
        "merged": duplicate_store.count(connection, workspace_id)["merged"],
        "rejected_quotes": found["rejected"],
    }


def _clusters(connection: Connection, workspace_id: str) -> dict[str, Any]:
    """Themes; how many by what is suggested for them, and by how they move."""
    live = cluster_store.live(connection, workspace_id)
    told = {
        title: dict(sorted(Counter(one[column] for one in live if one[column]).items()))
        for title, column in (("by_action", "suggested_action"), ("by_trend", "trend"))
    }
    return {"total": len(live), "unclustered": cluster_store.unclustered(connection, workspace_id), **told}


def _projects(connection: Connection, workspace_id: str) -> dict[str, int]:
    origins = [one.origin for one in project_store.live(connection, workspace_id)]
    return {origin: origins.count(origin) for origin in ("named", "initiative")}


def _by_kind(artifacts: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in artifacts:
        counts = found.setdefault(one["kind"], {"draft": 0, "final": 0})
        counts[one["status"]] += 1
    return found


def _sum_of_known(costs: list[float | None]) -> float | None:
    """The sum, or None where one is not known: a missing figure is missing."""
    return None if None in costs else float(sum(cost for cost in costs if cost is not None))
