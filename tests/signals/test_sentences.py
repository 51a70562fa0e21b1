"""Offsets and boundaries of sentences, over the ways people write."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.signals.sentences import MAX_SENTENCE, split_sentences


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It crashed. I lost my notes!", ["It crashed.", "I lost my notes!"]),
        ("easy to use. good movies. has adult", ["easy to use.", "good movies.", "has adult"]),
        ("Dr. Weiss saw it, e.g. on Monday. Twice.", ["Dr. Weiss saw it, e.g. on Monday.", "Twice."]),
        ("It costs 3.50 a month. Too much.", ["It costs 3.50 a month.", "Too much."]),
        ("See https://a.example/x?y=1!z. Then a.csv broke.", [
            "See https://a.example/x?y=1!z.", "Then a.csv broke."]),
        ("Das geht z. B. am 3. Mai nicht. Schade.", ["Das geht z. B. am 3. Mai nicht.", "Schade."]),
        ("Rechnungen, Fotos usw. fehlen. Und usw. Dann Schluss.", [
            "Rechnungen, Fotos usw. fehlen.", "Und usw.", "Dann Schluss."]),
        ("Really?! Yes... but slow. OK", ["Really?!", "Yes... but slow.", "OK"]),
        ('He said "it works." Then it died.', ['He said "it works."', "Then it died."]),
        ("同期できません。写真が消えました！困ります", ["同期できません。", "写真が消えました！", "困ります"]),
        ("Love it 😍👍🏽 But sync fails 😡", ["Love it 😍👍🏽", "But sync fails 😡"]),
        ("Wishes:\n- dark mode\n* offline mode\n1. export\n2) import", [
            "Wishes:", "dark mode", "offline mode", "export", "import"]),
        ("J. Smith wrote it. I did not.", ["J. Smith wrote it.", "I did not."]),
        ("  \n\n \u200b ", []),
        ("", []),
    ],
)  # fmt: skip
def test_boundaries(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_a_wrapped_line_goes_on_and_a_paragraph_does_not() -> None:
    wrapped = (
        "The calendar puts every appointment in twice, which costs\nme half an hour every single morning.\n\nthanks"
    )
    assert pieces(wrapped) == [wrapped.split("\n\n", maxsplit=1)[0], "thanks"]


def test_offsets_count_from_the_start_of_the_text() -> None:
    text = "Agent: hello. Customer: It fails. Always."
    assert [text[s:e] for s, e in split_sentences(text, 24, 33)] == ["It fails."]


def test_long_lines_are_cut_at_pauses_and_never_inside_a_combined_character() -> None:
    text = "word, " * 400
    found = pieces(text)
    assert all(len(piece) <= MAX_SENTENCE for piece in found)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    combined = "e\u0301" * 1000
    assert not any(piece.startswith("\u0301") for piece in pieces(combined))


@pytest.mark.parametrize("unit", [".", "!?", "😀", "\n", " ", "a", "-", "。", "* ", "\u0301", "1.", "...x"])
def test_time_is_linear(unit: str) -> None:
    started = time.process_time()
    for _ in split_sentences(unit * 200_000):
        pass
    assert time.process_time() - started < 10


@given(st.text(alphabet=st.sampled_from("ab A.!?…。😀\n\r\t,-*1“\"'\u0301\u200d\u200b"), max_size=300))
def test_sentences_are_ordered_inside_and_lose_no_letter(text: str) -> None:
    spans = list(split_sentences(text))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    kept = "".join(text[start:end] for start, end in spans)
    assert sum(map(str.isalpha, kept)) == sum(map(str.isalpha, text))
