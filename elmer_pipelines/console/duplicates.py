"""`elmer duplicates`: groups of signals that say the same, merging one, undoing a merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from elmer_pipelines.console import terminal
from elmer_pipelines.console.files import records
from elmer_pipelines.console.options import JsonOption, WorkspaceOption, open_workbench, print_json

if TYPE_CHECKING:
    from elmer_pipelines.store.duplicates import Merge

app = typer.Typer(help="List groups of signals that say the same; merge a group, undo a merge.")


@app.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many groups at the most.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """List groups of signals that say the same; merge a group, undo a merge."""
    if context.invoked_subcommand is not None:
        return
    with open_workbench(workspace) as bench:
        groups, merges = records(bench.duplicates()), records(bench.merges())
    if as_json:
        print_json({"groups": groups, "merges": merges})
        return
    if not groups and not merges:
        terminal.out.print("No two signals say the same.")
        return
    shown = ("group", "said", "merged", "sources", "similarity", "quote")
    terminal.out.print(terminal.table(f"{len(groups):,} groups of signals that say the same", groups[:limit], shown))
    if len(groups) > limit:
        terminal.out.print(f"… and {len(groups) - limit:,} more: [bold]--limit {len(groups)}[/bold]")
    if merges:
        terminal.out.print()
        rows = [
            {**one, "merged": len(one["merged"]), "merged_at": f"{one['merged_at']:%Y-%m-%d %H:%M}"}
            for one in merges[:limit]
        ]
        terminal.out.print(terminal.table("Merged", rows, ("merge", "group", "kept", "merged", "merged_at")))
    open_groups = [one["group"] for one in groups if one["voices"] > 1]
    if open_groups:
        terminal.out.print(
            f"\nSee what is in one: [bold]elmer duplicates show {open_groups[0]}[/bold]\n"
            f"Let one speak for all: [bold]elmer duplicates merge {open_groups[0]}[/bold]"
        )


@app.command("show")
def show(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="G-… as `elmer duplicates` lists it.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every signal of a group in its paragraph, the one that a merge keeps first."""
    with open_workbench(workspace) as bench:
        rows = bench.duplicate_group(group)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        terminal.out.print(terminal.quote(row))
    terminal.out.print(f"Let one speak for all: [bold]elmer duplicates merge {group} --keep {rows[0]['id']}[/bold]")


@app.command("merge")
def merge(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="G-… as `elmer duplicates` lists it.")],
    keep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ID", help="The signal that speaks for all; by default the oldest."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let one signal of a group speak for all. The others stay, verbatim, but count no more; see undo."""
    with open_workbench(workspace) as bench:
        done = bench.merge_duplicates(group, keep)
    if as_json:
        print_json(done._asdict())
        return
    terminal.out.print(f"{done.kept_id} speaks for {_numbered(done)} more since. Undo: elmer duplicates undo {done.id}")


@app.command("undo")
def undo(
    merge_id: Annotated[str, typer.Argument(metavar="MERGE", help="M-… as `elmer duplicates` lists it.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put everything back as it was before a merge."""
    with open_workbench(workspace) as bench:
        done = bench.undo_merge(merge_id)
    if as_json:
        print_json(done._asdict())
        return
    terminal.out.print(f"{_numbered(done)} of them speak for themselves again, beside {done.kept_id}.")


def _numbered(done: Merge) -> str:
    return f"{len(done.merged_ids):,}"
