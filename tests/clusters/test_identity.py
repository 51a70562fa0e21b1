"""Clusters keep their ids while their members mostly stay (I5), and every change is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.clusters.identity import Matching, match

A, B = "C-a", "C-b"


def signals(prefix: str, count: int) -> list[str]:
    return [f"S-{prefix}{number:02d}" for number in range(count)]


def of(group: int | str, *names: str) -> dict[str, int | str]:
    return dict.fromkeys(names, group)


def matched(previous: dict, current: dict, **options: object) -> Matching:
    return match(previous, current, workspace_id="w", **options)


def told(matching: Matching) -> list[tuple[str, str]]:
    return [(event.cluster_id, event.event) for event in matching.events]


def test_first_groups_appear_and_have_the_same_ids_on_every_machine() -> None:
    current = {**of(0, *signals("a", 3)), **of(1, *signals("b", 2)), "S-z": -1}
    found = matched({}, current)
    assert len(set(found.ids.values())) == 2
    assert {event for _, event in told(found)} == {"appeared"}
    assert matched({}, dict(reversed(current.items()))).ids == found.ids


def test_a_cluster_continues_whatever_its_number_and_however_many_join() -> None:
    old = signals("a", 4)
    found = matched({**of(A, *old), **of(B, *signals("b", 3))}, {**of(5, *old, *signals("new", 30)), **of(2, "S-b00")})
    assert found.ids == {5: A, 2: B}
    counts = next(event.detail for event in found.events if event.cluster_id == A)
    assert counts == {"before": 4, "size": 34, "stayed": 4, "joined": 30, "left": 0, "retired": 0}


def test_members_that_retire_do_not_end_a_cluster() -> None:
    assert matched(of(A, *signals("a", 10)), of(0, "S-a00", "S-a01")).ids == {0: A}


def test_the_larger_part_of_a_split_keeps_the_id() -> None:
    names = signals("a", 10)
    found = matched(of(A, *names), {**of(0, *names[:6]), **of(1, *names[6:])})
    assert found.ids[0] == A
    assert found.ids[1] != A
    assert told(found) == [*sorted([(A, "continued"), (found.ids[1], "appeared")]), (A, "split")]
    assert found.events[-1].detail == {"into": {A: 6, found.ids[1]: 4}}


def test_a_cluster_that_falls_apart_ends() -> None:
    names = signals("a", 9)
    found = matched(of(A, *names), {name: number % 3 for number, name in enumerate(names)})
    assert A not in found.ids.values()
    assert (A, "ended") in told(found)
    assert (A, "split") in told(found)


def test_in_a_merger_the_larger_keeps_its_id_and_the_other_ends_inside_it() -> None:
    found = matched({**of(A, *signals("a", 3)), **of(B, *signals("b", 5))}, of(0, *signals("a", 3), *signals("b", 5)))
    assert found.ids == {0: B}
    assert told(found) == [(B, "continued"), (B, "merged"), (A, "ended")]
    assert found.events[1].detail == {"from": {A: 3, B: 5}}
    assert found.events[2].detail == {"into": {B: 3}, "before": 3, "unclustered": 0, "retired": 0}


def test_equals_that_merge_keep_the_lowest_id() -> None:
    found = matched({**of(B, *signals("b", 4)), **of(A, *signals("a", 4))}, of(0, *signals("a", 4), *signals("b", 4)))
    assert found.ids == {0: A}


def test_a_small_cluster_swallowed_by_parts_of_larger_ones_does_not_name_the_whole() -> None:
    large = signals("b", 40)
    found = matched(
        {**of(A, *signals("a", 3)), **of(B, *large)}, {**of(0, *signals("a", 3), *large[:10]), **of(1, *large[10:])}
    )
    assert found.ids[1] == B
    assert found.ids[0] not in (A, B)


def test_a_cluster_whose_members_became_unclustered_or_went_away_ends() -> None:
    found = matched({**of(A, *signals("a", 3)), **of(B, "S-gone")}, of(-1, *signals("a", 3)))
    assert found.ids == {}
    assert told(found) == [(A, "ended"), (B, "ended")]
    assert [event.detail["unclustered"] for event in found.events] == [3, 0]
    assert [event.detail["retired"] for event in found.events] == [0, 1]


def test_a_cluster_that_neither_side_disputes_continues_with_two_fifths() -> None:
    names = signals("a", 10)
    current = {name: 0 if number < 4 else number for number, name in enumerate(names)}
    assert matched(of(A, *names), current).ids[0] == A


def test_after_a_merger_is_undone_both_have_their_ids_again() -> None:
    first, second = signals("a", 5), signals("b", 3)
    merged = matched({**of(A, *first), **of(B, *second)}, of(0, *first, *second))
    assert merged.ids == {0: A}
    apart = matched(of(A, *first, *second), {**of(0, *first), **of(1, *second, "S-new")}, former={B: second})
    assert apart.ids == {0: A, 1: B}
    assert (B, "returned") in told(apart)


def test_after_a_split_is_undone_the_cluster_goes_on_and_the_part_ends() -> None:
    names = signals("a", 10)
    parted = {**of(A, *names[:6]), **of(B, *names[6:])}
    assert told(matched(parted, of(0, *names))) == [(A, "continued"), (A, "merged"), (B, "ended")]


def test_an_ended_cluster_comes_back_with_mostly_its_old_members_and_only_then() -> None:
    old = signals("a", 6)
    back = matched({}, of(0, *old[:4], *signals("new", 9)), former={A: old})
    assert back.ids == {0: A}
    assert told(back) == [(A, "returned")]
    scattered = matched({}, {**of(0, *old[:2]), **of(1, *old[2:4]), **of(2, *old[4:])}, former={A: old})
    assert A not in scattered.ids.values()
    swallowed = matched(of(B, *signals("b", 9)), of(0, *old[:2], *signals("b", 9)), former={A: old})
    assert swallowed.ids == {0: B}


def test_ids_given_beforehand_stay_and_are_given_to_no_other() -> None:
    current = {**of(0, *signals("a", 3)), **of(1, *signals("b", 3))}
    found = matched(of(A, *signals("a", 3)), current, keep={1: A})
    assert found.ids[1] == A
    assert found.ids[0] != A


def test_levels_do_not_share_ids() -> None:
    current = of(0, *signals("a", 3))
    assert len({matched({}, current, level=level).ids[0] for level in ("area", "theme", "need")}) == 3


def test_a_new_id_is_never_one_in_use() -> None:
    current = of(0, *signals("a", 3))
    first = matched({}, current).ids[0]
    second = matched({}, current, in_use={first}).ids[0]
    third = matched({}, current, in_use={first, second}).ids[0]
    assert len({first, second, third}) == 3


def test_workspaces_do_not_share_ids() -> None:
    current = of(0, *signals("a", 3))
    assert match({}, current, workspace_id="one").ids != match({}, current, workspace_id="two").ids


names = st.sampled_from(signals("x", 12))


@given(st.dictionaries(names, st.sampled_from([A, B, "C-c"])), st.dictionaries(names, st.integers(-1, 3)))
def test_ids_are_unique_and_every_cluster_is_accounted_for(previous: dict[str, str], current: dict[str, int]) -> None:
    found = matched(previous, current)
    assert set(found.ids) == {number for number in current.values() if number >= 0}
    assert len(set(found.ids.values())) == len(found.ids)
    fate = [one for one, event in told(found) if event in ("continued", "ended", "appeared", "returned")]
    assert sorted(fate) == sorted(set(previous.values()) | set(found.ids.values()))


@given(st.dictionaries(names, st.integers(0, 3), min_size=1))
def test_the_same_groups_again_change_nothing(current: dict[str, int]) -> None:
    first = matched({}, current)
    again = matched({name: first.ids[number] for name, number in current.items()}, current)
    assert again.ids == first.ids
    assert {event.event for event in again.events} == {"continued"}
