"""Long documents in windows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.signals.windows import Window, windows


def document(turns: list[str], label: str = "Ana: ") -> Document:
    text, segments = "", []
    for turn in turns:
        text += label
        segments.append(Segment(len(text), len(text) + len(turn), "Ana"))
        text += turn + "\n"
    return Document("a.md", "interview", "markdown", "A", text, tuple(segments))


def test_a_short_document_is_one_window() -> None:
    whole = document(["one", "two"])
    assert windows(whole, 1_000, 2) == [Window(5, 17)]


def test_windows_end_with_segments_and_overlap_by_segments() -> None:
    whole = document(["a" * 20] * 10, label="")  # a segment every 21 characters
    found = windows(whole, 85, 1)
    assert found == [Window(0, 83), Window(63, 146), Window(126, 209)]
    assert windows(whole, 85, 0) == [Window(0, 83), Window(84, 167), Window(168, 209)]


def test_a_large_segment_is_cut_after_a_sentence_or_at_a_space() -> None:
    sentences = document(["It is slow. " * 20], label="")
    for window in windows(sentences, 100, 0):
        assert sentences.text[window.start : window.end].strip().endswith("slow.")
    words = document(["slow " * 50], label="")
    assert all(words.text[w.start : w.end].strip().split() == ["slow"] * 20 for w in windows(words, 101, 0)[:2])
    family = document(["👩‍👩‍👧‍👦" * 10], label="")
    assert all(len(family.text[w.start : w.end]) % 7 == 0 for w in windows(family, 20, 0))


def test_a_document_without_segments_is_still_read() -> None:
    bare = Document("a.txt", "note", "text", "A", "One. Two. Three.", ())
    assert windows(bare, 100, 1) == [Window(0, 16)]
    assert windows(Document("a.txt", "note", "text", "A", "  ", ()), 100, 1) == []


@pytest.mark.parametrize(("size", "overlap"), [(0, 1), (10, -1)])
def test_impossible_sizes_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="max_chars"):
        windows(document(["a"]), size, overlap)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab .!é导👩\u200d\u0301", max_size=60), max_size=30), st.integers(8, 120), st.integers(0, 5))
def test_every_word_is_in_a_window_and_windows_move_on(turns: list[str], size: int, overlap: int) -> None:
    whole = document(turns)
    found = windows(whole, size, overlap)
    covered = {at for window in found for at in range(window.start, window.end)}
    spoken = {at for s in whole.segments for at in range(s.start, s.end) if not whole.text[at].isspace()}
    assert spoken <= covered
    assert all(b.start > a.start and b.end > a.end for a, b in pairwise(found))
    longest_cluster = 60
    assert all(window.end - window.start <= size + longest_cluster for window in found)
    assert len(found) <= 2 * len(turns) + sum(map(len, turns)) + 1
