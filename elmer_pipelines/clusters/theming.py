"""The steps `cluster_themes` and `cluster_trends`: what each cluster is called, and how often it was heard.

How names and trends are worked out is in `themes.py`, `theme_prompt.py` and `trends.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.theme_prompt import (
    ThemeAnswer,
    named,
    naming_prompt,
    nearest_siblings,
    prompt_file,
    siblings_of,
)
from elmer_pipelines.clusters.themes import ClusterTexts, Theme, local_themes, with_own_name
from elmer_pipelines.clusters.trends import cluster_trends
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.provenance import drawn_from
from elmer_pipelines.models.redaction import Placeholders, Redaction, without_placeholders
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import embeddings, signals
from elmer_pipelines.work import SERVICE_WORKERS, WHOLE, one_by_one, work_through, work_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel, Prompt, TextModel
    from elmer_pipelines.store.database import Database

_THEMES_VERSION = 1  # raise when the same members would be called otherwise
_TRENDS_VERSION = 1
_LOCAL = "local/terms"


@dataclass(frozen=True)
class Wanted:
    """The clusters to be named, and what determines their names: each one's, or those of all at once."""

    clusters: dict[str, ClusterTexts]
    determinants: dict[str, Determinants]


def wanted_themes(
    connection: Connection,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    redaction: Redaction | None = None,
) -> Wanted:
    """What determines the names of the live clusters; without a model, what sets one apart depends on every other."""
    clusters = _texts(connection, workspace_id, embedder)
    if redaction is not None:
        clusters = {one: _redacted(cluster, redaction) for one, cluster in clusters.items()}
    if text_model is not None:
        return Wanted(clusters, _by_members(clusters, text_model))
    whole = Determinants.of(
        members={one: sorted(cluster.signal_ids) for one, cluster in clusters.items()},
        texts=sorted({text_hash(words) for cluster in clusters.values() for words in cluster.texts}),
        vectors=labelled(embedder.model),
        model=labelled(_LOCAL),
        rules=labelled(_THEMES_VERSION),
    )
    return Wanted(clusters, {WHOLE: whole})


def _by_members(clusters: dict[str, ClusterTexts], model: TextModel) -> dict[str, Determinants]:
    """Siblings are shown to the model but not looked at here: only a change of its own members asks again."""
    how = {
        "prompt": prompt_file().determinant,
        "model": labelled(model.model),
        "rules": labelled(_THEMES_VERSION),
    }
    return {
        one: Determinants.of(members=sorted(cluster.signal_ids), texts=sorted(cluster.texts), **how)
        for one, cluster in clusters.items()
    }


def prompts_of(clusters: dict[str, ClusterTexts]) -> dict[str, Prompt]:
    """What a model is asked about each cluster, seen beside its nearest siblings."""
    local, near = _local_themes(clusters), nearest_siblings(list(clusters.values()))
    return {one: naming_prompt(clusters[one], local[one], siblings_of(one, clusters, local, near)) for one in clusters}


def name_clusters(
    database: Database,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    *,
    redaction: Redaction | None = None,
    run_id: str | None = None,
) -> StepResult:
    """Name every cluster whose members changed: by Claude, or without a model by the terms that set it apart.

    With a `redaction` no name, term or summary is made of what it keeps back: they travel on in later prompts.

    A name a person gave is kept beside it and is what is shown (I5).
    """
    with database.begin() as connection:
        wanted = wanted_themes(connection, workspace_id, embedder, text_model, redaction)
    if text_model is None:
        result = _locally(database, workspace_id, wanted, run_id)
    else:
        result = _by_model(database, workspace_id, wanted, text_model, run_id)
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


def _redacted(cluster: ClusterTexts, redaction: Redaction) -> ClusterTexts:
    """The cluster with placeholders in its texts, the same value of the cluster by the same one."""
    placeholders = Placeholders()
    placeholders.avoid(*cluster.texts)
    return replace(cluster, texts=tuple(redaction.clean(words, placeholders) for words in cluster.texts))


def _local_themes(clusters: dict[str, ClusterTexts]) -> dict[str, Theme]:
    bare = (replace(one, texts=tuple(map(without_placeholders, one.texts))) for one in clusters.values())
    return local_themes(list(bare))


def _locally(database: Database, workspace_id: str, wanted: Wanted, run_id: str | None) -> StepResult:
    def do(connection: Connection) -> StepResult:
        for cluster_id, theme in _local_themes(wanted.clusters).items():
            _name(workspace_id, cluster_id, theme, _LOCAL, connection)
        return StepResult("cluster_themes")

    result = work_whole(database, workspace_id, "cluster_themes", wanted.determinants[WHOLE], do, run_id=run_id)
    result.counts["named_by"] = _LOCAL
    return result


def _by_model(
    database: Database,
    workspace_id: str,
    wanted: Wanted,
    model: TextModel,
    run_id: str | None,
) -> StepResult:
    """One call a cluster, seen beside its nearest siblings."""
    clusters = wanted.clusters
    local, near = _local_themes(clusters), nearest_siblings(list(clusters.values()))
    prompts = prompts_of(clusters)

    def name(cluster_id: str) -> Callable[[Connection], None]:
        seen = [clusters[cluster_id], *(other for other, _ in siblings_of(cluster_id, clusters, local, near))]
        with drawn_from([signal for cluster in seen for signal in cluster.signal_ids]):
            answer = model.answer(prompts[cluster_id], ThemeAnswer)
        return partial(_save, workspace_id, cluster_id, named(answer, local[cluster_id]), model.model)

    result = work_through(
        database,
        workspace_id,
        "cluster_themes",
        wanted.determinants,
        one_by_one(name),
        workers=SERVICE_WORKERS,
        run_id=run_id,
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


def wanted_trends(connection: Connection, workspace_id: str) -> dict[str, Determinants]:
    """What determines how the live clusters grow or fade."""
    dated = signals.dated(connection, workspace_id)
    return {
        WHOLE: Determinants.of(
            signals=[[signal_id, cluster, at.isoformat()] for signal_id, cluster, at in dated],
            clusters=[one["id"] for one in store.live(connection, workspace_id)],
            rules=labelled(_TRENDS_VERSION),
        )
    }


def follow_trends(database: Database, workspace_id: str, *, run_id: str | None = None) -> StepResult:
    """Count every cluster's signals by week, and say whether its share grows, fades or is stable."""
    with database.begin() as connection:
        dated = signals.dated(connection, workspace_id)
        live = [one["id"] for one in store.live(connection, workspace_id)]
        wanted = wanted_trends(connection, workspace_id)
    by_cluster: dict[str, list[datetime]] = {one: [] for one in live}
    for _, cluster, at in dated:
        if cluster in by_cluster:
            by_cluster[cluster].append(at)

    def do(connection: Connection) -> StepResult:
        moments = [at for _, _, at in dated]
        # A date in the future is a mistake or an appointment; the present is what trends are about.
        until = min(max(moments, default=datetime.now(UTC)), datetime.now(UTC) + timedelta(days=1))
        found = cluster_trends(by_cluster, moments, until=until)
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

    result = work_whole(database, workspace_id, "cluster_trends", wanted[WHOLE], do, run_id=run_id)
    result.counts["dated_signals"] = len(dated)
    with database.begin() as connection:
        verdicts = [one["trend"] for one in store.live(connection, workspace_id)]
    result.counts.update({verdict: verdicts.count(verdict) for verdict in sorted({one for one in verdicts if one})})
    return result
