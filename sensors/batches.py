"""The sensor `message_batches`: a batch that ended leads to one run of its workspace, which takes in its answers."""

import hashlib
from datetime import UTC, datetime

import dagster as dg

from elmer_pipelines.batching.patience import PATIENT_TAG
from elmer_pipelines.errors import ElmerError
from elmer_pipelines.resources import ElmerResource
from elmer_pipelines.store.batches import Batch
from sensors.jobs import refresh, runs_under_way

INTERVAL_SECONDS = 60


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether message batches ended, and asks for a run of their workspace, which uses the answers.",
)
def message_batches(context: dg.SensorEvaluationContext, elmer: ElmerResource) -> list[dg.RunRequest] | dg.SkipReason:
    """One run a workspace for the batches that ended; asked for again within the hour where it came to nothing."""
    busy = runs_under_way(context.instance)
    requests = []
    for workspace_id in elmer.workspace_ids():
        if workspace_id in busy:
            continue
        try:
            ended = elmer.pipeline.batching.ended(workspace_id)
        except ElmerError as error:  # the others go on
            context.log.warning("%s: %s", workspace_id, error)
            continue
        if ended:
            requests.append(_request(workspace_id, ended))
    return requests or dg.SkipReason("No message batch has ended.")


def _request(workspace_id: str, ended: list[Batch]) -> dg.RunRequest:
    """Where nobody waited for the requests, nobody waits for what follows from them."""
    names = " ".join(sorted(one.id for one in ended))
    key = hashlib.sha256(names.encode()).hexdigest()[:16]
    tags = {"elmer/trigger": "message_batches"}
    if all(one.detail.get("patient") for one in ended):
        tags[PATIENT_TAG] = "true"
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    return dg.RunRequest(run_key=f"{workspace_id}:{key}:{hour}", partition_key=workspace_id, tags=tags)
