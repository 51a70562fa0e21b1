"""What `status`, `trace` and `doctor` print."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from elmer_pipelines.console import terminal
from elmer_pipelines.console.terminal import out, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elmer_pipelines.console.doctor import Finding

_SHOWN = 12
_STATE_STYLE = {"fine": "green", "off": "dim", "warning": "yellow", "broken": "bold red"}


def show_status(found: Mapping[str, Any]) -> None:
    """The counts of a workspace, as tables."""
    documents, signals = found["documents"], found["signals"]
    out.print(f"Workspace [bold]{escape(found['workspace'])}[/bold]\n")
    out.print(table("Documents", [documents]))
    out.print()
    out.print(Text(f"Signals: {signals['total']:,}", style="bold"))
    if signals["by_severity"]:
        out.print(table("", [{**signals["by_severity"]}]))
    out.print(
        f"\nClusters: {found['clusters']['total']:,} ({found['clusters']['unclustered']:,} signals unclustered)   "
        f"Projects: {found['projects']['named']} named, {found['projects']['initiative']} initiatives"
    )
    for title in ("by_action", "by_trend"):
        if found["clusters"][title]:
            out.print("  " + ", ".join(f"{number:,} {name}" for name, number in found["clusters"][title].items()))
    for kind, counts in found["artifacts"].items():
        out.print(f"{kind.replace('_', ' ')}s: {counts['final']} final, {counts['draft']} draft")
    out.print()
    out.print(table("Steps", [{"step": step, **counts} for step, counts in found["steps"].items()]))
    if found["waiting"]:
        told = ", ".join(f"{number:,} of {step}" for step, number in found["waiting"].items())
        out.print(f"Waiting for message batches: {told}. [bold]elmer batches[/bold] shows them.")
    out.print()
    columns = ["model", "calls", "inputs", "input_tokens", "output_tokens", "cached", "failed", "cost_usd"]
    out.print(table("Models", found["models"], columns))
    cost = "unknown (a price is not known)" if found["cost_usd"] is None else f"{found['cost_usd']:.4f} USD"
    out.print(f"\nPaid model calls: {found['model_calls']:,}   cost: {cost}")
    show_budget(found["budget"])
    if found["notifications"]:
        out.print("\n[bold]Of the last two weeks[/bold]")
    for one in found["notifications"]:
        out.print(Text(f"  {one['at'][:10]}  {one['message']}"))


def show_budget(budget: Mapping[str, float | None]) -> None:
    """What today has spent of each cap."""
    for cap, spent, whose in (
        ("cap_usd", "spent_today_usd", "today"),
        ("workspace_cap_usd", "workspace_spent_today_usd", "today, this workspace"),
    ):
        limit = "no cap" if budget[cap] is None else f"of {budget[cap]:.2f} USD"
        if budget[cap] is not None or cap == "cap_usd":
            out.print(f"Budget {whose}: {budget[spent]:.4f} USD {limit}")
    if budget["owed_for_batches_usd"]:
        out.print(f"Open message batches may cost {budget['owed_for_batches_usd']:.4f} USD more at the worst.")


def show_trace(found: Mapping[str, Any]) -> None:
    """A record, and the quotes it stands on."""
    facts = [
        f"{name.replace('_', ' ')}: {found[name]}"
        for name in ("version", "status", "written_by", "stage", "origin", "size", "trend", "address", "file")
        if found.get(name) is not None
    ]
    out.print(
        Text.assemble(
            (f"{found['kind'].replace('_', ' ')} {found['id']}", "bold"), "  ", terminal.harmless(found["title"])
        )
    )
    out.print(Text("   ".join(facts), style="dim"))
    for text in (found.get("description"), found.get("summary")):
        if text:
            out.print(Text(terminal.harmless(text)))
    quotes = {one["id"]: one for one in found["quotes"]}
    if "citations" in found:
        _show_citations(found["citations"], quotes)
    else:
        out.print(Group(*(terminal.quote(one) for one in list(quotes.values())[:_SHOWN])))
    if len(quotes) > _SHOWN and "citations" not in found:
        out.print(f"… and {len(quotes) - _SHOWN:,} more; --json has all.")
    for title, citing in groupby(found.get("cited_in", []), key=lambda one: (one["title"], one["id"], one["version"])):
        out.print(Text(f"cited {len(list(citing))} times in {title[0]} ({title[1]}, version {title[2]})"))


def _show_citations(citations: Sequence[Mapping[str, Any]], quotes: Mapping[str, Mapping[str, Any]]) -> None:
    """Each cited sentence with its quotes; a quote is shown where it is cited first."""
    shown: set[str] = set()
    lost = {one["signal_id"] for one in citations if not one["resolved"]}
    for sentence, cited in groupby(citations, key=lambda one: str(one["sentence"])):
        ids = [one["signal_id"] for one in cited]
        out.print(Text.assemble("\n", ("▸ ", "bold"), terminal.harmless(sentence)))
        for signal_id in ids:
            if signal_id in lost or signal_id not in quotes:
                out.print(Text(f"  {signal_id}: not a signal of this project", style="bold red"))
            elif signal_id not in shown:
                out.print(terminal.quote(quotes[signal_id]))
        again = [one for one in ids if one in shown]
        if again:
            out.print(Text(f"  shown above: {', '.join(again)}", style="dim"))
        shown.update(ids)


def show_failures(rows: Sequence[Mapping[str, Any]]) -> None:
    """What failed, by step: the record, what happened, and what to do about it."""
    out.print(Text(f"{len(rows):,} {'record' if len(rows) == 1 else 'records'} failed", style="bold"))
    for step, failed in groupby(rows, key=lambda row: str(row["step"])):
        out.print(Text(f"\n{step}", style="bold"))
        for row in failed:
            out.print(Text.assemble("  ", (terminal.harmless(row["record_id"]), "yellow"), f"  {row['error_kind']}"))
            out.print(Padding(Text(terminal.harmless(row["message"])), (0, 0, 0, 4)))
            out.print(Padding(Text(f"→ {row['next_step']}", style="dim"), (0, 0, 0, 4)))


def show_doctor(findings: Sequence[Finding]) -> None:
    """What was checked, and how it stands."""
    for group in dict.fromkeys(one.group for one in findings):
        out.print(Text(group, style="bold"))
        for one in findings:
            if one.group == group:
                state = (f"  {one.state:<8}", _STATE_STYLE[one.state])
                out.print(Text.assemble(state, f"{one.name:<30} ", (one.detail, "dim" if one.state == "off" else "")))
        out.print()
