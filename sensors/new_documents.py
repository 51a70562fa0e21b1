"""The sensor `new_documents`: a file added, changed or removed leads to one run of its workspace, and no more."""

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from elmer_pipelines.errors import ElmerError
from elmer_pipelines.resources import WORKSPACES, ElmerResource
from sensors.jobs import refresh, runs_under_way

if TYPE_CHECKING:
    from elmer_pipelines.documents.ingest import SourceChanges

TICK_SECONDS = 20.0  # well under the minute that Dagster gives a tick; the next one goes on where this one stopped


@dataclass
class Memory:
    """What the sensor remembers: per workspace the listing it last asked a run for and how many it has asked for;
    and the workspace at which a tick ran out of time."""

    asked: dict[str, str] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    stopped_at: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """The inverse of `cursor`."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def cursor(self) -> str:
        """Small JSON for Dagster to keep."""
        return json.dumps(self.__dict__, sort_keys=True)

    def wants_run(self, workspace_id: str, changes: "SourceChanges") -> bool:
        """Whether this state of the folder needs a run that was not asked for yet; remembers that it now is.

        When nothing is left to do the state is forgotten, so that coming back to an earlier one counts as a change.
        """
        if not changes.any:
            self.asked.pop(workspace_id, None)
            return False
        if self.asked.get(workspace_id) == changes.state:
            return False
        self.asked[workspace_id] = changes.state
        self.count[workspace_id] = self.count.get(workspace_id, 0) + 1
        return True


def new_documents_sensor(poll_interval_ms: int) -> dg.SensorDefinition:
    """The sensor, looking at each workspace's folder every `poll_interval_ms` (rounded up to seconds)."""

    @dg.sensor(
        job=refresh,
        minimum_interval_seconds=max(1, -(-poll_interval_ms // 1000)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares each workspace's folder with what was read, and asks for a run where they differ.",
    )
    def new_documents(context: dg.SensorEvaluationContext, elmer: ElmerResource) -> dg.SensorResult:
        memory = Memory.of(context.cursor)
        workspaces = elmer.workspace_ids()
        unknown = sorted(set(workspaces) - set(context.instance.get_dynamic_partitions("workspaces")))
        requests, notes = _look(context, elmer, memory, workspaces)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join(notes) or "No document was added, changed or removed.",
            cursor=memory.cursor(),
            dynamic_partitions_requests=[WORKSPACES.build_add_request(unknown)] if unknown else [],
        )

    return new_documents


def _look(
    context: dg.SensorEvaluationContext, elmer: ElmerResource, memory: Memory, workspaces: list[str]
) -> tuple[list[dg.RunRequest], list[str]]:
    """Every workspace once, from where the last tick stopped, until time is up; at least one."""
    busy, began = runs_under_way(context.instance), time.monotonic()
    requests: list[dg.RunRequest] = []
    notes: list[str] = []
    later = [one for one in workspaces if one >= memory.stopped_at]
    order = later + [one for one in workspaces if one not in later]
    memory.stopped_at = ""
    for number, workspace_id in enumerate(order):
        if number and time.monotonic() - began > TICK_SECONDS:
            memory.stopped_at = workspace_id
            notes.append(f"out of time at {workspace_id}")
            break
        if workspace_id in busy:
            notes.append(f"{workspace_id}: run {busy[workspace_id][:8]} is under way")
            continue
        try:
            changes = elmer.pipeline.changes(workspace_id)
        except ElmerError as error:  # an empty or missing folder, a broken workspace.toml: the others go on
            notes.append(f"{workspace_id}: {error}")
            context.log.warning("%s: %s", workspace_id, error)
            continue
        if memory.wants_run(workspace_id, changes):
            requests.append(_request(context, memory, workspace_id, changes))
        elif changes.any:
            notes.append(f"{workspace_id}: a run for this change ended without finishing it, see its page")
    return requests, notes


def _request(
    context: dg.SensorEvaluationContext, memory: Memory, workspace_id: str, changes: "SourceChanges"
) -> dg.RunRequest:
    """One run. The key counts what was asked for and what was read, because Dagster never reuses a key."""
    read = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("documents"), asset_partitions=[workspace_id]), limit=1
    )
    last_read = read.records[0].storage_id if read.records else 0
    context.log.info(
        "%s: %d added, %d changed, %d removed, %d unfinished",
        workspace_id, changes.added, changes.changed, changes.removed, changes.unfinished,
    )  # fmt: skip
    return dg.RunRequest(
        run_key=f"{workspace_id}:{last_read}:{memory.count[workspace_id]}:{changes.state[:16]}",
        partition_key=workspace_id,
        tags={"elmer/trigger": "new_documents"},
    )
