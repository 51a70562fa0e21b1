"""The step `initiatives`: clusters that pass the workspace's automation settings become projects.

How deep the automation goes: `manual` and `suggest` only record what could be done; `auto_create` makes projects, only
where that is what is suggested for the cluster (`clusters/actions.py`); `full_auto` also links the rest of a cluster to
the named project most of it belongs to already. What a decision is made from is in `store/initiatives.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.ids import stable_id
from elmer_pipelines.signals.model import SEVERITIES
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import initiatives as store
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store.initiatives import ACTED, ClusterState, Decision
from elmer_pipelines.store.projects import Project
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from elmer_pipelines.documents.workspace_file import Automation
    from elmer_pipelines.models.protocols import SimilarityScale
    from elmer_pipelines.store.database import Database

STEP = "initiatives"
_LOGIC = 3
_COHERENT = 0.7  # what `SimilarityScale.coherent` stands for
_MOSTLY = 0.5  # more than this share of a cluster's signals in one named project: the need is being worked on
_CREATING = ("auto_create", "full_auto")


def wanted_initiatives(
    connection: Connection,
    workspace_id: str,
    automation: Automation,
    scale: SimilarityScale,
    now: datetime | None = None,
) -> dict[str, Determinants]:
    """What determines the decisions about the clusters."""
    board = _look(connection, workspace_id, automation, scale, now or datetime.now(UTC))
    return {WHOLE: board.determined_by()}


def decide_initiatives(
    database: Database,
    workspace_id: str,
    automation: Automation,
    scale: SimilarityScale,
    *,
    run_id: str | None = None,
    now: datetime | None = None,
) -> StepResult:
    """Decide about every cluster, make the projects that follow, and bring their links to the clusters' members.

    A cluster is acted on once and never again, so its cooldown has nothing to hold back here; at most
    `max_actions_per_day` are acted on per day (UTC), the largest first, and what had to wait is decided again on the
    first run of the next. Counts: decisions by action, links changed.
    """
    moment = now or datetime.now(UTC)
    with database.begin() as connection:
        board = _look(connection, workspace_id, automation, scale, moment)
    result = work_whole(
        database,
        workspace_id,
        STEP,
        board.determined_by(),
        lambda connection: _decide(
            connection, workspace_id, _look(connection, workspace_id, automation, scale, moment)
        ),
        run_id=run_id,
    )
    with database.begin() as connection:
        decided = store.decisions(connection, workspace_id)
    alive = {one.id for one in board.clusters}
    actions = Counter(one.action for one in decided.values() if one.cluster_id in alive)
    result.counts.update(sorted(actions.items()))
    return result


def confidence_on_common_scale(similarity: float, scale: SimilarityScale) -> float:
    """A model's mean similarity as text-embedding-3-small would have given it, for which thresholds are written.

    Piecewise linear: the model's `coherent` is 0.7 there; 0 and 1 stay. Below 0 is 0.
    """
    import numpy as np

    return float(np.interp(similarity, [0, scale.coherent, 1], [0, _COHERENT, 1]))


@dataclass
class _Board:
    """Everything a decision looks at, at one moment."""

    automation: Automation
    scale: SimilarityScale
    now: datetime
    clusters: list[ClusterState]
    before: dict[str, Decision]
    named: dict[str, list[str]]
    names: dict[str, str]
    orphaned: dict[str, list[str]]
    acted_today: int = field(init=False)

    def __post_init__(self) -> None:
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        acts = [one.decided_at for one in self.before.values() if one.action in ACTED and one.decided_at]
        self.acted_today = sum(at >= midnight for at in acts)

    def determined_by(self) -> Determinants:
        """Changes when a decision could; the day counts only where something waits since an earlier one."""
        alive = {one.id for one in self.clusters}
        postponed = [
            one.decided_at
            for one in self.before.values()
            if one.action == "postponed" and one.cluster_id in alive and one.decided_at
        ]
        due = any(at.date() < self.now.date() for at in postponed)
        members = {one for cluster in self.clusters for one in cluster.members}
        return Determinants.of(
            clusters=[_as_json(one) for one in self.clusters],
            links={signal: self.named[signal] for signal in sorted(members & self.named.keys())},
            projects=self.names,
            settings=self.automation.model_dump(mode="json"),
            scale=self.scale.__dict__,
            day=labelled(self.now.date().isoformat() if due else None),
            rules=labelled(_LOGIC),
        )


def _as_json(cluster: ClusterState) -> dict[str, object]:
    """A cluster as JSON values, its members without their similarities' last digits."""
    members = {key: None if value is None else round(value, 3) for key, value in cluster.members.items()}
    return {**cluster.__dict__, "terms": list(cluster.terms), "members": members}


def _look(
    connection: Connection, workspace_id: str, automation: Automation, scale: SimilarityScale, now: datetime
) -> _Board:
    return _Board(
        automation,
        scale,
        now,
        store.clusters(connection, workspace_id),
        store.decisions(connection, workspace_id),
        store.named_links(connection, workspace_id),
        {one.id: one.name for one in project_store.live(connection, workspace_id, "named")},
        store.orphaned_links(connection, workspace_id),
    )


def _decide(connection: Connection, workspace_id: str, board: _Board) -> StepResult:
    left = max(0, board.automation.max_actions_per_day - board.acted_today)
    decisions: dict[str, Decision] = {}
    orphans = {project for projects in board.orphaned.values() for project in projects}
    initiatives = project_store.live(connection, workspace_id, "initiative")
    nameless = {one.cluster_id: one for one in initiatives if _nameless(one)}
    for cluster in board.clusters:
        decision = _decision(board, cluster, left)
        if cluster.id in nameless:
            name, description = _worded(cluster)
            worded = replace(nameless[cluster.id], name=name, description=description)
            project_store.save(connection, workspace_id, [worded])
        if decision.action == "created" and cluster.id not in _acted(board):
            decision = replace(decision, project_id=_create(connection, workspace_id, cluster))
        if decision.action in ACTED and cluster.id not in _acted(board):
            left -= decision.project_id not in orphans  # going on with an initiative is no new one
        decisions[cluster.id] = decision
        store.record(connection, workspace_id, decision, board.now)
    _refresh_descriptions(connection, workspace_id, board, decisions)
    touched = _bring_links(connection, workspace_id, board, decisions)
    store.retire_unheard(connection, workspace_id)
    return StepResult(STEP, counts={"links_changed": touched})


def _acted(board: _Board) -> set[str]:
    return {one.cluster_id for one in board.before.values() if one.action in ACTED}


def _decision(board: _Board, cluster: ClusterState, left: int) -> Decision:
    """What to do about a cluster; a decision that was acted on stands."""
    before = board.before.get(cluster.id)
    if before is not None and before.action in ACTED:
        return before
    lacking = _lacking(board, cluster)
    if lacking:
        return Decision(cluster.id, "below", lacking)
    heir, number = _worked_on_in(board.orphaned, cluster)
    if heir is not None:
        return Decision(cluster.id, "linked", f"It goes on where an ended cluster left off: {number} signals.", heir)
    action, reason, project_id = _wish(board, cluster)
    if action not in ACTED:
        return Decision(cluster.id, action, reason, project_id)
    if left <= 0:
        most = board.automation.max_actions_per_day
        return Decision(cluster.id, "postponed", f"The day's {most} actions are used up; it waits.", project_id)
    return Decision(cluster.id, action, reason, project_id)


def _wish(board: _Board, cluster: ClusterState) -> tuple[str, str, str | None]:
    """What the settings ask for, the day's limit aside: action, reason, project."""
    depth = board.automation.depth
    project_id, share = _worked_on_in(board.named, cluster)
    if project_id is not None:
        reason = f"{share} of its {len(cluster.members)} signals already belong to {board.names[project_id]}."
        return ("linked" if depth == "full_auto" else "link_existing"), reason, project_id
    size = f"{len(cluster.members)} signals"
    if cluster.suggested_action == "review":
        return "suggested", f"{size}; the cluster asks for a person's review first.", None
    if cluster.suggested_action == "link_to_existing":
        return "link_existing", _why_linked(board, cluster), cluster.suggested_project_id
    if cluster.suggested_action != "new_project":
        return "suggested", f"{size}; nothing is suggested for the cluster yet, so a person decides.", None
    if depth not in _CREATING:
        return "suggested", f"{size} pass every threshold; automation is {depth}, so a person decides.", None
    return "created", f"{size} pass every threshold; automation is {depth}.", None


def _why_linked(board: _Board, cluster: ClusterState) -> str:
    """Half of it in a project, or its centre close to one: too little to link the rest without a person."""
    near = cluster.suggested_project_id or ""
    linked = sum(near in board.named.get(signal, ()) for signal in cluster.members)
    told = f"{linked} of its {len(cluster.members)} signals belong" if linked else "It is close"
    return f"{told} to {board.names.get(near, 'a project')}; a person decides."


def _lacking(board: _Board, cluster: ClusterState) -> str | None:
    """Which threshold the cluster does not reach, in words; None where it reaches all."""
    settings = board.automation
    if cluster.voices < settings.initiative_signals:
        repeated = len(cluster.members) - cluster.voices
        said = f" ({repeated} more repeat them)" if repeated else ""
        return f"{cluster.voices} signals{said}; an initiative needs {settings.initiative_signals}."
    if not _severe_enough(cluster.severity, settings.min_severity):
        return f"Its worst severity is {cluster.severity or 'unknown'}; an initiative needs {settings.min_severity}."
    if cluster.confidence is None:
        return "Its confidence is not known yet."
    confidence = confidence_on_common_scale(cluster.confidence, board.scale)
    if confidence < settings.min_confidence:
        return f"Its confidence is {confidence:.2f}; an initiative needs {settings.min_confidence:.2f}."
    return None


def _severe_enough(severity: str | None, least: str | None) -> bool:
    """Unknown severity passes only where any severity would."""
    if least is None or least == SEVERITIES[-1]:
        return True
    order: tuple[str, ...] = SEVERITIES
    return severity is not None and order.index(severity) <= order.index(least)


def _worked_on_in(links: dict[str, list[str]], cluster: ClusterState) -> tuple[str | None, int]:
    """The project that more than half of the cluster's signals are linked to, and how many are."""
    votes = Counter(project for signal in cluster.members for project in links.get(signal, ()))
    if not votes:
        return None, 0
    project_id, number = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return (project_id if number > _MOSTLY * len(cluster.members) else None), number


def _nameless(project: Project) -> bool:
    """Whether its words were purged, or it never had any."""
    return project.name == f"Cluster {project.cluster_id}" and not project.description


def _worded(cluster: ClusterState) -> tuple[str, str]:
    """The name and description of the project a cluster gives rise to."""
    name = (cluster.theme or " · ".join(cluster.terms[:3]) or f"Cluster {cluster.id}").strip()
    return name, _description(cluster)


def _description(cluster: ClusterState) -> str:
    terms = f"Terms that set it apart: {', '.join(cluster.terms)}." if cluster.terms else ""
    return "\n\n".join(part for part in (cluster.summary, terms) if part)


def _refresh_descriptions(
    connection: Connection, workspace_id: str, board: _Board, decisions: dict[str, Decision]
) -> None:
    """An initiative says what its cluster says now, so that no words stay in it whose source is gone."""
    made = {one.id: one for one in project_store.live(connection, workspace_id, "initiative")}
    for cluster in board.clusters:
        project = made.get(decisions[cluster.id].project_id or "")
        if project is not None and project.cluster_id == cluster.id:
            changed = replace(project, description=_description(cluster))
            project_store.save(connection, workspace_id, [changed])


def _create(connection: Connection, workspace_id: str, cluster: ClusterState) -> str:
    name, description = _worded(cluster)
    project_id = stable_id("P", workspace_id, "cluster", cluster.id)
    project = Project(project_id, name, description, "inbox", "initiative", cluster.id)
    project_store.save(connection, workspace_id, [project])
    return project_id


def _bring_links(connection: Connection, workspace_id: str, board: _Board, decisions: dict[str, Decision]) -> int:
    """Link what clusters hold now and unlink what left them; a cluster that ended leaves its links as they were."""
    alive = {one.id for one in project_store.live(connection, workspace_id)}
    ended = {one.project_id for one in board.before.values() if one.cluster_id not in decisions} - {
        one.project_id for one in decisions.values() if one.action in ACTED
    }
    members: dict[str, dict[str, float | None]] = {}
    for cluster in board.clusters:
        decision = decisions[cluster.id]
        if decision.action in ACTED and decision.project_id in alive:
            members.setdefault(decision.project_id, {}).update(cluster.members)
    touched = 0
    for project_id, signals in sorted(members.items()):
        touched += len(
            project_store.link_by_cluster(
                connection, workspace_id, project_id, signals, "Member of the cluster.", keep_others=project_id in ended
            )
        )
    return touched
