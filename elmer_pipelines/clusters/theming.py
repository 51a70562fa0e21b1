"""The steps `cluster_themes` and `cluster_trends`: what each cluster is called, and how often it was heard.

How names and trends are worked out is in `themes.py`, `theme_prompt.py` and `trends.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.theme_prompt import ThemeAnswer, named, naming_prompt, nearest_siblings, siblings_of
from elmer_pipelines.clusters.themes import ClusterTexts, Theme, local_themes, with_own_name
from elmer_pipelines.clusters.trends import cluster_trends
from elmer_pipelines.ids import fingerprint, text_hash
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import embeddings, signals
from elmer_pipelines.work import SERVICE_WORKERS, one_by_one, work_through, work_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel, TextModel
    from elmer_pipelines.store.database import Database

_THEMES_VERSION = 1  # raise when the same members would be called otherwise
_TRENDS_VERSION = 1


def name_clusters(
    database: Database,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    *,
    run_id: str | None = None,
) -> StepResult:
    """Name every cluster whose members changed: by Claude, or without a model by the terms that set it apart.

    A name a person gave is kept beside it and is what is shown (I5).
    """
    with database.begin() as connection:
        clusters = _texts(connection, workspace_id, embedder)
    if text_model is None:
        result = _locally(database, workspace_id, embedder.model, clusters, run_id)
    else:
        result = _by_model(database, workspace_id, clusters, text_model, run_id)
    with database.begin() as connection:
        live = store.live(connection, workspace_id)
    result.counts["named_by_people"] = sum(one["named_by_person"] for one in live)
    result.tables["Clusters"] = [
        {key: one[key] for key in ("id", "theme", "size", "severity", "confidence", "suggested_action")}
        for one in live[:20]
    ]
    return result


def _texts(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> dict[str, ClusterTexts]:
    """The members of every live cluster that have a vector, by cluster id."""
    members = store.members_of(connection, workspace_id)
    live = {one["id"] for one in store.live(connection, workspace_id)}
    words = signals.verbatims(connection, workspace_id, [one for ids in members.values() for one in ids])
    hashes = {one: text_hash(verbatim) for one, verbatim in words.items()}
    order, matrix = embeddings.load(connection, workspace_id, embedder.model, list(hashes.values()))
    row = {key: number for number, key in enumerate(order)}
    found = {}
    for cluster_id in sorted(live & members.keys()):
        ids = [one for one in members[cluster_id] if hashes[one] in row]
        if ids:
            vectors = matrix[[row[hashes[one]] for one in ids]]
            found[cluster_id] = ClusterTexts(cluster_id, tuple(ids), tuple(words[one] for one in ids), vectors)
    return found


def _locally(
    database: Database, workspace_id: str, model: str, clusters: dict[str, ClusterTexts], run_id: str | None
) -> StepResult:
    """All at once: what sets a cluster apart depends on every other."""
    members = {one: sorted(cluster.signal_ids) for one, cluster in clusters.items()}
    texts = sorted({text_hash(words) for cluster in clusters.values() for words in cluster.texts})

    def do(connection: Connection) -> StepResult:
        for cluster_id, theme in local_themes(list(clusters.values())).items():
            _name(workspace_id, cluster_id, theme, "local/terms", connection)
        return StepResult("cluster_themes")

    determined_by = fingerprint(members=members, texts=texts, vectors=model, by="local/terms", version=_THEMES_VERSION)
    result = work_whole(database, workspace_id, "cluster_themes", determined_by, do, run_id=run_id)
    result.counts["named_by"] = "local/terms"
    return result


def _by_model(
    database: Database,
    workspace_id: str,
    clusters: dict[str, ClusterTexts],
    model: TextModel,
    run_id: str | None,
) -> StepResult:
    """One call a cluster, seen beside its nearest siblings; only a change of its own members asks again."""
    local = local_themes(list(clusters.values()))
    near = nearest_siblings(list(clusters.values()))
    prompts = {
        one: naming_prompt(clusters[one], local[one], siblings_of(one, clusters, local, near)) for one in clusters
    }
    wanted = {
        one: fingerprint(
            members=sorted(clusters[one].signal_ids),
            texts=sorted(clusters[one].texts),
            instructions=prompts[one].instructions,
            model=model.model,
            version=_THEMES_VERSION,
        )
        for one in clusters
    }

    def name(cluster_id: str) -> Callable[[Connection], None]:
        answer = model.answer(prompts[cluster_id], ThemeAnswer)
        return partial(_save, workspace_id, cluster_id, named(answer, local[cluster_id]), model.model)

    result = work_through(
        database, workspace_id, "cluster_themes", wanted, one_by_one(name), workers=SERVICE_WORKERS, run_id=run_id
    )
    result.counts["named_by"] = model.model
    return result


def _save(workspace_id: str, cluster_id: str, theme: Theme, named_by: str, connection: Connection) -> None:
    """Under a name that no other live cluster has at this moment."""
    others = {one["theme"] for one in store.live(connection, workspace_id) if one["id"] != cluster_id and one["theme"]}
    _name(workspace_id, cluster_id, with_own_name(theme, others), named_by, connection)


def _name(workspace_id: str, cluster_id: str, own: Theme, named_by: str, connection: Connection) -> None:
    store.name(
        connection,
        workspace_id,
        cluster_id,
        theme=own.name,
        summary=own.summary,
        terms=own.terms,
        central_signal_ids=own.central_signal_ids,
        named_by=named_by,
    )


def follow_trends(database: Database, workspace_id: str, *, run_id: str | None = None) -> StepResult:
    """Count every cluster's signals by week, and say whether its share grows, fades or is stable."""
    with database.begin() as connection:
        dated = signals.dated(connection, workspace_id)
        live = [one["id"] for one in store.live(connection, workspace_id)]
    by_cluster: dict[str, list[datetime]] = {one: [] for one in live}
    for _, cluster, at in dated:
        if cluster in by_cluster:
            by_cluster[cluster].append(at)
    facts = [[signal_id, cluster, at.isoformat()] for signal_id, cluster, at in dated]

    def do(connection: Connection) -> StepResult:
        found = cluster_trends(by_cluster, [at for _, _, at in dated])
        rows = [
            {
                "cluster_id": cluster_id,
                "verdict": trend.verdict,
                "weeks": [week.as_json() for week in trend.weeks if week.count],
                "arithmetic": trend.arithmetic.as_json(),
            }
            for cluster_id, trend in found.items()
        ]
        store.replace_trends(connection, workspace_id, rows)
        return StepResult("cluster_trends")

    determined_by = fingerprint(signals=facts, clusters=live, version=_TRENDS_VERSION)
    result = work_whole(database, workspace_id, "cluster_trends", determined_by, do, run_id=run_id)
    result.counts["dated_signals"] = len(dated)
    with database.begin() as connection:
        verdicts = [one["trend"] for one in store.live(connection, workspace_id)]
    result.counts.update({verdict: verdicts.count(verdict) for verdict in sorted({one for one in verdicts if one})})
    return result
