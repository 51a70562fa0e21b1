"""What a cluster amounts to, and the rule of the suggested action."""

from __future__ import annotations

import pytest

from elmer_pipelines.clusters.summary import Member, summarise


def members(*similarities: float, **fields: object) -> list[Member]:
    return [Member(f"S-{row}", value, **fields) for row, value in enumerate(similarities)]


def test_worst_severity_most_frequent_frequency_mean_similarity() -> None:
    found = summarise(
        [
            Member("S-1", 0.9, "low", "rare"),
            Member("S-2", 0.7, "high", "common"),
            Member("S-3", 0.8, None, "rare"),
        ],
        link=0.7,
        coherent=0.4,
    )
    assert (found.size, found.severity, found.frequency) == (3, "high", "rare")
    assert found.confidence == pytest.approx(0.8)


def test_what_nobody_said_stays_missing_and_a_tie_is_the_commoner() -> None:
    silent = summarise(members(0.8), link=0.7, coherent=0.4)
    assert (silent.severity, silent.frequency) == (None, None)
    tied = [Member("S-1", 0.9, None, "rare"), Member("S-2", 0.9, None, "occasional")]
    assert summarise(tied, link=0.7, coherent=0.4).frequency == "occasional"


@pytest.mark.parametrize(
    ("cluster", "nearest_project", "expected"),
    [
        (members(0.8, 0.8, 0.8), None, ("new_project", None)),
        (members(0.8, 0.8, 0.8), ("P-1", 0.69), ("new_project", None)),
        (members(0.8, 0.8, 0.8), ("P-1", 0.7), ("link_to_existing", "P-1")),
        (members(0.8, 0.8), None, ("review", None)),
        (members(0.3, 0.3, 0.3), None, ("review", None)),
        ([*members(0.8, project_id="P-2"), *members(0.8)], ("P-1", 0.9), ("link_to_existing", "P-2")),
        ([*members(0.8, project_id="P-2"), *members(0.8, 0.8)], None, ("new_project", None)),
        ([*members(0.8, 0.8, project_id="P-2"), *[*members(0.8)] * 6], ("P-2", 0.5), ("link_to_existing", "P-2")),
        ([*members(0.8, 0.8, project_id="P-2"), *[*members(0.8)] * 7], ("P-2", 0.5), ("new_project", None)),
        ([*members(0.8, 0.8, project_id="P-2"), *[*members(0.8)] * 6], ("P-1", 0.5), ("new_project", None)),
        ([*members(0.8, project_id="P-2"), *members(0.8, 0.8)], ("P-2", 0.5), ("new_project", None)),
    ],
)
def test_the_suggested_action(
    cluster: list[Member], nearest_project: tuple[str, float] | None, expected: tuple
) -> None:
    found = summarise(cluster, nearest_project=nearest_project, link=0.7, coherent=0.4)
    assert (found.action, found.project_id) == expected


def test_no_members_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="without members"):
        summarise([], link=0.7, coherent=0.4)
