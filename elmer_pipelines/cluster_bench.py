"""The part of the workbench that is about clusters: looking at them, their history and trends; names and pins.

The rest is `workbench.py`, which people use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elmer_pipelines.cluster_map import picture
from elmer_pipelines.clusters import history as told
from elmer_pipelines.clusters import overview, pinning
from elmer_pipelines.clusters import views as cluster_views
from elmer_pipelines.clusters.clustering import ask_again
from elmer_pipelines.frames import frame
from elmer_pipelines.planning import reading
from elmer_pipelines.store import cluster_members
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.tracing import quotes

if TYPE_CHECKING:
    import pandas as pd

    from elmer_pipelines.pipeline import Pipeline
    from elmer_pipelines.store.clusters import Level
    from elmer_pipelines.store.database import Database


class ClusterBench:
    """What a workbench does with the clusters of its workspace."""

    database: Database
    pipeline: Pipeline
    workspace_id: str

    def clusters(self, level: Level = "theme") -> pd.DataFrame:
        """Live areas, themes or needs, largest first: id, theme, summary, distinction, size, severity, frequency,
        confidence, suggested_action, trend, documents, kinds, segments, first_heard, last_heard, weeks…"""
        with self.database.begin() as connection:
            return frame(overview.clusters(connection, self.workspace_id, level))

    def cluster_tree(self) -> list[dict[str, Any]]:
        """Areas, themes and needs as rows in the order of a tree, each with its `depth`; plain values."""
        with self.database.begin() as connection:
            return cluster_views.tree(connection, self.workspace_id)

    def neighbour_recall(self) -> float | None:
        """The share of true neighbours that the last clustering saw: 1 where it compared all with all."""
        with self.database.begin() as connection:
            return overview.neighbour_recall(connection, self.workspace_id)

    def cluster(self, cluster_id: str) -> dict[str, Any]:
        """One cluster of any level, ended or not: what it amounts to, what is above and below it, its quotes, pins and
        history. Raises NotFoundError."""
        with self.database.begin() as connection:
            found = cluster_views.shown(connection, self.workspace_id, cluster_id)
            found["quotes"] = quotes(connection, self.workspace_id, found.pop("signal_ids"))
        return found

    def trends(self, level: Level = "theme") -> pd.DataFrame:
        """How clusters grow or fade, those that change first: id, theme, size, verdict, line, arithmetic, weeks."""
        with self.database.begin() as connection:
            rows = cluster_views.trends(connection, self.workspace_id, level)
        return frame(rows, ["id", "theme", "size", "verdict", "line", "arithmetic", "weeks"])

    def cluster_map(self) -> str | None:
        """A picture of the themes, like ones near each other, as SVG; None without any."""
        with self.database.begin() as connection:
            return picture(connection, self.workspace_id, self.pipeline.embedder.model)

    def unclustered(self) -> pd.DataFrame:
        """Signals in no cluster: signal_id, words, nearest_id, theme and similarity of the nearest cluster."""
        with self.database.begin() as connection:
            rows = cluster_members.unclustered(connection, self.workspace_id)
        return frame(rows, ["signal_id", "words", "nearest_id", "theme", "similarity"])

    def cluster_history(self, cluster_id: str) -> pd.DataFrame:
        """What happened to a cluster: at, event, said, detail. Raises NotFoundError."""
        with self.database.begin() as connection:
            entries = told.history(connection, self.workspace_id, cluster_id)
        return frame([one.__dict__ for one in entries], ["at", "event", "said", "detail"])

    def plan_clusters(self) -> told.Preview:
        """What a full clustering would change, before it does; nothing is written."""
        with reading(self.database) as connection:
            return told.preview(connection, self.workspace_id, self.pipeline.embedder)

    def cluster_again(self) -> None:
        """Have the next run cluster everything again, whatever has changed."""
        ask_again(self.database, self.workspace_id)

    def pins(self) -> pd.DataFrame:
        """Your pins: id, kind, signal_id, words, other_signal_id, other_words, cluster_id, theme, state, created_at."""
        with self.database.begin() as connection:
            rows = pinning.listed(connection, self.workspace_id)
        columns = ["id", "kind", "signal_id", "words", "other_signal_id", "other_words", "cluster_id", "theme", "state"]
        return frame(rows, [*columns, "created_at"])

    def pin(self, signal_id: str, cluster_id: str) -> int:
        """Have a signal belong to a cluster from the next run on; the pin's id. Raises NotFoundError, PinError."""
        with self.database.begin() as connection:
            return pinning.pin_to(connection, self.workspace_id, signal_id, cluster_id)

    def pin_together(self, *signal_ids: str) -> list[int]:
        """Keep signals in one cluster; the pins' ids. Raises NotFoundError, PinError."""
        with self.database.begin() as connection:
            return pinning.pin_together(connection, self.workspace_id, signal_ids)

    def pin_apart(self, *signal_ids: str) -> list[int]:
        """Never have any two of these in one cluster; the pins' ids. Raises NotFoundError, PinError."""
        with self.database.begin() as connection:
            return pinning.pin_apart(connection, self.workspace_id, signal_ids)

    def unpin(self, pin_id: int) -> None:
        """Take a pin out. Raises NotFoundError."""
        with self.database.begin() as connection:
            pinning.unpin(connection, self.workspace_id, pin_id)

    def name_cluster(self, cluster_id: str, theme: str | None) -> None:
        """Give a cluster your name for it, which no machine changes; None takes it back. Raises NotFoundError."""
        with self.database.begin() as connection:
            wanted = told.cluster_of(connection, self.workspace_id, cluster_id)
            cluster_store.name_by_person(connection, self.workspace_id, wanted["id"], theme)
