"""The step `cluster_themes`: which clusters need a name, who gives it, and that no two siblings bear the same.

What a name is made of is in `material.py`, how it is worked out in `themes.py` and `theme_prompt.py`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.actions import suggest_actions
from elmer_pipelines.clusters.material import Material, Standing, kept_back, material, siblings_of, standing
from elmer_pipelines.clusters.theme_prompt import ThemeAnswer, named, prompt_file
from elmer_pipelines.clusters.themes import Named, own_names
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.errors import RecordError
from elmer_pipelines.models.provenance import drawn_from
from elmer_pipelines.store import clusters as cluster_store
from elmer_pipelines.store import outcomes
from elmer_pipelines.store import themes as store
from elmer_pipelines.work import SERVICE_WORKERS, one_by_one, work_through

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sqlalchemy import Connection

    from elmer_pipelines.clusters.themes import Theme
    from elmer_pipelines.models.protocols import EmbeddingModel, Prompt, TextModel
    from elmer_pipelines.models.redaction import Redaction
    from elmer_pipelines.steps import StepResult
    from elmer_pipelines.store.database import Database
    from elmer_pipelines.store.outcomes import Outcome
    from elmer_pipelines.store.themes import Group

STEP = "cluster_themes"
STAYED = 0.7  # Jaccard: with less of its members in common a cluster is no longer what it was named for
_VERSION = 5  # raise when the same members would be called otherwise
_LOCAL = "local/terms"
_SHOWN = 20


@dataclass(frozen=True)
class Wanted:
    """The clusters that are to have a name, and what determines each one's."""

    now: Standing
    determinants: dict[str, Determinants]
    embedding_model: str
    redaction: Redaction | None

    def material(self, connection: Connection, workspace_id: str) -> Material:
        """What the clusters are named from."""
        return material(connection, workspace_id, self.embedding_model, self.now, self.redaction)


def wanted_themes(
    connection: Connection,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    redaction: Redaction | None = None,
) -> Wanted:
    """What determines the names of the live clusters of all levels: the members they were, or are to be, named for.

    A cluster whose members have not changed materially since is determined by those it was named for, so it stays as it
    is named; its siblings are shown to the model but not looked at here.
    """
    now = standing(connection, workspace_id)
    named_for = {
        one: sorted(group.named_for) if still_fits(group, now.members[one]) else sorted(now.members[one])
        for one, group in now.groups.items()
    }
    hidden = kept_back(connection, workspace_id, {one for ids in named_for.values() for one in ids}, redaction)
    if text_model is None:
        how = {"model": labelled(_LOCAL)}
    else:
        how = {"prompt": prompt_file().determinant, "model": labelled(text_model.model)}
    determinants = {
        one: Determinants.of(
            members=ids,
            kept_back=[[signal, hidden[signal]] for signal in ids if signal in hidden],
            rules=labelled(_VERSION),
            **how,
        )
        for one, ids in named_for.items()
    }
    return Wanted(now, determinants, embedder.model, redaction)


def still_fits(group: Group, members: Collection[str]) -> bool:
    """Whether a cluster has mostly the members it was named for, and all the quotes that its name stands on.

    Mostly: Jaccard similarity of at least 0.7, which also bounds growth to 43 %.
    """
    if group.theme is None or not group.named_for:
        return False
    present = frozenset(members)
    shared = len(group.named_for & present)
    return shared >= STAYED * len(group.named_for | present) and present.issuperset(group.central)


def prompts_of(connection: Connection, workspace_id: str, wanted: Wanted) -> Mapping[str, Prompt]:
    """What a model would be asked about each cluster, as things are."""
    found = wanted.material(connection, workspace_id)
    return {one: found.prompt(one) for one in found.clusters}


def name_clusters(
    database: Database,
    workspace_id: str,
    embedder: EmbeddingModel,
    text_model: TextModel | None,
    *,
    redaction: Redaction | None = None,
    run_id: str | None = None,
) -> StepResult:
    """Name every cluster whose members changed materially: by Claude, or without a model by what sets it apart.

    Themes and needs come first, then areas, which are named from their themes; where a theme failed, areas wait for the
    next run. In the end no two siblings bear one name. A name a person gave is kept beside the machine's and is what is
    shown (I5). With a `redaction` no name is made of what it keeps back: names travel on in later prompts.
    """
    with database.begin() as connection:
        wanted = wanted_themes(connection, workspace_id, embedder, text_model, redaction)
        before = outcomes.rows(connection, workspace_id, STEP)
    first = _without_areas(wanted, before)
    result = _work(database, workspace_id, wanted, first, text_model, run_id)
    if first.keys() != wanted.determinants.keys() or any(first[one] != wanted.determinants[one] for one in first):
        if result.failed or "stopped_by" in result.counts:
            result.counts["areas_waiting"] = sum(one.level == "area" for one in wanted.now.groups.values())
        else:
            with database.begin() as connection:
                wanted = wanted_themes(connection, workspace_id, embedder, text_model, redaction)
            _add(result, _work(database, workspace_id, wanted, wanted.determinants, text_model, run_id))
    with database.locked(f"{workspace_id}:{STEP}") as connection:
        result.counts["renamed_apart"] = tell_apart(connection, workspace_id)
        suggest_actions(connection, workspace_id, embedder)
        live = cluster_store.live(connection, workspace_id)
    result.counts["named_by"] = _LOCAL if text_model is None else text_model.model
    result.counts["named_by_people"] = sum(one["named_by_person"] for one in live)
    result.tables["Clusters"] = [
        {key: one[key] for key in ("id", "theme", "size", "severity", "confidence", "suggested_action")}
        for one in live[:_SHOWN]
    ]
    return result


def tell_apart(connection: Connection, workspace_id: str) -> int:
    """Rename, of siblings that bear one name, all but one; returns how many. The order they were named in is no matter.

    To be done after names were saved, by one at a time: whoever saves last sees all.
    """
    changed = own_names(
        Named(one.id, siblings_of(one), one.name, one.human_theme is not None, one.terms)
        for one in store.groups(connection, workspace_id)
        if one.name
    )
    store.rename(connection, workspace_id, changed)
    return len(changed)


class _AsItWas(Determinants):
    """What determined a record when it was done: so given, it is left alone."""

    def __init__(self, done: Outcome) -> None:
        super().__init__({})
        self.__dict__["fingerprint"] = done.fingerprint


def _without_areas(wanted: Wanted, before: Mapping[str, Outcome]) -> dict[str, Determinants]:
    """What is to be named first; areas that were done once stand in it as they are, so that they are not forgotten."""
    first = {}
    for one, determinants in wanted.determinants.items():
        if wanted.now.groups[one].level != "area":
            first[one] = determinants
        elif one in before and before[one].state == "done":
            fresh = before[one].fingerprint == determinants.fingerprint
            first[one] = determinants if fresh else _AsItWas(before[one])
    return first


class _Namer:
    """Names one cluster after the other; what they are named from is read once, and not at all where none is."""

    def __init__(self, database: Database, workspace_id: str, wanted: Wanted, model: TextModel | None) -> None:
        self._database, self._workspace_id, self._wanted, self._model = database, workspace_id, wanted, model
        self._guard = threading.Lock()

    @cached_property
    def _material(self) -> Material:
        with self._database.begin() as connection:
            return self._wanted.material(connection, self._workspace_id)

    def __call__(self, cluster_id: str) -> Callable[[Connection], None]:
        with self._guard:
            found = self._material
        if cluster_id not in found.local:
            raise RecordError(
                "not_found",
                f"None of the signals of cluster {cluster_id} has a vector of {self._wanted.embedding_model}.",
                next_step="Run signal_embeddings, then cluster_themes again.",
            )
        theme = found.local[cluster_id]
        if self._model is not None:
            with drawn_from(found.signals_shown(cluster_id)):
                theme = named(self._model.answer(found.prompt(cluster_id), ThemeAnswer), theme)
        return partial(self._save, cluster_id, theme)

    def _save(self, cluster_id: str, theme: Theme, connection: Connection) -> None:
        store.name(
            connection,
            self._workspace_id,
            cluster_id,
            theme=theme.name,
            summary=theme.summary,
            distinction=theme.distinction,
            terms=theme.terms,
            central_signal_ids=theme.central_signal_ids,
            named_by=_LOCAL if self._model is None else self._model.model,
            named_for=self._wanted.now.members[cluster_id],
        )


def _work(
    database: Database,
    workspace_id: str,
    wanted: Wanted,
    determinants: Mapping[str, Determinants],
    model: TextModel | None,
    run_id: str | None,
) -> StepResult:
    return work_through(
        database,
        workspace_id,
        STEP,
        determinants,
        one_by_one(_Namer(database, workspace_id, wanted, model)),
        workers=1 if model is None else SERVICE_WORKERS,
        run_id=run_id,
    )


def _add(result: StepResult, more: StepResult) -> None:
    result.pending += more.pending
    result.done += more.done
    result.failed += more.failed
    result.counts.update(more.counts)
