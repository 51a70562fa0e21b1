"""The sensor `run_failures`: a run that failed becomes a notification."""

import dagster as dg

from elmer_pipelines.notifications import notify_failure
from elmer_pipelines.resources import ElmerResource


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Writes a line to ELMER_HOME/notifications.jsonl for every run that failed.",
)
def run_failures(context: dg.RunFailureSensorContext, elmer: ElmerResource) -> None:
    """Tell which workspace, which job, and the first line of why."""
    run = context.dagster_run
    reason = (context.failure_event.message or "no reason was given").strip()
    notify_failure(elmer.pipeline.settings, run.tags.get("dagster/partition"), run.job_name, reason, run.run_id)
