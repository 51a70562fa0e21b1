"""`elmer search`: its options, and how what was found looks in a terminal. How it is found is `searching.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.text import Text

from elmer_pipelines.console import terminal
from elmer_pipelines.console.files import records
from elmer_pipelines.console.options import JsonOption, WorkspaceOption, open_workbench, print_json
from elmer_pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from elmer_pipelines.workbench import Workbench


def search(
    words: Annotated[Optional[str], typer.Argument(help="What to look for, in any words.")] = None,  # noqa: UP045
    workspace: WorkspaceOption = None,
    severity: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="critical, high, medium, low or none; may be given again, as all filters may."),
    ] = None,
    segment: Annotated[Optional[list[str]], typer.Option(help="User segment.")] = None,  # noqa: UP045
    source: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A kind of document, a file, or how addresses begin: interviews/."),
    ] = None,
    status: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="new, reviewed, linked or archived."),
    ] = None,
    project: Annotated[Optional[list[str]], typer.Option(help="A project's id or name.")] = None,  # noqa: UP045
    cluster: Annotated[Optional[list[str]], typer.Option(help="A cluster's id or theme.")] = None,  # noqa: UP045
    since: Annotated[Optional[str], typer.Option(metavar="DAY", help="Said on that day or later.")] = None,  # noqa: UP045
    until: Annotated[Optional[str], typer.Option(metavar="DAY", help="Said on that day or before.")] = None,  # noqa: UP045
    like: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ID", help="Instead of words: signals like this one, or with --projects like a project."),
    ] = None,
    projects: Annotated[bool, typer.Option("--projects", help="Find projects instead of signals.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at the most.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Find signals by words and by meaning together, within filters; or what is like a signal; or projects."""
    if (words is None) == (like is None):
        raise SettingsError("Give words to look for, or --like with an id: one of the two.")
    filters = {
        "severity": severity, "segment": segment, "source": source, "status": status, "project": project,
        "cluster": cluster, "since": since, "until": until,
    }  # fmt: skip
    if projects and any(filters.values()):
        raise SettingsError("--projects goes with no filter: those are for signals.")
    with open_workbench(workspace) as bench:
        found = _found(bench, words, like, projects, limit, filters)
    rows = records(found)
    if as_json:
        print_json(rows)
        for note in found.attrs["notes"]:
            terminal.err.print(Text(terminal.harmless(note), style="yellow"))
        return
    for note in found.attrs["notes"]:
        terminal.out.print(Text(terminal.harmless(note), style="yellow"))
    (_show_projects if projects else _show_signals)(rows, words if words is not None else f"like {like}")


def _found(
    bench: Workbench, words: str | None, like: str | None, projects: bool, limit: int, filters: Mapping[str, Any]
) -> pd.DataFrame:
    if projects:
        return bench.similar_projects(words or like or "", limit)
    return bench.search(words, limit, **filters) if words is not None else bench.more_like(like or "", limit, **filters)


def _show_signals(rows: Sequence[Mapping[str, Any]], asked: str) -> None:
    """A paragraph each and no table: at eighty columns that would cut ids and quotes to pieces."""
    noun = "signal" if len(rows) == 1 else "signals"
    terminal.out.print(Text(f"{len(rows)} {noun} for “{terminal.harmless(asked[:80])}”", style="bold"))
    for row in rows:
        terminal.out.print()
        head = _after_dots(row["severity"], row["address"], row["theme"])
        terminal.out.print(Text.assemble((row["id"], "bold"), *head), soft_wrap=True)
        terminal.out.print(_highlighted(row))
        near = f"similarity {row['similarity']:.2f}" if row["similarity"] is not None else None
        terminal.out.print(Text.assemble((f"found by {_why(row)}", "dim"), *_after_dots(near)))
    if rows:
        terminal.out.print(f"\nSee one in its document: [bold]elmer trace {rows[0]['id']}[/bold]")


def _after_dots(*facts: str | None) -> list[tuple[str, str]]:
    """What is known, each behind a dot, a severity in its colour."""
    return [(f" · {terminal.harmless(one)}", terminal.SEVERITY_STYLE.get(one, "dim")) for one in facts if one]


def _highlighted(row: Mapping[str, Any]) -> Text:
    """The quote with the words that were looked for set off, and how often it was said where duplicates are merged."""
    words = Text(terminal.harmless(row["verbatim"]))
    for start, end in row["matches"]:
        words.stylize("bold yellow", start, end)
    if row["said"] > 1:
        words.append(f" (said {row['said']} times)", style="dim")
    return words


def _why(row: Mapping[str, Any]) -> str:
    ranks = (("words", row["word_rank"]), ("meaning", row["vector_rank"]))
    return ", ".join(f"{name} #{int(rank)}" for name, rank in ranks if rank is not None)


def _show_projects(rows: Sequence[Mapping[str, Any]], asked: str) -> None:
    shown = [
        {"project": row["id"], "name": row["name"], "stage": row["stage"], "similarity": row["similarity"],
         "found by": _why(row)}
        for row in rows
    ]  # fmt: skip
    terminal.out.print(terminal.table(f"{len(rows)} projects for “{terminal.harmless(asked[:80])}”", shown))
