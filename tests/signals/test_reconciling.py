"""The same quote keeps its id (I4): repeated words, moved text, edited words, changed bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.signals.model import PlacedQuote, Quote
from elmer_pipelines.signals.reconciling import reconcile
from elmer_pipelines.store.signals import Earlier


def _placed(words: str, start: int = 0) -> PlacedQuote:
    return PlacedQuote(start, start + len(words), words, "exact", Quote(words))


def _earlier(identity: str, words: str, start: int = 0, content: str = "one", retired: bool = False) -> Earlier:
    return Earlier(identity, content, start, start + len(words), words, retired)


def test_a_first_extraction_gives_ids_that_a_second_would_give_too() -> None:
    quotes = [_placed("it is slow", 5), _placed("it is slow", 40), _placed("it crashes", 60)]
    ids, gone = reconcile("D-1", "one", quotes, [])
    assert len(set(ids)) == 3
    assert gone == []
    assert reconcile("D-1", "one", quotes, [])[0] == ids
    assert reconcile("D-2", "one", quotes, [])[0] != ids


def test_words_that_moved_keep_their_id() -> None:
    ids, gone = reconcile("D-1", "two", [_placed("it is slow", 400)], [_earlier("S-1", "it is slow", 5)])
    assert (ids, gone) == (["S-1"], [])


def test_of_repeated_words_the_nearest_is_meant() -> None:
    earlier = [_earlier("S-1", "it is slow", 5), _earlier("S-2", "it is slow", 100)]
    ids, gone = reconcile("D-1", "two", [_placed("it is slow", 98)], earlier)
    assert (ids, gone) == (["S-2"], ["S-1"])


def test_other_bounds_at_the_same_place_are_the_same_signal() -> None:
    ids, _ = reconcile("D-1", "one", [_placed("it is slow every morning", 5)], [_earlier("S-1", "it is slow every", 5)])
    assert ids == ["S-1"]


def test_the_same_place_of_another_text_says_nothing() -> None:
    ids, gone = reconcile("D-1", "two", [_placed("we like the board", 5)], [_earlier("S-1", "it is slow today", 5)])
    assert ids != ["S-1"]
    assert gone == ["S-1"]


def test_a_corrected_typo_keeps_the_id() -> None:
    earlier = [_earlier("S-1", "the exprot loses a third of the rows", 5)]
    ids, _ = reconcile("D-1", "two", [_placed("the export loses a third of the rows", 300)], earlier)
    assert ids == ["S-1"]


def test_a_retired_signal_comes_back_under_its_id_and_is_not_retired_again() -> None:
    earlier = [_earlier("S-1", "it is slow", 5, retired=True), _earlier("S-2", "gone before", 50, retired=True)]
    assert reconcile("D-1", "two", [_placed("it is slow", 5)], earlier) == (["S-1"], [])


@given(st.lists(st.tuples(st.sampled_from(["a b", "a b c", "x"]), st.integers(0, 30)), max_size=12))
def test_ids_are_one_each_and_stable(found: list[tuple[str, int]]) -> None:
    quotes = [_placed(words, start) for words, start in sorted(set(found), key=lambda one: (one[1], one[0]))]
    ids, _ = reconcile("D-1", "one", quotes, [])
    assert len(set(ids)) == len(quotes)
    earlier = [
        Earlier(one, "one", quote.start, quote.end, quote.verbatim, False)
        for one, quote in zip(ids, quotes, strict=True)
    ]
    again, gone = reconcile("D-1", "one", quotes, earlier)
    assert again == ids
    assert gone == []
