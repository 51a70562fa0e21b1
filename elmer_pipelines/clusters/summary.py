"""What a cluster amounts to at a glance: size, severity, frequency, confidence, and what to do with it.

Pure functions over its members; names are `themes.py`, change over time is `trends.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from elmer_pipelines.signals.model import FREQUENCIES, SEVERITIES, Frequency, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

Action = Literal["new_project", "link_to_existing", "review"]
INITIATIVE_SIGNALS = 3  # the number of signals an initiative needs (automation depth's default)
LINKED_SHARE = 0.5
AGREED_SHARE = 0.25  # linked to the project that is nearest anyway: two signs that agree


@dataclass(frozen=True)
class Member:
    """One signal as a cluster's member.

    `similarity` is the cosine to the cluster's centroid; `project_id` the project it is linked to, if any.
    """

    signal_id: str
    similarity: float
    severity: Severity | None = None
    frequency: Frequency | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class ClusterSummary:
    """`severity` is the worst, `frequency` the most frequent of the members' (None when no member has one).

    `confidence` is the mean cosine of the members to their centroid, in [-1, 1], comparable within one model only.
    `project_id` is set when the action is `link_to_existing`.
    """

    size: int
    severity: Severity | None
    frequency: Frequency | None
    confidence: float
    action: Action
    project_id: str | None = None


def summarise(
    members: Sequence[Member], *, nearest_project: tuple[str, float] | None = None, link: float, coherent: float
) -> ClusterSummary:
    """Sum up a cluster of at least one member.

    `nearest_project` is the project closest to the centroid and that cosine; `link` is the model's `scale.link` and
    `coherent` its `scale.unrelated` or a stricter bound on the confidence. Raises ValueError on no members.
    """
    if not members:
        raise ValueError("A cluster without members can't be summed up; leave it out.")
    confidence = sum(member.similarity for member in members) / len(members)
    action, project_id = suggest_action(
        members, confidence, nearest_project=nearest_project, link=link, coherent=coherent
    )
    severities = {member.severity for member in members}
    return ClusterSummary(
        size=len(members),
        severity=next((level for level in SEVERITIES if level in severities), None),
        frequency=_most_frequent(members),
        confidence=confidence,
        action=action,
        project_id=project_id,
    )


def suggest_action(
    members: Sequence[Member],
    confidence: float,
    *,
    nearest_project: tuple[str, float] | None,
    link: float,
    coherent: float,
) -> tuple[Action, str | None]:
    """What to do with a cluster, and the project it concerns; the first rule that fits.

    1. At least half of its signals are linked to one project: link the rest to it.
    2. A project is at least `link` near to its centroid: link to it.
    3. At least a quarter of its signals are linked to the project that is nearest to its centroid: link to it.
    4. At least three signals, and a confidence of `coherent` or more: a new project.
    5. Otherwise a person should look: review.
    """
    linked = Counter(member.project_id for member in members if member.project_id)
    if linked:
        project_id, votes = min(linked.items(), key=lambda item: (-item[1], item[0]))
        if votes >= LINKED_SHARE * len(members):
            return "link_to_existing", project_id
    if nearest_project:
        project_id, similarity = nearest_project
        if similarity >= link or linked[project_id] >= max(2, AGREED_SHARE * len(members)):
            return "link_to_existing", project_id
    if len(members) >= INITIATIVE_SIGNALS and confidence >= coherent:
        return "new_project", None
    return "review", None


def _most_frequent(members: Sequence[Member]) -> Frequency | None:
    """A tie goes to the more common word: three "rare" and three "common" are a common trouble for some."""
    counts = Counter(member.frequency for member in members if member.frequency)
    if not counts:
        return None
    return max(FREQUENCIES, key=lambda word: (counts[word], -FREQUENCIES.index(word)))
