"""What all assets have in common: a table of PostgreSQL, partitioned by workspace, filled by a step of the pipeline."""

from collections.abc import Callable, Mapping, Sequence
from inspect import cleandoc
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from assets.checks import Check, results, specs
from assets.columns import column_schema
from elmer_pipelines.batching.patience import is_patient, patiently
from elmer_pipelines.resources import WORKSPACES, ElmerResource
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store.table_states import state_of

OWNERS = ["team:product-ops"]
_TABLES = {
    "signal_embeddings": "embeddings",
    "project_embeddings": "embeddings",
    "signal_clusters": "cluster_members",
    "cluster_themes": "clusters",
    "research_briefs": "artifacts",
    "prds": "artifacts",
}
_SHOWN_ROWS = 20

Plot = Callable[[Connection, str], str | None]
# A picture as Markdown, a list of rows, or a figure; None where there is nothing to show.
Show = Callable[[Connection, str, ElmerResource], "str | Sequence[Mapping[str, Any]] | float | None"]


def table_asset(
    group: str,
    *,
    deps: Sequence[str] = (),
    pool: str | None = None,
    checks: Sequence[Check] = (),
    plot: Plot | None = None,
    shows: Mapping[str, Show] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make an asset of a function that runs one step; its docstring is what people read in the UI.

    `shows` are read from the database after each run, by the name they have in the metadata.
    """

    def declare(step: Callable[[ElmerResource, str, str], StepResult]) -> dg.AssetsDefinition:
        name = step.__name__
        table = _TABLES.get(name, name)

        @dg.asset(
            name=name,
            description=cleandoc(step.__doc__ or ""),
            group_name=group,
            partitions_def=WORKSPACES,
            deps=list(deps),
            pool=pool,
            kinds={"postgres"},
            owners=OWNERS,
            check_specs=specs(name, checks),
            metadata={"dagster/table_name": f"elmer.{table}", "dagster/column_schema": column_schema(table)},
        )
        def asset(context: dg.AssetExecutionContext, elmer: ElmerResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare type
            with patiently(is_patient(context.run.tags)):
                done = step(elmer, context.partition_key, context.run.run_id)
            if "stopped_by" in done.counts:
                context.log.warning(
                    f"{name} stopped, {done.counts['left']:,} records are left: {done.counts['reason']}"
                )
            return _materialized(elmer, context.partition_key, done, name, checks, plot, shows or {})

        return asset

    return declare


def _materialized(
    elmer: ElmerResource,
    workspace_id: str,
    done: StepResult,
    name: str,
    checks: Sequence[Check],
    plot: Plot | None,
    shows: Mapping[str, Show],
) -> "dg.MaterializeResult[Any]":
    """What the step did and how its table stands now, as Dagster keeps it."""
    with elmer.pipeline.database.begin() as connection:
        state = state_of(connection, workspace_id, name)
        picture = plot(connection, workspace_id) if plot else None
        read = {title: show(connection, workspace_id, elmer) for title, show in shows.items()}
    shown = {"dagster/row_count": state.rows, **step_metadata(done)}
    if picture:
        shown["picture"] = dg.MetadataValue.md(picture)
    shown |= {title: _value(one) for title, one in read.items() if one is not None and one != []}
    return dg.MaterializeResult(
        metadata=shown,
        check_results=results(elmer, workspace_id, name, checks),
        data_version=dg.DataVersion(state.version),
    )


def _value(shown: str | Sequence[Mapping[str, Any]] | float) -> Any:
    if isinstance(shown, str):
        return dg.MetadataValue.md(shown)
    return dg.MetadataValue.float(shown) if isinstance(shown, float) else table(shown)


def step_metadata(done: StepResult) -> dict[str, Any]:
    """A step's result as metadata: counts as numbers (Dagster plots them over time), lists as tables."""
    counted = {name: value for name, value in done.counts.items() if name not in {"pending", "done", "failed"}}
    shown = {
        "pending": done.pending,
        "done": done.done,
        "failed": done.failed,
        "waiting": done.waiting,
        "model_calls": done.model_calls,
        "cost_usd": dg.MetadataValue.float(float(done.cost_usd)),
        **counted,
    }
    return shown | {title: table(rows) for title, rows in done.tables.items() if rows}


def table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """At most a screenful of rows; what is no text or number is shown as text."""
    columns = list(rows[0])
    records = [dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows[:_SHOWN_ROWS]]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def _cell(value: Any) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else "" if value is None else str(value)
