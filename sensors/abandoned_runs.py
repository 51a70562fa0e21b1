"""Runs whose process is gone: nobody else would ever end them, and they keep their place in queue and pools."""

import json
import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.run_locks import is_alive

# How long a run may be in a status without showing that its process lives: until it has loaded and taken its lock.
_PATIENCE = {
    dg.DagsterRunStatus.NOT_STARTED: timedelta(seconds=60),
    dg.DagsterRunStatus.STARTING: timedelta(seconds=120),
    dg.DagsterRunStatus.STARTED: timedelta(seconds=20),
    dg.DagsterRunStatus.CANCELING: timedelta(seconds=20),
}
_LOOK_AGAIN_SECONDS = 5.0  # a run lets go of its lock a moment before it reports its end
_WHY = "The process of this run is gone: it was killed, or the machine stopped."


def reap(instance: dg.DagsterInstance, database: Database, *, nothing_else_runs: bool = False) -> list[str]:
    """End every run whose process is gone, and free its pool slots; returns their ids.

    Run by the same database from another process are safe: they hold a lock. `nothing_else_runs` says that no daemon
    is up, so that runs it was about to start need no patience. Takes five seconds where there is a suspect, else none.
    """
    suspects = gone(instance, database, patient=not nothing_else_runs)
    if suspects:
        time.sleep(_LOOK_AGAIN_SECONDS)
        suspects &= gone(instance, database, patient=not nothing_else_runs)
    return [end(instance, run_id) for run_id in sorted(suspects)]


def gone(instance: dg.DagsterInstance, database: Database, *, patient: bool = True) -> set[str]:
    """Runs that should be running and show no life."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(_PATIENCE)))
    if not records:
        return set()
    now = datetime.now(UTC)
    with database.begin() as connection:
        return {
            record.dagster_run.run_id
            for record in records
            if (
                not patient
                or _proves_life_first(record)
                or now - _utc(record.update_timestamp) > _PATIENCE[record.dagster_run.status]
            )
            and not is_alive(connection, record.dagster_run.run_id)
        }


def _proves_life_first(record: dg.RunRecord) -> bool:
    """Whether the run's process took its lock before the run was made, so that no lock means no process."""
    return record.dagster_run.tags.get("elmer/trigger") == "elmer run"


def end(instance: dg.DagsterInstance, run_id: str) -> str:
    """Report the run as failed (as cancelled where that was asked for) and free what it held."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _WHY)
        else:
            instance.report_run_failed(run, _WHY)
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return run_id


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, so that their workspace and pool slots are free again.",
)
def abandoned_runs(context: dg.SensorEvaluationContext, elmer: ElmerResource) -> dg.SkipReason:
    """End what showed no life at two ticks."""
    before = set(json.loads(context.cursor or "[]"))
    now = gone(context.instance, elmer.pipeline.database)
    ended = [end(context.instance, run_id) for run_id in sorted(before & now)]
    context.update_cursor(json.dumps(sorted(now - set(ended))))
    return dg.SkipReason(f"Ended {', '.join(ended)}." if ended else "Every run that should be running is.")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
