"""`elmer clusters`: look at clusters, their history, what a clustering would change; name them, pin signals to them."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from elmer_pipelines.console import terminal
from elmer_pipelines.console.files import records
from elmer_pipelines.console.options import JsonOption, WorkspaceOption, open_workbench, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elmer_pipelines.clusters.history import Preview

app = typer.Typer(help="Look at clusters and their history; name them, pin signals, cluster again.")


class Level(StrEnum):
    """What `--level` takes."""

    area = "area"
    theme = "theme"
    need = "need"


ClusterArgument = Annotated[str, typer.Argument(metavar="ID", help="C-… of an area, theme or need.")]

_QUOTES = 3  # those chosen to speak for a cluster
_UNCLUSTERED = 30
_EVENTS = 3  # of the last ones, shown with a cluster; `history` has all
_SHARES = 6  # segments and sources, the largest
_WORDS = 200
_MOVES = ("new", "growing", "fading")
_VERDICT_STYLE = {"new": "green", "growing": "green", "fading": "yellow", "stable": ""}
_CHANGES = 40  # shown of a dry run; --json has all
_EVENT_STYLE = {
    "appeared": "green", "returned": "green", "ended": "red", "split": "yellow", "merged": "yellow", "continued": ""
}  # fmt: skip


@app.callback(invoke_without_command=True)
def tree(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Areas, themes and needs as a tree, with size, severity and trend. See also the commands below."""
    if context.invoked_subcommand is not None:
        return
    with open_workbench(workspace) as bench:
        rows, alone, recall = bench.cluster_tree(), len(bench.unclustered()), bench.neighbour_recall()
    if as_json:
        print_json(rows)
        return
    if not rows and alone:
        why = "there is one signal only" if alone == 1 else f"no two of {alone:,} signals are near enough"
        terminal.out.print(f"There are no clusters: {why} ([bold]elmer clusters unclustered[/bold]).")
        return
    if not rows:
        terminal.out.print("There are no clusters yet: [bold]elmer run[/bold] makes them.")
        return
    terminal.out.print(_tree(rows))
    sizes = [one["size"] for one in rows if one["level"] == "theme"]
    terminal.out.print(
        f"\n{terminal.counted(len(sizes), 'theme')} with {terminal.counted(sum(sizes), 'signal')}; {_alone(alone)} "
        f"([bold]elmer clusters unclustered[/bold]). Next: [bold]elmer clusters show {rows[0]['id']}[/bold], "
        "[bold]elmer clusters trends[/bold]"
    )
    if recall is not None and recall < 1.0:
        terminal.out.print(f"Grouped by {recall:.1%} of the signals' true nearest neighbours, measured on a sample.")


def _alone(number: int) -> str:
    return f"{terminal.counted(number, 'signal')} {'fits' if number == 1 else 'fit'} none"


def _tree(rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("theme", "signals", "severity", "trend", "id"):
        shown.add_column(name, justify="right" if name == "signals" else "left", no_wrap=name != "theme")
    for one in rows:
        name = terminal.harmless(one["theme"] or "not named yet")
        style = "bold" if one["level"] == "area" else "dim" if one["level"] == "need" else ""
        severity = one["severity"] or "–"
        shown.add_row(
            Text("  " * one["depth"] + name + (" ✎" if one["named_by_person"] else ""), style=style),
            Text(f"{one['size']:,}", style=style),
            Text(severity, style=terminal.SEVERITY_STYLE.get(severity, "dim")),
            Text(one["trend"] or "–", style="" if one["trend"] else "dim"),
            Text(one["id"], style="cyan"),
        )
    return shown


@app.command()
def show(cluster_id: ClusterArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """One cluster: what it amounts to and what sets it apart, its trend, its parts, quotes, pins and last events."""
    with open_workbench(workspace) as bench:
        found = bench.cluster(cluster_id)
    if as_json:
        print_json(found)
        return
    out = terminal.out
    ended = f", ended on {found['ended_at']:%Y-%m-%d}" if found["ended_at"] else ""
    title = terminal.harmless(found["theme"] or "not named yet")
    out.print(Text.assemble((f"{found['level']} {found['id']}", "bold"), "  ", title, (ended, "red")))
    _show_facts(found)
    if found["parts"]:
        out.print()
        out.print(_tree([{**one, "depth": 1, "named_by_person": False} for one in found["parts"]]))
    for quote in found["quotes"][:_QUOTES]:
        out.print(terminal.quote(quote))
    if len(found["quotes"]) > _QUOTES:
        out.print(f"… and {len(found['quotes']) - _QUOTES:,} more; --json has all.")
    if found["pins"]:
        pins = "One of your pins concerns" if len(found["pins"]) == 1 else f"{len(found['pins'])} of your pins concern"
        out.print(f"{pins} it: [bold]elmer clusters pins[/bold]")
    if found["history"]:
        out.print("Last events:", style="bold")
        _show_events(found["history"][-_EVENTS:])
    if len(found["history"]) > _EVENTS:
        out.print(f"All {len(found['history']):,}: [bold]elmer clusters history {found['id']}[/bold]")


def _show_facts(found: Mapping[str, Any]) -> None:
    out = terminal.out
    names = ("size", "severity", "frequency", "confidence", "documents")
    facts = [f"{name}: {_fact(found[name])}" for name in names if found[name] is not None]
    out.print(Text("   ".join(facts), style="dim"))
    heard = [found[name] for name in ("first_heard", "last_heard") if found[name]]
    told = {
        "suggested action": _suggested(found),
        "segments": _numbers(found["segments"]),
        "sources": _numbers(found["kinds"]),
        "heard": " to ".join(dict.fromkeys(f"{one:%Y-%m-%d}" for one in heard)),
        "trend": f"{found['trend']}  {found['line']}" if found["trend"] else "",
    }
    if found["named_by_person"] and found["own_theme"]:
        told["by itself it would be called"] = found["own_theme"]
    for name, fact in told.items():
        if fact:
            out.print(Text.assemble((f"{name}: ", "dim"), terminal.harmless(fact)))
    if found["arithmetic"]:
        out.print(Text(found["arithmetic"], style="dim"))
    if found["parent"]:
        out.print(Text(f"part of {terminal.harmless(found['parent']['theme'])} ({found['parent']['id']})"))
    for words in (found["summary"], found["distinction"]):
        if words:
            out.print(Text(terminal.harmless(words)))


def _suggested(found: Mapping[str, Any]) -> str:
    action = (found["suggested_action"] or "").replace("_", " ")
    project = found["suggested_project"]
    return f"{action}, {project['name']} ({project['id']})" if project else action


def _numbers(counts: Mapping[str, int]) -> str:
    shown = [f"{name.replace('_', ' ')} {number:,}" for name, number in list(counts.items())[:_SHARES]]
    return ", ".join(shown) + (", …" if len(counts) > _SHARES else "")


def _fact(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


@app.command()
def unclustered(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Signals that fit no cluster, with the nearest one and how near it is."""
    with open_workbench(workspace) as bench:
        rows = records(bench.unclustered())
    if as_json:
        print_json(rows)
        return
    out = terminal.out
    out.print(Text(_alone(len(rows)), style="bold"))
    for one in rows[:_UNCLUSTERED]:
        out.print(Text.assemble((f"\n{one['signal_id']}  ", "bold"), terminal.harmless(_short(one["words"], _WORDS))))
        if one["nearest_id"]:
            theme = terminal.harmless(one["theme"] or "not named yet")
            out.print(
                Text(f"  nearest: {theme} ({one['nearest_id']}), similarity {one['similarity']:.2f}", style="dim")
            )
    if len(rows) > _UNCLUSTERED:
        out.print(f"\n… and {len(rows) - _UNCLUSTERED:,} more; --json has all.")
    placed = next((one for one in rows if one["nearest_id"]), None)
    if placed:
        pinned = f"elmer clusters pin {placed['signal_id']} {placed['nearest_id']}"
        out.print(f"\nPut one where it belongs: [bold]{pinned}[/bold]", soft_wrap=True)


@app.command()
def trends(
    level: Annotated[Level, typer.Option(help="Areas, themes or needs.")] = Level.theme,
    every: Annotated[bool, typer.Option("--all", help="Also those that are stable or unclear.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which clusters are new, grow or fade, week by week, with the arithmetic behind each verdict."""
    with open_workbench(workspace) as bench:
        rows = records(bench.trends(level.value))
    if as_json:
        print_json(rows)
        return
    out = terminal.out
    shown = [one for one in rows if every or one["verdict"] in _MOVES]
    for one in shown:
        verdict = (one["verdict"], _VERDICT_STYLE.get(one["verdict"], "dim"))
        name = (terminal.harmless(one["theme"] or "not named yet"), "bold")
        out.print(Text.assemble(name, (f"  {one['id']}", "cyan")), soft_wrap=True)
        out.print(Text.assemble("  ", verdict, f"  {one['line']}  {terminal.counted(one['size'], 'signal')}"))
        out.print(Padding(Text(one["arithmetic"], style="dim"), (0, 0, 1, 2)))
    counts = Counter(one["verdict"] for one in rows)
    told = ", ".join(f"{number:,} {verdict}" for verdict, number in counts.items())
    if not rows:
        out.print(f"No {level.value} has a trend yet: [bold]elmer run[/bold] counts them.")
        return
    more = "" if every or len(shown) == len(rows) else " [bold]--all[/bold] shows each."
    out.print(f"{terminal.counted(len(rows), level.value)}: {told}.{more}")


@app.command()
def history(cluster_id: ClusterArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """What happened to a cluster, with dates and counts, also when it has ended."""
    with open_workbench(workspace) as bench:
        events = records(bench.cluster_history(cluster_id))
        found = bench.cluster(cluster_id) if not as_json else {}
    if as_json:
        print_json(events)
        return
    title = terminal.harmless(found["theme"] or "not named yet")
    terminal.out.print(Text.assemble((f"{found['level']} {found['id']}", "bold"), "  ", title))
    if not events:
        terminal.out.print("Nothing has happened to it yet.")
    _show_events(events)


def _show_events(events: Sequence[Mapping[str, Any]]) -> None:
    for one in events:
        style = _EVENT_STYLE.get(one["event"], "")
        terminal.out.print(
            Text.assemble((f"  {one['at']:%Y-%m-%d %H:%M}  ", "dim"), (terminal.harmless(one["said"]), style))
        )


@app.command()
def plan(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """What clustering everything again would change. Nothing is written."""
    with open_workbench(workspace) as bench:
        found = bench.plan_clusters()
    if as_json:
        print_json(found.as_json())
        return
    _show_preview(found)


def _show_preview(found: Preview) -> None:
    out = terminal.out
    out.print(
        f"Clustering everything again: {terminal.counted(found.clusters_before, 'theme')} before, {found.clusters:,} "
        f"after; {found.moved:,} of {terminal.counted(found.kept, 'signal')} would move, "
        f"{found.unclustered:,} of {found.signals:,} would fit none."
    )
    for level in dict.fromkeys(one.level for one in found.changes):
        out.print(Text(f"\n{level}s", style="bold"))
        changes = [one for one in found.changes if one.level == level]
        for one in changes[:_CHANGES]:
            name = one.theme or (f"“{one.quote}”" if one.quote else "a new cluster")
            out.print(
                Text.assemble("  ", (terminal.harmless(name), "bold"), (f"  {one.cluster_id}  ", "cyan"),
                              (terminal.harmless(one.said), _EVENT_STYLE.get(one.event, "")))
            )  # fmt: skip
        if len(changes) > _CHANGES:
            out.print(f"  … and {len(changes) - _CHANGES:,} more; --json has all.")
    if not found.changes:
        out.print("No cluster would change.")
    by_hand = "" if found.whole else " To have everything clustered again: [bold]elmer clusters again[/bold]"
    out.print(f"\nNothing was written. The next run by itself would: {found.next_run}.{by_hand}")


@app.command()
def again(workspace: WorkspaceOption = None) -> None:
    """Have the next run cluster everything again, instead of placing only what is new."""
    with open_workbench(workspace) as bench:
        bench.cluster_again()
    terminal.out.print("The next run clusters everything again: [bold]elmer run[/bold]")


@app.command()
def rename(
    cluster_id: ClusterArgument,
    name: Annotated[str, typer.Argument(help='Your name for it, which no machine changes; "" takes it back.')],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a cluster your own name."""
    with open_workbench(workspace) as bench:
        bench.name_cluster(cluster_id, " ".join(name.split()) or None)
        found = bench.cluster(cluster_id)
    if as_json:
        print_json({"id": found["id"], "theme": found["theme"]})
        return
    terminal.out.print(f"{found['id']} is called {terminal.harmless(found['theme'] or 'not named yet')}", markup=False)


@app.command()
def pin(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[together|apart] S-… S-… | S-… C-…", help="Signals, or a signal and its cluster."),
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep signals together, or apart, or put one where it belongs; every clustering honours it."""
    with open_workbench(workspace) as bench:
        if words[0] == "together":
            made = bench.pin_together(*words[1:])
        elif words[0] == "apart":
            made = bench.pin_apart(*words[1:])
        elif len(words) == 2:
            made = [bench.pin(words[0], words[1])]
        else:
            raise typer.BadParameter("give `together` or `apart` and signals, or a signal and a cluster")
        rows = [one for one in records(bench.pins()) if one["id"] in made]
    if as_json:
        print_json(rows)
        return
    _show_pins(rows)
    terminal.out.print("\nThe next run honours it: [bold]elmer run[/bold]")


@app.command()
def pins(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Your pins, with their numbers."""
    with open_workbench(workspace) as bench:
        rows = records(bench.pins())
    if as_json:
        print_json(rows)
        return
    if not rows:
        terminal.out.print("There are no pins: [bold]elmer clusters pin --help[/bold]")
        return
    _show_pins(rows)


def _show_pins(rows: Sequence[Mapping[str, Any]]) -> None:
    said = {"together": "together with", "apart": "apart from", "belongs": "belongs to"}
    shown = [
        {
            "pin": one["id"],
            "signal": f"{one['signal_id']} {_short(one['words'])}",
            "is": said[one["kind"]],
            "what": f"{one['other_signal_id']} {_short(one['other_words'])}"
            if one["kind"] != "belongs"
            else f"{one['cluster_id']} {_short(one['theme'] or 'not named yet')}",
            "state": one["state"],
        }
        for one in rows
    ]
    terminal.out.print(terminal.table("", shown))


def _short(words: str, most: int = 60) -> str:
    line = " ".join(words.split())
    return line if len(line) <= most else line[: most - 1] + "…"


@app.command()
def unpin(
    pin_id: Annotated[int, typer.Argument(metavar="PIN", help="The pin's number, as `elmer clusters pins` shows it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Take a pin out; the next clustering is free again."""
    with open_workbench(workspace) as bench:
        bench.unpin(pin_id)
    terminal.out.print(f"Pin {pin_id} is taken out.")
