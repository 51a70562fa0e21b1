"""`elmer demo`: the sample workspace through the whole pipeline, and what came of it on one screen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from elmer_pipelines.console.running import run_workspace
from elmer_pipelines.console.terminal import out, table
from elmer_pipelines.errors import WorkspaceError
from elmer_pipelines.settings import PROJECT
from elmer_pipelines.store import journal
from elmer_pipelines.workbench import Workbench, register_workspace

if TYPE_CHECKING:
    from elmer_pipelines.settings import Settings

WORKSPACE = "demo"
_TOP = 8


def run_demo(settings: Settings) -> int:
    """Bring the sample workspace up to date and print what was found; 0, or 1 when a step failed.

    A second run finds nothing to do, and calls no model. Raises ElmerError.
    """
    began = time.monotonic()
    samples = PROJECT / "examples"
    if not samples.is_dir():
        raise WorkspaceError(f"{samples} is missing; the sample documents come with a checkout of the project.")
    register_workspace(settings, WORKSPACE, str(samples))
    with Workbench(WORKSPACE, settings=settings) as bench:
        with bench.database.begin() as connection:
            since = journal.now(connection)
        ok = run_workspace(bench)
        _show(bench, bench.costs(since).to_dict("records"), time.monotonic() - began)
    return 0 if ok else 1


def _show(bench: Workbench, calls: list[dict[Any, Any]], seconds: float) -> None:
    found = bench.status()
    documents, signals = found["documents"], found["signals"]
    out.print()
    out.print(
        f"[bold]{documents['documents']:,} documents[/bold] from {documents['files']:,} files "
        f"({documents['files_failed']} could not be read: elmer failures says why), "
        f"[bold]{signals['total']:,} signals[/bold], [bold]{found['clusters']['total']:,} clusters[/bold] "
        f"({found['clusters']['unclustered']:,} signals unclustered)\n"
    )
    severities = [
        {"severity": k, "signals": signals["by_severity"].get(k, 0)}
        for k in ("critical", "high", "medium", "low", "none")
    ]
    out.print(table("Signals by severity", severities))
    out.print()
    clusters = bench.clusters().head(_TOP)
    columns = ["theme", "size", "severity", "frequency", "trend", "suggested_action"]
    out.print(table("Largest clusters", clusters.to_dict("records"), columns))  # type: ignore[arg-type]
    out.print()
    _show_artifacts(bench)
    _show_models(calls, seconds)
    out.print("\nLook around: [bold]make dev[/bold] opens Dagster's pages, [bold]make notebook[/bold] JupyterLab;")
    out.print('or [bold].venv/bin/elmer search "offline notes"[/bold], then [bold].venv/bin/elmer trace S-…[/bold]')


def _show_artifacts(bench: Workbench) -> None:
    """A line per PRD and its file, unbroken, so that it can be copied and opened."""
    artifacts = bench.artifacts()
    prds = artifacts[artifacts["kind"] == "prd"] if len(artifacts) else artifacts
    named = set(bench.projects().query("origin == 'named'")["id"])
    rows = sorted(prds.to_dict("records"), key=lambda row: (row["project_id"] not in named, -row["citations"]))
    out.print(Text("PRDs", style="bold"))
    for row in rows:
        unresolved = f", {row['unresolved']} of them unresolved" if row["unresolved"] else ""
        kind = "named project" if row["project_id"] in named else "initiative"
        out.print(Text.assemble(row["project"], (f"  {kind}, {row['citations']} citations{unresolved}", "dim")))
        out.print(Text(f"  {_short(row['file'])}", style="cyan"), soft_wrap=True)


def _short(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def _show_models(calls: list[dict[Any, Any]], seconds: float) -> None:
    sent = sum(one["calls"] for one in calls if one["provider"] != "local")
    cost = sum(one["cost_usd"] or 0.0 for one in calls)
    out.print(f"\n{seconds:.1f} s, {sent:,} paid model calls, {cost:.2f} USD")
    if any(one["provider"] == "local" for one in calls):
        out.print(
            "Signals were found by a local heuristic, vectors by a small local model that knows English best, texts "
            "were composed by templates. Set ANTHROPIC_API_KEY and OPENAI_API_KEY in .env.local for Claude and OpenAI."
        )
    if not calls:
        out.print("Nothing had changed: no model did any work.")
    for one in calls:
        local = " [yellow](runs here; no key is set)[/yellow]" if one["provider"] == "local" else ""
        out.print(f"  {one['model']}: {one['inputs']:,} texts{local}")
