"""How things look in a terminal: progress, tables, a quote in its paragraph, errors. Decides nothing else."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.progress import TaskID

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ID = re.compile(r"[A-Z]-[0-9a-z]{12}")
SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green", "none": "dim"}


class StepProgress:
    """A bar per step; call it as a `steps.Progress`. Off a terminal, a line when a step ends instead of bars."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> StepProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` records are finished."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(_titled(step), total=total)
        if not done:
            self._began[step] = time.monotonic()
        self._bars.update(self._tasks[step], completed=done, total=max(total, done))
        if not err.is_terminal and total and done >= total:
            took = time.monotonic() - self._began.get(step, time.monotonic())
            err.print(f"  {_titled(step):<24} {done:>7,} finished in {took:.1f} s")
        if not total:
            self._bars.update(self._tasks[step], total=1, completed=1)


def _titled(step: str) -> str:
    """A step's name in words; what is no step's name (the records of some file) as it is."""
    return step if " " in step else step.replace("_", " ")


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> Table:
    """Rows as a table; numbers to the right; text from customers is never taken for markup."""
    names = list(columns or (rows[0] if rows else []))
    shown = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name in names:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float) for row in rows)
        whole = any(_ID.fullmatch(str(row.get(name))) for row in rows)  # an id in two pieces can't be copied
        shown.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        shown.add_row(*(_cell(row.get(name)) for name in names))
    return shown


def counted(number: int, noun: str) -> str:
    """`1 signal`, `1,204 signals`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def harmless(text: str) -> str:
    """Text of others without what would steer the terminal or turn the direction of what follows."""
    return _CONTROL.sub("\ufffd", text)


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if value is None or value != value:
        return Text("–", style="dim")
    if isinstance(value, float):
        return Text(f"{value:,.2f}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    return Text(harmless(str(value)), style=SEVERITY_STYLE.get(str(value), ""))


def quote(found: Mapping[str, Any]) -> Panel:
    """A signal inside its paragraph, its words set off, with where they stand."""
    words = Text()
    words.append(harmless(found["before"]), style="dim")
    words.append(harmless(found["verbatim"]), style="bold yellow")
    words.append(harmless(found["after"]), style="dim")
    where = Text(f"\n{harmless(found['document']['address'])} · {harmless(place(found))}", style="cyan")
    marks = [found["severity"], found["frequency"], found["segment"]]
    facts = " · ".join(str(mark) for mark in marks if mark)
    return Panel(
        Group(words, where),
        title=escape(f"{found['id']}" + (f" · {facts}" if facts else "")),
        title_align="left",
        border_style=SEVERITY_STYLE.get(found["severity"] or "none", "dim"),
    )


def place(found: Mapping[str, Any]) -> str:
    """Where a quote stands, for a person: speaker, day, paragraph or minute, characters."""
    start, end = found["characters"]
    seconds = found["seconds"]
    parts = [
        found["speaker"],
        (found["occurred_at"] or "")[:10],
        f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}" if seconds is not None else None,
        f"paragraph {found['paragraph']}" if found["paragraph"] and seconds is None else None,
        f"characters {start}–{end}",
    ]
    return " · ".join(str(part) for part in parts if part)


def problem(message: str) -> None:
    """An error a person can act on, to standard error."""
    err.print(Text.assemble(("Error: ", "bold red"), harmless(message)))


def note(message: str) -> None:
    """Something worth knowing that needs no action now, to standard error."""
    err.print(Text.assemble(("Note: ", "bold yellow"), harmless(message)))
