"""What is suggested to be done with each theme, once it is known which projects there are: link, start one, or review.

The rule is `summary.suggest_action`. A clustering comes before projects and classifications, and applies the rule to
what it knows; here it is applied again to what came after it, by `cluster_themes` and by `initiatives`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.summary import Member, suggest_action
from elmer_pipelines.store import embeddings, initiatives
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import themes as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from elmer_pipelines.models.protocols import EmbeddingModel
    from elmer_pipelines.store.projects import Project


def suggest_actions(connection: Connection, workspace_id: str, embedder: EmbeddingModel) -> int:
    """Suggest what to do with every live theme; returns for how many that is something else than before.

    Only projects the team named count: an initiative is what came of a suggestion, and must not change it.
    """
    projects = project_store.live(connection, workspace_id, "named")
    links = initiatives.named_links(connection, workspace_id)
    near = _nearest(connection, workspace_id, embedder.model, projects)
    actions = {}
    for cluster in initiatives.clusters(connection, workspace_id):
        if cluster.confidence is not None:
            actions[cluster.id] = suggest_action(
                _members(cluster.members, links),
                cluster.confidence,
                nearest_project=near.get(cluster.id),
                link=embedder.scale.link,
                coherent=embedder.scale.coherent,
            )
    return store.suggest(connection, workspace_id, actions)


def _members(similarities: Mapping[str, float | None], links: Mapping[str, Sequence[str]]) -> list[Member]:
    """Of the projects a signal is linked to, that counts to which most of the others are."""
    votes = Counter(project for signal in similarities for project in links.get(signal, ()))
    return [
        Member(
            signal,
            similarity or 0.0,
            project_id=min(links.get(signal, ()), key=lambda one: (-votes[one], one), default=None),
        )
        for signal, similarity in similarities.items()
    ]


def _nearest(
    connection: Connection, workspace_id: str, model: str, projects: Sequence[Project]
) -> dict[str, tuple[str, float]]:
    """Of every theme, the named project nearest to its centre, and their cosine; none where vectors are missing."""
    order, matrix = embeddings.load(connection, workspace_id, model, [one.text_hash for one in projects])
    if not order:
        return {}
    row = {text_hash: number for number, text_hash in enumerate(order)}
    known = sorted((one for one in projects if one.text_hash in row), key=lambda one: one.id)
    vectors = matrix[[row[one.text_hash] for one in known]]
    found = {}
    for cluster_id, centre in store.centres(connection, workspace_id, model).items():
        cosines = np.round(vectors @ _unit(centre), 6)
        best = int(np.argmax(cosines))
        found[cluster_id] = (known[best].id, float(cosines[best]))
    return found


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
