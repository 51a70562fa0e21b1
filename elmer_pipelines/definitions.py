"""The whole of Dagster's side put together, and what the command needs of it: open the instance, run a workspace.

Nothing is read or opened when this module is imported; `defs` is called by Dagster when it loads the code location.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dagster as dg
from pydantic import SecretStr

from assets import artifacts, clusters, projects, signals, sources
from elmer_pipelines.errors import SettingsError
from elmer_pipelines.installation import environment, open_database
from elmer_pipelines.logic import code_version
from elmer_pipelines.notifications import notify_failure
from elmer_pipelines.resources import WORKSPACES, ElmerResource, keep_connections, open_pipeline
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.stack import DEFAULT_PORT, free_port, run_stack
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.run_locks import living
from sensors.abandoned_runs import abandoned_runs, reap
from sensors.batches import message_batches
from sensors.jobs import refresh
from sensors.new_documents import new_documents_sensor
from sensors.nightly import nightly
from sensors.run_failures import run_failures

LOCATION = "elmer"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the command shows progress instead
_GROUPS = [sources, signals, clusters, projects, artifacts]
_ASKING = {"signals", "cluster_themes", "signal_classifications", "research_briefs", "prds"}


def build_definitions(settings: Settings, **overrides: Any) -> dg.Definitions:
    """Everything Dagster shows and runs for these settings. `overrides` replace arguments of `dg.Definitions`."""
    whole: dict[str, Any] = {
        "assets": [asset.map_asset_specs(lambda spec: _described(spec, settings)) for asset in all_assets()],
        "jobs": [refresh],
        "schedules": [nightly],
        "sensors": [new_documents_sensor(settings.poll_interval_ms), message_batches, run_failures, abandoned_runs],
        "resources": {"elmer": ElmerResource()},
        "executor": dg.in_process_executor,
    }
    return dg.Definitions(**{**whole, **overrides})


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads. Raises SettingsError; a database that is down is the steps' matter."""
    return build_definitions(load_settings())


def all_assets() -> list[dg.AssetsDefinition]:
    """The assets of every group, from left to right."""
    return [one for module in _GROUPS for one in vars(module).values() if isinstance(one, dg.AssetsDefinition)]


def _described(spec: dg.AssetSpec, settings: Settings) -> dg.AssetSpec:
    """What depends on the installation: whose models an asset uses, and the prompts, models and rules behind it."""
    asset = spec.key.to_user_string()
    return spec.merge_attributes(kinds={_kind(asset, settings)}).replace_attributes(
        code_version=code_version(settings, asset)
    )


def _kind(asset: str, settings: Settings) -> str:
    """The kind shown with the asset: the service whose model works it, or Python."""
    if asset in {"signal_embeddings", "project_embeddings"}:
        return "openai" if settings.openai_api_key else "python"
    return "anthropic" if asset in _ASKING and settings.anthropic_api_key else "python"


def register_workspaces(instance: dg.DagsterInstance, ids: Sequence[str]) -> None:
    """Let Dagster know the workspaces; those it knows already stay."""
    name = WORKSPACES.name
    assert name is not None
    missing = set(ids) - set(instance.get_dynamic_partitions(name))
    if missing:
        instance.add_dynamic_partitions(name, sorted(missing))


def prepare_instance(settings: Settings) -> dg.DagsterInstance:
    """Dagster's instance of this installation, with every workspace registered; use it in a `with`.

    Puts the installation's variables into this process's environment. Raises SettingsError, DatabaseError.
    """
    database = open_database(settings)
    try:
        os.environ.update(environment(settings))
        with database.begin() as connection:
            ids = [one.id for one in workspaces.every(connection)]
    finally:
        database.close()
    instance = dg.DagsterInstance.get()
    keep_connections(instance)
    register_workspaces(instance, ids)
    return instance


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended; true where every step succeeded. `failed_steps` gives the reason by step."""

    run_id: str
    succeeded: bool
    failed_steps: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.succeeded


def run_workspace(workspace_id: str, select: str | None = None, *, settings: Settings | None = None) -> RunOutcome:
    """Bring a workspace up to date in this process, as a run that Dagster's UI shows.

    `select` is Dagster's asset selection (`signals+`, `+prds`); default all. Progress goes to `steps.listening`.
    Raises WorkspaceError for an unknown workspace, SettingsError for an unknown asset.
    """
    settings = settings or load_settings()
    job, chosen = _selected(build_definitions(settings), select)
    with prepare_instance(settings) as instance:
        pipeline = open_pipeline()
        pipeline.root(workspace_id)
        reap(instance, pipeline.database)
        run_id = str(uuid4())
        with living(pipeline.database, run_id):
            done = job.execute_in_process(
                run_config=_QUIET,
                instance=instance,
                partition_key=workspace_id,
                asset_selection=chosen,
                raise_on_error=False,
                run_id=run_id,
                tags=_tags(),
            )
    outcome = RunOutcome(run_id, done.success, _failures(done))
    if not outcome:
        why = "; ".join(f"{step}: {reason}" for step, reason in outcome.failed_steps.items())
        notify_failure(settings, workspace_id, refresh.name, why, run_id)
    return outcome


def _selected(whole: dg.Definitions, select: str | None) -> tuple[dg.JobDefinition, list[dg.AssetKey]]:
    job = whole.resolve_job_def(refresh.name)
    graph = whole.resolve_asset_graph()
    known = ", ".join(key.to_user_string() for key in graph.toposorted_asset_keys)
    try:
        chosen = (dg.AssetSelection.from_string(select) if select else dg.AssetSelection.all()).resolve(graph)
    except dg.DagsterError as error:
        raise SettingsError(f"{select!r} selects no assets: {error} The assets are {known}.") from error
    if not chosen:
        raise SettingsError(f"{select!r} selects no assets. The assets are {known}.")
    return job, sorted(chosen)


def _tags() -> dict[str, str]:
    """The code location the UI files the run under; and no retry by the daemon, which can't start it again."""
    return {
        ".dagster/repository": f"__repository__@{LOCATION}",
        "elmer/trigger": "elmer run",
        "dagster/max_retries": "0",
    }


def _failures(done: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Why each failed step did, by the innermost error's message."""
    found: dict[str, str] = {}
    for event in done.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        found[event.step_key or "run"] = error.message.strip() if error else "no reason was given"
    return found


def run_dev(settings: Settings, port: int = DEFAULT_PORT) -> int:
    """Dagster's UI, daemon and code location until this process is told to stop; returns the exit code.

    Raises SettingsError, DatabaseError.
    """
    with prepare_instance(settings) as instance:
        database = open_database(settings, migrate=False)
        try:
            reap(instance, database, nothing_else_runs=True)
        finally:
            database.close()
    return run_stack({**_as_variables(settings), **environment(settings)}, free_port(port))


def _as_variables(settings: Settings) -> dict[str, str]:
    """What is set, as variables: the stack runs in the project's folder and would not find another `.env.local`."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        Settings.variables()[name][0]: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
        if value is not None
    }
