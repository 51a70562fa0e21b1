"""`elmer batches`: message batches under way and past, and taking in at once what they have brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from elmer_pipelines.console import terminal
from elmer_pipelines.console.files import records
from elmer_pipelines.console.options import (
    JsonOption,
    WorkspaceOption,
    open_workbench,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elmer_pipelines.batching.collecting import Collected

_COLUMNS = ("id", "state", "step", "model", "items", "waiting", "answered", "failed", "expired")


def batches(
    workspace: WorkspaceOption = None,
    collect: Annotated[bool, typer.Option("--collect", help="Take in now what ended; the next run uses it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Message batches, open and past: state, requests, since when they wait, and what they may cost at the worst."""
    with open_workbench(workspace) as bench:
        collected = bench.collect_batches() if collect else None
        rows = records(bench.batches())
    if as_json:
        print_json(rows if collected is None else {"collected": collected.__dict__, "batches": rows})
        return
    if collected is not None:
        _show_collected(collected)
    _show(rows)


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        terminal.out.print("There are no message batches. ELMER_BATCH in .env.example says when there are.")
        return
    shown = [
        {**{name: one[name] for name in _COLUMNS}, "since (UTC)": str(one["created_at"])[:16].replace("T", " "),
         "at worst USD": f"{one['owed_usd']:.4f}" if one["owed_usd"] else None, "why": one["reason"]}
        for one in rows
    ]  # fmt: skip
    terminal.out.print(terminal.table("Message batches", shown))
    if any(one["state"] in ("submitting", "submitted") for one in rows):
        terminal.out.print("\nA run, `elmer batches --collect` or the sensor takes in what has ended.")


def _show_collected(found: Collected) -> None:
    terminal.out.print(
        f"{found.answers:,} answers came in for {found.cost_usd:.4f} USD, {found.failed:,} failed, "
        f"{found.expired:,} expired; {len(found.ended)} batches have ended."
    )
    for note in found.notes:
        terminal.out.print(note, markup=False)
    if found.answers or found.failed:
        terminal.out.print("Next: [bold]elmer run[/bold]\n")
