"""Markdown and plain text: front matter, segments, turns of speech, encodings."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime

import pytest
from documents.document_checks import check_document, said
from hypothesis import given, settings
from hypothesis import strategies as st

from elmer_pipelines.documents.reading import read_documents
from elmer_pipelines.documents.turns import find_turns
from elmer_pipelines.documents.voices import Voices
from elmer_pipelines.errors import UnreadableDocument

_INTERVIEW = """---
title: Onboarding at Northwind
date: 2026-03-01
kind: interview
interviewer: Ben Okri
people: [Anna Berg, Ben Okri]
plan: enterprise
seats: 40
---
# Getting started

**Ben:** How was the first week?

**Anna (Ops lead):** Hard. I could not find the export.
It took me two hours.

## Price

**Ben:** And the price?
**Anna:** Too high for what we use.
"""


def test_front_matter_turns_and_headings_of_an_interview() -> None:
    (document,) = read_documents("calls/a.md", _INTERVIEW.encode())
    check_document(document)
    assert (document.title, document.kind, document.format) == ("Onboarding at Northwind", "interview", "markdown")
    assert document.occurred_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert document.people == ("Anna Berg", "Ben Okri", "Ben", "Anna")
    assert document.metadata["plan"] == "enterprise"
    assert document.metadata["seats"] == 40
    assert said(document) == [
        ("Ben", False, "How was the first week?"),
        ("Anna", True, "Hard. I could not find the export.\nIt took me two hours."),
        ("Ben", False, "And the price?"),
        ("Anna", True, "Too high for what we use."),
    ]
    assert [segment.heading for segment in document.segments] == [None, None, "Price", "Price"]


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("[00:01:12] Anna: Hi.\n[00:01:15] Interviewer: Yes?", [("Anna", 72.0), ("Interviewer", 75.0)]),
        ("00:12 Kim Lee: Hi.\n00:15 Bo: Yes?", [("Kim Lee", 12.0), ("Bo", 15.0)]),
        ("Anna (PM): Hi.\nKunde: Nein.", [("Anna", None), ("Kunde", None)]),
        ("Anna Smith  0:15\nHi there.\n\nBo Lind  1:02:03\nYes.", [("Anna Smith", 15.0), ("Bo Lind", 3723.0)]),
        ("Q: Why?\nA: Because.", [("Q", None), ("A", None)]),
        ("田中:遅いです。\n面接官:なぜ?\n田中:さあ。", [("田中", None), ("面接官", None), ("田中", None)]),
        ("**Anna:** Hi.\n**Bo:** Yes.\n**Anna:** Good.", [("Anna", None), ("Bo", None), ("Anna", None)]),
    ],
)
def test_turns_are_found(text: str, turns: list[tuple[str, float | None]]) -> None:
    assert [(turn.speaker, turn.time) for turn in find_turns(text, Voices())] == turns


@pytest.mark.parametrize(
    "text",
    [
        "Note: the export is slow.\nNote: search too.",
        "See https://example.com: it is slow\nSee http://example.com: it is down",
        "There is one problem: speed.\nThere is another problem: price.",
        "Just prose without any colon.",
        "Date: 2026-01-01\nParticipants: many\nGoal: none",
    ],
)
def test_a_colon_alone_makes_no_speaker(text: str) -> None:
    assert find_turns(text, Voices()) == []


@pytest.mark.parametrize(
    ("speaker", "role", "customer"),
    [
        ("Anna", None, True), ("Anna", "PM", False), ("Interviewer 2", None, False), ("Customer", None, True),
        ("Acme Support", None, False), ("Support Agent", None, False), ("Ben", None, False), ("Ben Okri", None, False),
        ("BO", None, False), ("Ben Adams", None, True), ("Moderator", None, False), ("Kim", "Ops lead", True),
    ],
)  # fmt: skip
def test_who_is_a_customer(speaker: str, role: str | None, customer: bool) -> None:
    assert Voices(ours=["Ben Okri"]).is_customer(speaker, role) is customer


def test_notes_become_items_quotes_and_cells() -> None:
    text = "# Visit\n\nThey said:\n\n- export is slow\n- search\n  fails\n\n> we may leave\n\n"
    text += "| who | what |\n|---|---|\n| Bo | late |\n"
    (document,) = read_documents("notes/visit.md", text.encode())
    words = [words for _, _, words in said(document)]
    assert words == ["They said:", "export is slow", "search\n  fails", "we may leave", "Bo", "late"]
    assert [s.heading for s in document.segments][-2:] == ["who", "what"]
    assert (document.title, document.kind) == ("Visit", "note")


def test_the_text_is_that_of_the_file() -> None:
    text = "First paragraph — “quoted”.\n\n  Second, indented;\twith a tab.\n"
    assert read_documents("a.txt", text.encode())[0].text == text


def test_broken_front_matter_stays_in_the_text_and_says_why() -> None:
    (document,) = read_documents("a.md", b"---\ntitle: [unclosed\n---\nThe export is slow.\n")
    assert document.text.startswith("---\ntitle")
    assert "not read" in document.metadata["front_matter"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (codecs.BOM_UTF8 + "Größe".encode(), "Größe"),
        ("Größe, naïve — “so”".encode("cp1252"), "Größe, naïve — “so”"),
        ("The export is slow. Größe".encode("utf-16"), "The export is slow. Größe"),
        ("The export is slow.".encode("utf-16-le"), "The export is slow."),
        ("The export is slow.".encode("utf-16-be"), "The export is slow."),
        ("The export is slow.".encode("utf-32"), "The export is slow."),
        (("Экспорт работает очень медленно, и это мешает нам каждый день. " * 5).encode("cp1251"), None),
        (("エクスポートがとても遅いので困っています。毎日使います。" * 5).encode("shift_jis"), None),
        (("Zażółć gęślą jaźń, eksport działa zbyt wolno dla nas. " * 5).encode("cp1250"), None),
    ],
)  # fmt: skip
def test_encodings_are_detected(data: bytes, text: str | None) -> None:
    (document,) = read_documents("a.txt", data)
    if text is not None:
        assert document.text == text
    else:
        expected = {"Экспорт", "エクスポート", "Zażółć"}
        assert any(document.text.startswith(word) for word in expected), document.text[:40]


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=400) | st.text(alphabet="Ab:|#->* \n[]()0123456789.é\u200b\U0001f600", max_size=400))
def test_segments_hold_for_any_text(text: str) -> None:
    try:
        documents = read_documents("a.md", text.encode("utf-8", "surrogatepass"))
    except UnreadableDocument as error:
        assert error.kind in {"empty", "no_text", "binary", "broken"}
        return
    for document in documents:
        check_document(document)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["Anna", "Bo Lind", "Interviewer"]), st.text("ab .\n", min_size=1, max_size=40)),
        min_size=3,
    )
)
def test_turns_hold_for_any_dialogue(turns: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{name}: x{words}" for name, words in turns)
    (document,) = read_documents("a.txt", text.encode())
    check_document(document)
    if len({name for name, _ in turns}) > 1:
        assert all(segment.speaker for segment in document.segments)
        assert all(s.is_customer == (s.speaker != "Interviewer") for s in document.segments)
