"""What threads do at the same moment is done at once, and what is bad among it fails alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from elmer_pipelines.store.together import Together


def test_items_that_wait_are_done_in_one_go() -> None:
    groups: list[list[int]] = []
    begun, go = threading.Event(), threading.Event()

    def do(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        begun.set()
        assert go.wait(10)
        return [item * 2 for item in items]

    together = Together(do)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together.add, 0)
        assert begun.wait(10)
        others = [pool.submit(together.add, number) for number in range(1, 9)]
        while len(together._waiting) < 8:  # until all have come
            threading.Event().wait(0.001)
        go.set()
        assert [first.result(10), *(one.result(10) for one in others)] == [number * 2 for number in range(9)]
    assert [len(group) for group in groups] == [1, 8]
    assert sorted(groups[1]) == list(range(1, 9))


def test_one_alone_waits_for_nobody() -> None:
    together: Together[str, str] = Together(lambda items: [item.upper() for item in items])
    assert [together.add("a"), together.add("b")] == ["A", "B"]


def test_a_bad_item_costs_only_itself() -> None:
    tries: list[int] = []

    def do(items: Sequence[int]) -> list[int]:
        tries.append(len(items))
        return [10 // item for item in items]

    together = Together(do)
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(together.add, number % 4) for number in range(80)]
    assert [one.exception() is None for one in done] == [bool(number % 4) for number in range(80)]
    assert {one.result() for one in done if one.exception() is None} == {10, 5, 3}
    with pytest.raises(ZeroDivisionError):
        together.add(0)
