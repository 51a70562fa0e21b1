"""Quotes on their exact place (I1): planted spans for each step, and properties over many scripts."""

from __future__ import annotations

import random
import time
import unicodedata
from dataclasses import replace

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.signals.folding import fold, fold_case, snap_to_clusters
from elmer_pipelines.signals.model import PlacedQuote, Quote
from elmer_pipelines.signals.placing import keep_customers, merge_overlaps, place

BEFORE, AFTER = "We met on Monday and spoke about the roadmap. ", " After that we had lunch and talked of other things."


def only(text: str, words: str, near: int | None = None) -> PlacedQuote:
    placed, rejected = place(text, [Quote(words, near=near)])
    assert rejected == []
    (one,) = placed
    assert text[one.start : one.end] == one.verbatim
    return one


def rejection(text: str, words: str) -> str:
    placed, rejected = place(text, [Quote(words)])
    assert placed == []
    assert rejected[0].words == words
    return rejected[0].reason


# What stands in the source, what the model says, and how it is found.
PLANTED = [
    ("the export is slow", "the export is slow", "exact"),
    ("the export is slow", '"the export is slow"', "exact"),
    ("the export is slow", "…the export is slow...", "exact"),
    ("the export\n   is\u00a0slow", "the export is slow", "normalised"),
    ("the export is slow", "the  export\nis slow", "normalised"),
    ("it’s “very” slow", 'it\'s "very" slow', "normalised"),
    ("it's slow", "it’s slow", "normalised"),
    ("slow — really slow", "slow - really slow", "normalised"),
    ("a well‑known bug", "a well-known bug", "normalised"),
    ("it is slow… very slow", "it is slow... very slow", "normalised"),
    ("it is slow.... very slow", "it is slow… very slow", "normalised"),
    ("le cafe\u0301 est cher", "le café est cher", "normalised"),
    ("le café est cher", "le cafe\u0301 est cher", "normalised"),
    ("the ﬁrst ofﬁce file", "the first office file", "normalised"),
    ("ｆｕｌｌ ｗｉｄｔｈ text", "full width text", "normalised"),
    ("THE EXPORT is slow", "The export is slow", "normalised"),
    ("die Straße ist lang", "DIE STRASSE IST LANG", "normalised"),
    ("sales & support <all>", "sales &amp; support &lt;all&gt;", "normalised"),
    ("sales &amp; support", "sales & support", "normalised"),
    ("write &amp;lt; for it", "write &amp;amp;lt; for it", "normalised"),
    ("exam\u00adple of a \u200bword", "example of a word", "normalised"),
    ("שלום \u200fעולם טוב", "שלום עולם טוב", "normalised"),
    ("导出功能太慢了", "导出功能太慢了", "exact"),
    ("导出功能，太慢了！", "导出功能,太慢了!", "normalised"),
    ("I love it ❤\ufe0f so much", "I love it ❤ so much", "normalised"),
    ("Great work 👍🏽", "Great work 👍", "normalised"),
    ("our **really** slow `export`", "our really slow export", "fuzzy"),
    ("the export, honestly, is slow", "the export honestly is slow", "fuzzy"),
    ("the export takes about forty minutes", "the export takes forty minutes", "fuzzy"),
    ("we exprot the data every signle Friday", "we export the data every single Friday", "fuzzy"),
    ("导出功能真的太慢了我们每天都要等", "导出功能太慢了我们每天都要等", "fuzzy"),
]


@pytest.mark.parametrize(("source", "words", "match"), PLANTED)
def test_a_planted_quote_is_found_on_its_very_place(source: str, words: str, match: str) -> None:
    text = BEFORE + source + "." + AFTER
    found = only(text, words)
    assert found.match == match
    trimmed = found.verbatim.strip("`*.")
    assert trimmed in source
    assert len(source.strip("`*.")) - len(trimmed) <= 1  # a last exclamation mark may stay outside
    assert found.start >= len(BEFORE)


def test_a_fuzzy_place_has_the_sources_own_whole_words() -> None:
    text = BEFORE + "Honestly, exporting takes us about forty minutes every day!" + AFTER
    found = only(text, "exporting takes us around forty minutes each day!")
    assert found.verbatim == "exporting takes us about forty minutes every day!"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "too_short"),
        (" \n", "too_short"),
        ("…", "too_short"),
        ('"-"', "too_short"),
        (" — ", "too_short"),
        ("the invoices are never right", "not_found"),
        ("lunch tomorrow", "not_found"),
        ("oad", "not_found"),  # three letters of "roadmap" are no quote
    ],
)
def test_what_cannot_be_placed_is_rejected_with_the_reason(words: str, reason: str) -> None:
    assert rejection(BEFORE + AFTER, words) == reason


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("the export is not really slow for us", "the export is really slow for us"),
        ("the export doesn't crash in our team at all", "the export does crash in our team at all"),
        ("we waited 40 minutes for one export", "we waited 45 minutes for one export"),
        ("导出功能不太慢我们每天都要等它", "导出功能太慢我们每天都要等它"),
    ],
)
def test_the_opposite_and_other_figures_are_not_almost_the_same(source: str, words: str) -> None:
    assert rejection(BEFORE + source + "." + AFTER, words) == "not_found"


def test_a_row_of_flags_or_marks_costs_no_square_of_time() -> None:
    began = time.process_time()
    for text in ("🇩🇪" * 4_000, "e" + "\u0301" * 100_000, "&" + "amp;" * 50_000, "👩\u200d" * 50_000):
        placed, rejected = place(text, [Quote("🇩🇪🇩🇪"), Quote("the app crashes on every export")])
        assert len(placed) + len(rejected) == 2
    assert time.process_time() - began < 10


def test_two_places_that_are_equally_alike_but_differ_are_ambiguous() -> None:
    text = "The red export button never works at all. " + BEFORE + "The new export button never works at all."
    assert rejection(text, "The big export button never works at all.") == "ambiguous_fuzzy"


def test_almost_the_same_words_standing_twice_go_to_the_nearest() -> None:
    sentence = "The export button really never works at all. "
    text = sentence + BEFORE * 3 + sentence
    found = only(text, "The export button never works at all.", near=len(text) - 30)
    assert (found.match, found.start) == ("fuzzy", text.rindex(sentence))


def test_repeated_words_go_to_the_place_nearest_to_near() -> None:
    text = "it crashes. " * 5
    assert only(text, "it crashes", near=26).start == 24
    assert only(text, "it crashes", near=0).start == 0
    assert only(text, "it crashes", near=10_000).start == 48


def test_repeated_quotes_without_near_take_the_next_free_place() -> None:
    placed, rejected = place("it crashes. " * 3, [Quote("it crashes")] * 4)
    assert [one.start for one in placed] == [0, 12, 24]
    assert rejected == []


def test_two_windows_that_saw_the_same_words_give_one_quote() -> None:
    text = "it crashes. " * 3
    placed, _ = place(text, [Quote("it crashes", near=12), Quote("it crashes", near=10), Quote("It crashes", near=11)])
    assert [(one.start, one.match) for one in placed] == [(12, "exact")]


def test_a_word_is_not_found_inside_another() -> None:
    text = "I know nothing. No, really: the cat sat."
    assert only(text, "No").start == 16
    assert only("we do not know; no", "no").start == 16
    assert rejection("I know it all", "no") == "not_found"
    assert only("我们知道不行", "不行").start == 4


def test_duplicates_and_overlaps_become_the_longer_quote_with_all_that_is_known() -> None:
    text = "The export crashes every time I open it. Billing is fine."
    placed, _ = place(
        text,
        [
            Quote("The export crashes every time", severity="high", interpretation="short"),
            Quote("The export crashes every time I open it.", frequency="common", interpretation="long"),
            Quote("Billing is fine."),
            Quote("crashes"),
        ],
    )
    assert [one.verbatim for one in placed] == [text[:40], "crashes", "Billing is fine."]
    kept = placed[0].quote
    assert (kept.severity, kept.frequency, kept.interpretation) == ("high", "common", "long")


def _placed(start: int, end: int) -> PlacedQuote:
    return PlacedQuote(start, end, "x" * (end - start), "exact", Quote("x"))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=25))
def test_merging_leaves_no_two_alike_loses_no_place_and_is_final(spans: list[tuple[int, int]]) -> None:
    placed = [_placed(start, start + length) for start, length in spans]
    merged = merge_overlaps(placed)
    assert merge_overlaps(merged) == merged
    assert {(one.start, one.end) for one in merged} <= {(one.start, one.end) for one in placed}

    def shared(one: PlacedQuote, other: PlacedQuote) -> float:
        together = max(one.end, other.end) - min(one.start, other.start)
        return (min(one.end, other.end) - max(one.start, other.start)) / together

    assert all(shared(a, b) < 0.5 for i, a in enumerate(merged) for b in merged[i + 1 :])
    assert all(any(shared(one, kept) >= 0.5 for kept in merged) for one in placed)


def test_our_own_words_are_not_a_customers() -> None:
    text = "Is the export slow? Yes, it is very slow."
    document = Document(
        "a.md",
        "interview",
        "markdown",
        "A",
        text,
        (Segment(0, 19, "Us", is_customer=False), Segment(20, len(text), "Ana")),
    )
    placed, _ = place(text, [Quote("Is the export slow?"), Quote("it is very slow")])
    kept, rejected = keep_customers(document, placed)
    assert [one.verbatim for one in kept] == ["it is very slow"]
    assert [(one.words, one.reason) for one in rejected] == [("Is the export slow?", "not_customer")]


ATOMS = st.one_of(
    st.sampled_from(
        [
            "the",
            "export",
            "crashes",
            "it's",
            "“slow”",
            "…",
            "—",
            "\u00a0",
            "\r\n",
            "  ",
            "&amp;",
            "&lt;b&gt;",
            "e\u0301",
            "👩‍👩‍👧‍👦",
            "👍🏽",
            "🇩🇪",
            "1️⃣",
            "❤️",
            "导出",
            "很慢。",
            "データ",
            "각",
            "क्षि",
            "שָׁלוֹם",
            "مرحبا",
            "\u200f",
            "می‌خواهم",
            "a",
            "<",
            ".",
            "!?",
            "ﬁ",
            "Straße",
            "İ",
            "**bold**",
            "\u200b",
            "\u0300",
            "ẞ",
            "no",
        ]
    ),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=6),
)
TEXTS = st.lists(ATOMS, min_size=1, max_size=40).map(" ".join) | st.lists(ATOMS, min_size=1, max_size=40).map("".join)


def _is_boundary(text: str, at: int) -> bool:
    return at in {0, *(match.end() for match in regex.finditer(r"\X", text))}


def _disturbed(words: str, how: int) -> str:
    changes = (
        words,
        words.replace(" ", "\n "),
        words.upper(),
        unicodedata.normalize("NFD", words),
        unicodedata.normalize("NFKC", words),
        words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        words.replace("“", '"').replace("”", '"').replace("—", "-").replace("…", "..."),
        words[: len(words) // 2] + "x" + words[len(words) // 2 :],
    )
    return changes[how % len(changes)]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60), st.integers(0, 7)), min_size=1, max_size=4))
@example("x\u0301" * 5 + " the end", [(0, 4, 0)])
@example("a &amp;\u0301 b", [(0, 7, 4)])
def test_whatever_is_placed_is_verbatim_and_splits_no_cluster(text: str, picks: list[tuple[int, int, int]]) -> None:
    quotes = []
    for start, length, how in picks:
        begin = start % len(text)
        quotes.append(Quote(_disturbed(text[begin : begin + length], how), near=begin if how % 2 else None))
    placed, rejected = place(text, quotes)
    assert len(placed) + len(rejected) <= len(quotes)
    for one in placed:
        assert 0 <= one.start < one.end <= len(text)
        assert one.verbatim == text[one.start : one.end]
        assert one.quote in quotes
        assert _is_boundary(text, one.start)
        assert _is_boundary(text, one.end)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.integers(0, 6))
def test_a_planted_passage_of_words_is_always_found(before: str, after: str, how: int) -> None:
    passage = "Our Größe of “exports” — naïve café & 导出 👩‍👩‍👧 — is far too slow…"
    text = f"{before}\n{passage}\n{after}"
    found = only(text, _disturbed(passage, how), near=len(before) + 1)
    assert fold_case(fold(found.verbatim)).text == fold_case(fold(passage)).text


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_folding_maps_back_in_order_and_to_whole_clusters(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert folded.starts == sorted(folded.starts)
    assert folded.ends == sorted(folded.ends)
    assert all(0 <= a < b <= len(text) for a, b in zip(folded.starts, folded.ends, strict=True))
    assert fold(folded.text).text.strip() == folded.text.strip() or "&" in text
    for at in range(len(text) + 1):
        start, end = snap_to_clusters(text, at, at)
        assert _is_boundary(text, start)
        assert _is_boundary(text, end)
        assert start <= at <= end


def test_work_is_bounded_on_a_long_document() -> None:
    chance = random.Random(7)
    words = ["export", "slow", "billing", "the", "a", "is", "and", "team", "report", "data", "every", "day"]
    words += [f"word{number}" for number in range(3_000)]
    text = " ".join(chance.choices(words, k=60_000))
    quotes = []
    for _ in range(60):
        begin = text.index(" ", chance.randrange(len(text) - 400)) + 1
        quotes.append(Quote(text[begin : begin + 200].rsplit(" ", 1)[0].replace("the", "teh", 2) + " indeed"))
    quotes += [replace(quotes[0], words="nothing like this stands anywhere in it at all " * 4)] * 20
    began = time.process_time()
    placed, rejected = place(text, quotes)
    assert time.process_time() - began < 10
    assert len(placed) >= 55
    assert len(rejected) <= 25
