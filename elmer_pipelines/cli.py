"""`elmer`: the command. Each function reads its arguments, calls the workbench or the pipeline, and shows what came.

Dagster is reached through `definitions`, loaded only by the commands that need it.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from sqlalchemy.exc import DBAPIError

from elmer_pipelines.console import batches, clusters, duplicates, searching, terminal
from elmer_pipelines.console.files import records
from elmer_pipelines.console.options import JsonOption, WorkspaceOption, open_workbench, print_json
from elmer_pipelines.errors import ElmerError, SettingsError
from elmer_pipelines.settings import load_settings

app = typer.Typer(
    name="elmer",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Turns what customers say into product decisions that can be traced back to their words.\n\n"
    "A folder of documents is a [bold]workspace[/bold]. [bold]elmer run[/bold] brings it up to date: documents become "
    "signals (verbatim quotes), signals become clusters, clusters and your named projects become cited briefs and "
    "PRDs.\n\n"
    "New here: [bold]elmer demo[/bold], then [bold]elmer dev[/bold]. With documents of your own: "
    "[bold]elmer init acme ./interviews[/bold], then [bold]elmer run[/bold].",
)
evaluate = typer.Typer(no_args_is_help=True, help="Score the product on a labelled file, with the models in use.")
app.add_typer(evaluate, name="eval", rich_help_panel="Check and operate")

app.add_typer(clusters.app, name="clusters", rich_help_panel="Look and take away")

_START, _LOOK, _OPERATE = "Start", "Look and take away", "Check and operate"
app.command(rich_help_panel=_OPERATE)(batches.batches)


def main() -> None:
    """Run the command; an error that was foreseen is one message and exit code 2."""
    try:
        app()
    except ElmerError as error:
        terminal.problem(str(error))
        sys.exit(2)
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or ["no answer"]
        terminal.problem(
            f"the database failed: {said[0]}. Start it or free space; what was finished is saved, run again."
        )
        sys.exit(2)
    except KeyboardInterrupt:
        terminal.problem("stopped. What was finished is saved; run the same command to go on.")
        sys.exit(130)


@app.command(rich_help_panel=_START)
def demo() -> None:
    """Run the whole pipeline on the sample workspace and show what it found. No keys needed."""
    from elmer_pipelines.console.demo import run_demo

    raise typer.Exit(run_demo(load_settings()))


@app.command(rich_help_panel=_START)
def init(
    workspace_id: Annotated[str, typer.Argument(metavar="ID", help="Short name: lower-case letters, digits, - and _.")],
    path: Annotated[str, typer.Argument(help="The folder with its documents, or an fsspec URL such as s3://bucket/x.")],
    move: Annotated[
        bool, typer.Option("--move", help="Point a workspace that has another folder to this one.")
    ] = False,
) -> None:
    """Register a folder of documents as a workspace; writes a workspace.toml where there is none."""
    from elmer_pipelines.workbench import register_workspace

    made = register_workspace(load_settings(), workspace_id, path, move=move)
    place = path if "://" in path else Path(path).expanduser().resolve()
    terminal.out.print(
        f"Workspace {workspace_id} is {place}" + (" (workspace.toml written)" if made else ""), markup=False
    )
    terminal.out.print(f"Next: [bold]elmer run --workspace {workspace_id}[/bold]")


@app.command(rich_help_panel=_START)
def run(
    workspace: WorkspaceOption = None,
    select: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--select", "-s", metavar="ASSETS", help='Only these, e.g. "signals", "signal_clusters+" or "+prds".'
        ),
    ] = None,
) -> None:
    """Bring a workspace up to date through Dagster; only what is new or changed is worked. Exit 1: a step failed."""
    from elmer_pipelines.console.running import run_workspace

    counted = terminal.counted
    with open_workbench(workspace) as bench:
        ok = run_workspace(bench, select)
        found = bench.status()
        failed = len(bench.failures())
    terminal.out.print(
        f"{found['workspace']}: {counted(found['documents']['documents'], 'document')}, "
        f"{counted(found['signals']['total'], 'signal')}, {counted(found['clusters']['total'], 'cluster')}, "
        f"{counted(sum(found['projects'].values()), 'project')}. "
        "Next: [bold]elmer status[/bold], [bold]elmer search[/bold], [bold]elmer dev[/bold]"
    )
    if waiting := sum(found["waiting"].values()):
        terminal.out.print(f"{waiting:,} records wait for message batches: [bold]elmer batches[/bold] shows them.")
    if failed:
        records_failed = "1 record" if failed == 1 else f"{failed} records"
        terminal.out.print(f"{records_failed} failed: [bold]elmer failures[/bold] says why.", style="yellow")
    raise typer.Exit(0 if ok else 1)


@app.command(rich_help_panel=_START)
def dev(
    port: Annotated[
        int, typer.Option(help="Port of Dagster's pages on 127.0.0.1; another free one if it is taken.")
    ] = 3000,
) -> None:
    """Open Dagster's pages, daemon and sensors on this installation, until Ctrl-C."""
    from elmer_pipelines.definitions import run_dev

    raise typer.Exit(run_dev(load_settings(), port))


@app.command(rich_help_panel=_LOOK)
def status(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Counts per step, of documents, signals, clusters, projects, artifacts, and model calls with their cost."""
    with open_workbench(workspace) as bench:
        found = bench.status()
    if as_json:
        print_json(found)
        return
    from elmer_pipelines.console.views import show_status

    show_status(found)


@app.command(rich_help_panel=_LOOK)
def costs(
    workspace: WorkspaceOption = None,
    by: Annotated[
        Literal["day", "asset", "model", "workspace", "run", "prompt"], typer.Option(help="What a row stands for.")
    ] = "model",
    as_json: JsonOption = False,
) -> None:
    """What the models' calls came to: calls, answers from the cache, failures, tokens, USD."""
    from elmer_pipelines.console.views import show_budget

    with open_workbench(workspace) as bench:
        rows, budget = records(bench.costs(by=by)), bench.budget()
    if as_json:
        print_json(rows)
        return
    terminal.out.print(terminal.table(f"Costs by {by}", rows))
    show_budget(budget)


app.command("search", rich_help_panel=_LOOK)(searching.search)
app.add_typer(duplicates.app, name="duplicates", rich_help_panel=_LOOK)


@app.command(rich_help_panel=_LOOK)
def trace(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="S-… signal, C-… cluster, P-… project, A-… artifact, D-… document, or a PRD's file."
        ),
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """From a PRD, citation, cluster or signal down to the quote inside its paragraph."""
    with open_workbench(workspace) as bench:
        found = bench.trace(record_id)
    if as_json:
        print_json(found)
        return
    from elmer_pipelines.console.views import show_trace

    show_trace(found)


@app.command(rich_help_panel=_LOOK)
def export(
    what: Annotated[
        Literal["documents", "signals", "clusters", "links", "artifacts"], typer.Argument(help="What to write.")
    ],
    workspace: WorkspaceOption = None,
    form: Annotated[
        Literal["csv", "jsonl", "parquet"], typer.Option("--format", "-f", help="The file's format.")
    ] = "csv",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The file to write; by default standard output (parquet needs a file)."),
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="In csv, no apostrophe before what a spreadsheet would run as a formula.")
    ] = False,
) -> None:
    """Write rows with all a person or a program needs: a signal with its document, place, words, cluster, projects."""
    from elmer_pipelines.console.files import write

    with open_workbench(workspace) as bench:
        write(bench.export(what), form, output, as_is=as_is)


@app.command("plan", rich_help_panel=_OPERATE)
def plan_run(
    workspace: WorkspaceOption = None,
    select: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--select", "-s", metavar="ASSETS", help='Only these, e.g. "signals", "signal_clusters+" or "+prds".'
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What a run would do and why, with calls, tokens, dollars and minutes. Nothing is spent or changed."""
    with open_workbench(workspace) as bench:
        found = bench.plan(select)
    if as_json:
        print_json([one.as_json() for one in found])
        return
    from elmer_pipelines.console.plans import show_plan

    show_plan(found)


@app.command(rich_help_panel=_OPERATE)
def explain(
    record_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="D-… document, S-… signal, C-… cluster, P-… project, A-… artifact, or a file's path."
        ),
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why a record is fresh or stale: what it was last made of, by which run, and what is different now."""
    with open_workbench(workspace) as bench:
        found = bench.explain(record_id)
    if as_json:
        print_json(found.as_json())
        return
    from elmer_pipelines.console.plans import show_explanation

    show_explanation(found)


@app.command(rich_help_panel=_OPERATE)
def failures(
    workspace: WorkspaceOption = None,
    retry: Annotated[bool, typer.Option("--retry", help="Make them pending again; the next run takes them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What failed, why, and what to do about it."""
    with open_workbench(workspace) as bench:
        found = bench.failures()
        count = bench.retry_failures() if retry else 0
    if as_json:
        print_json(records(found))
        return
    if not len(found):
        terminal.out.print("Nothing has failed.")
        return
    from elmer_pipelines.console.views import show_failures

    show_failures(records(found))
    if retry:
        terminal.out.print(f"\n{count} are pending again. Next: [bold]elmer run[/bold]")


@app.command(rich_help_panel=_OPERATE)
def purge(
    document: Annotated[str, typer.Argument(help="D-… id, address, or path of a source file.")],
    workspace: WorkspaceOption = None,
    keep_out: Annotated[
        bool, typer.Option("--keep-out", help="The source file is still there: purge all of it, never read it again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a document everywhere: signals, vectors, answers, themes and artifacts made with it. Not its file."""
    with open_workbench(workspace) as bench:
        plan = bench.plan_purge(document, keep_out=keep_out)
        terminal.out.print(terminal.table("Documents", [one._asdict() for one in plan.documents]))
        terminal.out.print(terminal.table("Will be deleted", [dict(plan.counts())]))
        if not yes and not typer.confirm("Delete these for good?"):
            raise typer.Exit(1)
        bench.purge(plan)
    terminal.out.print("Purged. Source files are as they were. Names and artifacts are made again by: elmer run")
    for path in plan.kept_out:
        terminal.out.print(f"{path} is kept out: no run reads it again under this path.", markup=False)


@app.command(rich_help_panel=_OPERATE)
def doctor(as_json: JsonOption = False) -> None:
    """Check the database, its extension, keys, models, folders and every setting. Exit 1: something does not work."""
    from elmer_pipelines.console.doctor import examine
    from elmer_pipelines.console.views import show_doctor

    findings = examine(load_settings())
    if as_json:
        print_json([one.__dict__ for one in findings])
    else:
        show_doctor(findings)
    raise typer.Exit(1 if any(one.state == "broken" for one in findings) else 0)


@app.command(rich_help_panel=_OPERATE)
def env() -> None:
    """Print the variables Dagster's own commands need: eval "$(elmer env)". Keeps the embedded database running."""
    from elmer_pipelines.installation import embedded_server, environment, open_database

    settings = load_settings()
    variables = environment(settings)
    open_database(settings).close()
    server = embedded_server(settings)
    if server is not None:
        server.keep()
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command(rich_help_panel=_OPERATE)
def stop(
    force: Annotated[bool, typer.Option("--force", help="Even while elmer dev, a run or a notebook uses it.")] = False,
) -> None:
    """Stop the embedded database that `elmer env` left running."""
    from elmer_pipelines.installation import own_server

    server = own_server(load_settings())
    if server is None:
        raise SettingsError("DATABASE_URL names another server than the embedded one: it is not Elmer's to stop.")
    if not force and server.in_use():
        raise SettingsError("elmer dev, a run or a notebook is using the database: end it first, or give --force.")
    server.stop()
    terminal.out.print("The embedded database is stopped.")


@evaluate.command("extraction")
def evaluate_extraction(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a sentence a row.")],
    text: Annotated[str, typer.Option(help="Column with the sentence.")] = "content",
    label: Annotated[
        str, typer.Option(help="Column that is empty (or 0, false, no) where nothing is to be kept.")
    ] = "features",
    group: Annotated[str, typer.Option(help="Column to score by; may be missing.")] = "app",
    as_json: JsonOption = False,
) -> None:
    """Is a sentence with annotated features kept, one without dropped? Precision, recall, F1 per group."""
    from elmer_pipelines.evaluation.extraction import evaluate_extraction as score
    from elmer_pipelines.models.choosing import text_model
    from elmer_pipelines.signals.claude_extractor import ClaudeExtractor

    model = text_model(load_settings(), "extract")
    extractor = ClaudeExtractor(model) if model else None
    scores = score(file, text=text, label=label, group=group, extractor=extractor)
    typer.echo(json.dumps(scores.as_json(), indent=2) if as_json else scores.as_table())


@evaluate.command("clusters")
def evaluate_clusters(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a text a row.")],
    text: Annotated[str, typer.Option(help="Column with the text.")] = "text",
    label: Annotated[str, typer.Option(help="Column with the group people put it in.")] = "category",
    as_json: JsonOption = False,
) -> None:
    """How well do our clusters agree with people's groups? Adjusted Rand index and mutual information."""
    from elmer_pipelines.evaluation.clusters import evaluate_clusters as score
    from elmer_pipelines.models.choosing import embedding_model

    scores = score(file, text=text, label=label, model=embedding_model(load_settings()))
    typer.echo(json.dumps(scores.as_json(), indent=2) if as_json else scores.as_table())


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    main()
