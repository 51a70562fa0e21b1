"""What every asset, sensor and schedule of Dagster is given: the pipeline, and the hold a run has on its workspace."""

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from elmer_pipelines.installation import open_database
from elmer_pipelines.settings import Settings, load_settings
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.run_locks import holding

if TYPE_CHECKING:
    from elmer_pipelines.pipeline import Pipeline

WORKSPACES = dg.DynamicPartitionsDefinition(name="workspaces")

_open: "dict[Settings, Pipeline]" = {}


def open_pipeline() -> "Pipeline":
    """This process's pipeline, made from the environment at its first use. Raises SettingsError, DatabaseError."""
    from elmer_pipelines.pipeline import Pipeline

    settings = load_settings()
    if settings not in _open:
        close_pipelines()
        _open[settings] = Pipeline(settings, open_database(settings))
    return _open[settings]


def close_pipelines() -> None:
    """Give back every connection of this process; the next use opens them again."""
    while _open:
        _open.popitem()[1].close()


_kept: "weakref.WeakSet[dg.DagsterInstance]" = weakref.WeakSet()


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Let Dagster's storage use its connections again in this process, as its web server does.

    By default it opens one for every event: 570 for a run with nothing to do, 9 ms each.
    """
    if instance not in _kept:
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=20)
        _kept.add(instance)


class ElmerResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster reads the bare type
    """The pipeline of this process. A run that has it is alone on its workspace, whichever way it was started.

    The hold lasts from the run's first step to its last, for executors that run the steps in one process.
    """

    @property
    def pipeline(self) -> "Pipeline":
        """Opened at the first use, shared by the process. Raises SettingsError, DatabaseError."""
        return open_pipeline()

    def workspace_ids(self) -> list[str]:
        """Every registered workspace."""
        with self.pipeline.database.begin() as connection:
            return [one.id for one in workspaces.every(connection)]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["ElmerResource"]:
        """Hold the run's workspace while its steps run; sensors and schedules hold nothing."""
        run = context.run
        workspace_id = run.tags.get(PARTITION_NAME_TAG) if run else None
        if run is None or workspace_id is None:
            yield self
            return
        if context.instance is not None:
            keep_connections(context.instance)
        log = context.log or logging.getLogger(__name__)
        with holding(self.pipeline.database, run.run_id, workspace_id, log):
            yield self
