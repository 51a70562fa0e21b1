"""What every command shares: the options for the workspace and for JSON, opening a workbench, printing JSON.

Groups of commands with a file of their own (`console/…`) take these from here; `cli.py` puts them together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from elmer_pipelines.workbench import Workbench

WorkspaceOption = Annotated[
    Optional[str],  # noqa: UP045 - typer reads this at run time
    typer.Option(
        "--workspace", "-w", metavar="ID", help="Which workspace; by default DEFAULT_WORKSPACE_ID, or the only one."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def open_workbench(workspace: str | None) -> Workbench:
    """The workbench of the current folder's installation."""
    from elmer_pipelines.workbench import Workbench

    return Workbench(workspace)


def print_json(value: Any) -> None:
    """JSON on standard output; dates and the like as text."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
