"""`python -m benchmarks [NAME …]`: runs the benchmarks of this folder (default: all) and prints one table.

A benchmark is a module with `run() -> list[Result]`; modules without it are commands of their own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
import traceback
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import benchmarks

if TYPE_CHECKING:
    from benchmarks.result import Result


def names() -> list[str]:
    """Every benchmark there is."""
    modules = (found.name for found in pkgutil.iter_modules(benchmarks.__path__) if found.name != "__main__")
    return sorted(name for name in modules if hasattr(importlib.import_module(f"benchmarks.{name}"), "run"))


def promise(name: str) -> str:
    """The first line of the benchmark's docstring."""
    return (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip().partition("\n")[0]


def measure(name: str) -> tuple[list[Result], float]:
    """The benchmark's rows, and the seconds it took."""
    began = time.perf_counter()
    rows: list[Result] = importlib.import_module(f"benchmarks.{name}").run()
    return rows, time.perf_counter() - began


def as_table(measured: dict[str, tuple[list[Result], float]]) -> Table:
    """One line per figure, a rule after each benchmark."""
    table = Table(title="Benchmarks", title_justify="left")
    for heading in ("benchmark", "what", "on"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, (rows, seconds) in measured.items():
        for row in rows:
            table.add_row(escape(name), escape(row.what), escape(row.on), f"{row.value:,.4g}", escape(row.unit))
        table.add_row(escape(name), "in all", "", f"{seconds:,.4g}", "s", end_section=True)
    return table


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 when a benchmark failed, 2 when there is none of that name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", dest="only_list")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        sys.stderr.write(f"No benchmark {', '.join(unknown)}; there are: {', '.join(names()) or 'none'}.\n")
        return 2
    if asked.only_list:
        sys.stdout.writelines(f"{name:20} {promise(name)}\n" for name in names())
        return 0
    return _run(asked.names or names(), asked.as_json)


def _run(chosen: list[str], as_json: bool) -> int:
    """Measure each, one failing does not stop the others, and print."""
    measured, failed = {}, []
    for name in chosen:
        sys.stderr.write(f"{name}: {promise(name)}\n")
        try:
            measured[name] = measure(name)
        except Exception:  # noqa: BLE001 - shown in full, and the exit code says so
            traceback.print_exc()
            failed.append(name)
    if as_json:
        rows = [{"benchmark": name, **vars(row)} for name, (found, _) in measured.items() for row in found]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        Console().print(as_table(measured))
    if failed:
        sys.stderr.write(f"Failed: {', '.join(failed)}.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
