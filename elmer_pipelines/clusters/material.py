"""What the clusters of a workspace are named from: their members' words and vectors, their siblings, their parts.

Reads the database; what a name is made of these is `themes.py` and `theme_prompt.py`, when one is made `theming.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.theme_prompt import naming_prompt, nearest_siblings
from elmer_pipelines.clusters.themes import ClusterTexts, Theme, local_themes, name_of_parts
from elmer_pipelines.ids import text_hash
from elmer_pipelines.models.redaction import Placeholders, Redaction, without_placeholders
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import embeddings, signals
from elmer_pipelines.store import themes as store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import Prompt
    from elmer_pipelines.store.clusters import Level
    from elmer_pipelines.store.themes import Group

LEVELS: tuple[Level, ...] = ("area", "theme", "need")
READ = 400  # members of a cluster that its name is made of: those nearest to the centre of their theme

Siblings = tuple["Level", str | None]


@dataclass(frozen=True)
class Standing:
    """The live clusters by id, and the ids of their live signals, those nearest to the centre of their theme first."""

    groups: dict[str, Group]
    members: dict[str, list[str]]


@dataclass(frozen=True)
class Material:
    """Of each cluster: its texts, its local theme, the ids of its nearest siblings, and name and summary of its parts.

    Only areas have parts: their themes, the largest first.
    """

    clusters: dict[str, ClusterTexts]
    local: dict[str, Theme]
    near: dict[str, list[str]]
    parts: dict[str, list[Group]]

    def prompt(self, cluster_id: str) -> Prompt:
        """What a model is asked about the cluster."""
        siblings = [(self.clusters[one], self.local[one]) for one in self.near[cluster_id]]
        parts = [(part.name, part.summary or "") for part in self.parts.get(cluster_id, []) if part.name and part.theme]
        return naming_prompt(self.clusters[cluster_id], self.local[cluster_id], siblings, parts)

    def signals_shown(self, cluster_id: str) -> list[str]:
        """Every signal that the prompt about the cluster may hold words of."""
        parts = [part.id for part in self.parts.get(cluster_id, [])]
        return [
            signal
            for one in (cluster_id, *self.near[cluster_id], *parts)
            if one in self.clusters
            for signal in self.clusters[one].signal_ids
        ]


def siblings_of(group: Group) -> Siblings:
    """What clusters that must not share a name have in common: needs their theme; themes and areas their level.

    Themes are told apart across areas, because most places list them without.
    """
    return (group.level, group.parent_id if group.level == "need" else None)


def standing(connection: Connection, workspace_id: str) -> Standing:
    """The live clusters of all levels that have live signals."""
    groups = {one.id: one for one in store.groups(connection, workspace_id)}
    members: dict[str, list[str]] = {}
    for level in LEVELS:
        members |= cluster_store.members_of(connection, workspace_id, level)
    found = {one: members[one] for one in sorted(groups.keys() & members.keys())}
    return Standing({one: groups[one] for one in found}, found)


def material(
    connection: Connection, workspace_id: str, model: str, now: Standing, redaction: Redaction | None = None
) -> Material:
    """What the clusters are named from; `model` is the embedding model. With a `redaction` texts hold placeholders."""
    clusters, people = _texts(connection, workspace_id, model, now, redaction)
    families: dict[Siblings, list[ClusterTexts]] = defaultdict(list)
    for cluster_id, cluster in clusters.items():
        families[siblings_of(now.groups[cluster_id])].append(cluster)
    local: dict[str, Theme] = {}
    near: dict[str, list[str]] = {}
    parts = _parts(now)
    for siblings in sorted(families, key=lambda one: LEVELS.index(one[0])):  # themes before the needs inside them
        family = families[siblings]
        bare = [replace(one, texts=tuple(map(without_placeholders, one.texts))) for one in family]
        local |= local_themes(bare, people, _name_of(siblings[1], now.groups, local))
        near |= _nearest(family, now.groups)
    for area, themes in parts.items():
        names = [one.name for one in themes if one.name]
        if area in local and names:
            local[area] = replace(local[area], name=name_of_parts(names))
    return Material(clusters, local, near, parts)


def _name_of(cluster_id: str | None, groups: Mapping[str, Group], local: Mapping[str, Theme]) -> str:
    """The name a cluster has, or is about to get; empty where there is none."""
    if cluster_id is None:
        return ""
    known = groups[cluster_id].name if cluster_id in groups else None
    return known or (local[cluster_id].name if cluster_id in local else "")


def _nearest(family: list[ClusterTexts], groups: Mapping[str, Group]) -> dict[str, list[str]]:
    """Nearest siblings, of those with the same parent."""
    by_parent: dict[str | None, list[ClusterTexts]] = defaultdict(list)
    for cluster in family:
        by_parent[groups[cluster.cluster_id].parent_id].append(cluster)
    return {one: near for siblings in by_parent.values() for one, near in nearest_siblings(siblings).items()}


def _parts(now: Standing) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = defaultdict(list)
    for one in sorted(now.groups.values(), key=lambda one: (-len(now.members[one.id]), one.id)):
        if one.level == "theme" and one.parent_id is not None:
            found[one.parent_id].append(one)
    return dict(found)


def _texts(
    connection: Connection, workspace_id: str, model: str, now: Standing, redaction: Redaction | None
) -> tuple[dict[str, ClusterTexts], set[str]]:
    """The clusters' texts by id, and the names of those who said them."""
    read = {one: ids[:READ] for one, ids in now.members.items()}
    every = sorted({one for ids in read.values() for one in ids})
    words = signals.verbatims(connection, workspace_id, every)
    said = signals.said_by(connection, workspace_id, every)
    hashes = {one: text_hash(verbatim) for one, verbatim in words.items()}
    order, matrix = embeddings.load(connection, workspace_id, model, list(hashes.values()))
    row = {key: number for number, key in enumerate(order)}
    found = {}
    for cluster_id, members in read.items():
        ids = [one for one in members if hashes.get(one) in row]
        if ids:
            vectors = matrix[[row[hashes[one]] for one in ids]]
            sources = tuple(said[one][0] for one in ids)
            cluster = ClusterTexts(cluster_id, tuple(ids), tuple(words[one] for one in ids), vectors, sources)
            found[cluster_id] = cluster if redaction is None else _redacted(cluster, redaction)
    return found, {speaker for _, speaker in said.values() if speaker}


def kept_back(
    connection: Connection, workspace_id: str, signal_ids: Iterable[str], redaction: Redaction | None
) -> dict[str, str]:
    """Of these signals, those whose words are not shown as they are, with the hash of what is shown instead."""
    if redaction is None:
        return {}
    words = signals.verbatims(connection, workspace_id, sorted(signal_ids))
    clean = {one: redaction.clean(verbatim) for one, verbatim in words.items()}
    return {one: text_hash(shown) for one, shown in clean.items() if shown != words[one]}


def _redacted(cluster: ClusterTexts, redaction: Redaction) -> ClusterTexts:
    """The cluster with placeholders in its texts, the same value of the cluster by the same one."""
    placeholders = Placeholders()
    placeholders.avoid(*cluster.texts)
    return replace(cluster, texts=tuple(redaction.clean(words, placeholders) for words in cluster.texts))
