"""The schedule `nightly`: every workspace once a night, for what no file announces (new code, retries, trends).

Clusters that new signals were placed in by day are made anew then, where enough has changed.
"""

import dagster as dg

from elmer_pipelines.resources import ElmerResource
from sensors.jobs import refresh


@dg.schedule(
    job=refresh,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Brings every workspace up to date at 02:30 UTC. A workspace with nothing to do costs seconds.",
)
def nightly(context: dg.ScheduleEvaluationContext, elmer: ElmerResource) -> list[dg.RunRequest] | dg.SkipReason:
    """One run per registered workspace."""
    known = set(context.instance.get_dynamic_partitions("workspaces"))
    night = context.scheduled_execution_time.strftime("%Y-%m-%d")
    chosen = [workspace_id for workspace_id in elmer.workspace_ids() if workspace_id in known]
    for workspace_id in chosen:
        elmer.pipeline.ask_for_nightly_clustering(workspace_id)
    requests = [
        dg.RunRequest(run_key=f"{workspace_id}:{night}", partition_key=workspace_id, tags={"elmer/trigger": "nightly"})
        for workspace_id in chosen
    ]
    return requests or dg.SkipReason("No workspace is registered yet: elmer init ID PATH")
