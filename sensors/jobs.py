"""The job that sensors, schedules and the command start: all steps of one workspace, in one process."""

import dagster as dg

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="Brings one workspace up to date, from its files to its PRDs. What has not changed costs nothing.",
)


def runs_under_way(instance: dg.DagsterInstance) -> dict[str, str]:
    """Workspaces that have a run queued or running, with its id."""
    statuses = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    return {run.tags["dagster/partition"]: run.run_id for run in runs if "dagster/partition" in run.tags}
