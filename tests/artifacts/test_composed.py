from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from story import HEARD, at_angle

from elmer_pipelines.artifacts.composed import Material, product_requirements, research_brief
from elmer_pipelines.artifacts.evidence import Case, Evidence, Totals, place
from elmer_pipelines.artifacts.grouping import Group, group
from elmer_pipelines.artifacts.tone import states_a_need, tone
from elmer_pipelines.ids import text_hash
from elmer_pipelines.store.projects import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Project("P-1", "Exports", "", "inbox", "named")
PLAIN = Evidence(
    "S-0", "It fails.", None, None, None, None, None, HEARD, "Call", "a.md", "call", 0, 9, "paragraph 1", None, "h0"
)  # fmt: skip


def said(words: str, **values: object) -> Evidence:
    number = int(text_hash(words)[:8], 16)
    return replace(PLAIN, signal_id=f"S-{number:012d}", verbatim=words, text_hash=words, **values)  # type: ignore[arg-type]


def case(evidence: Sequence[Evidence]) -> Case:
    severity = {one.severity: 1 for one in evidence if one.severity}
    totals = Totals(len(evidence), len({one.address for one in evidence}), 0, HEARD, HEARD, severity, {}, {})
    return Case(PROJECT, tuple(evidence), totals)


@pytest.mark.parametrize(
    ("interpretation", "line"),
    [
        ("Reports a problem with “exports”: “fail”.", "To be solved: “Exports fail each night.”"),
        ("Wants: “exports”.", "Customers say they want: “Exports fail each night.”"),
        ("Finance must close the month in time", "To be solved: Finance must close the month in time."),
        (None, "To be solved: “Exports fail each night.”"),
    ],
)
def test_a_requirement_never_says_more_than_the_signal(interpretation: str | None, line: str) -> None:
    one = said("Exports fail each night.", interpretation=interpretation)
    text = product_requirements(Material(case([one]), [Group("Night", (one,))]))
    assert f"**R1 Night.** {line} [{one.signal_id}]" in text


def test_a_stated_need_is_worded_as_one() -> None:
    one = said("We need exports at night.", interpretation="Finance closes the month at night.")
    text = product_requirements(Material(case([one]), [Group("Night", (one,))]))
    assert "Customers say they need: Finance closes the month at night. [" in text


def test_praise_is_kept_apart_and_both_sides_of_a_contradiction_are_quoted() -> None:
    good, bad = said("I love the new export."), said("The new export is broken.")
    material = Material(case([bad, good]), [Group("Export", (bad, good))])
    for text in (product_requirements(material), research_brief(material)):
        praise = text.split("## What works and must not be lost")[1].split("\n## ")[0]
        assert good.signal_id in praise
        assert bad.signal_id not in praise
        differ = text.split("## Where customers differ")[1].split("\n## ")[0]
        assert "> I love the new export." in differ
        assert "> The new export is broken." in differ
        assert good.signal_id not in text.split("## Needs")[1].split("\n## ")[0]


def test_praise_alone_makes_no_requirement() -> None:
    one = said("I love the new export.")
    text = product_requirements(Material(case([one]), [Group("Export", (one,))]))
    assert "None follows from the evidence." in text


def test_groups_follow_the_vectors_and_hold_everything() -> None:
    slow = [said(f"Loading slowly {n}") for n in range(4)]
    lost = [said(f"Invoice vanished {n}", theme="Lost invoices") for n in range(4)]
    vectors = {one.text_hash: np.asarray(at_angle(0.9), np.float32) for one in slow}
    vectors |= {one.text_hash: np.asarray(at_angle(0.1), np.float32) for one in lost}
    found = group(case([lost[0], *slow, *lost[1:]]), vectors)
    assert [set(one.evidence) for one in found] == [set(lost), set(slow)], "the weightiest first"
    assert found[0].label == "Lost invoices"
    assert "loading" in found[1].label.casefold()


def test_without_vectors_groups_are_severities() -> None:
    evidence = [said(f"Number {n}", severity="high" if n < 3 else "low") for n in range(6)]
    assert [len(one.evidence) for one in group(case(evidence), {})] == [3, 3]


def test_groups_are_named_by_phrases_like_themes() -> None:
    lost = ["My offline notes were lost", "I lost my offline notes again", "Offline notes lost after the flight"]
    tax = ["The VAT number is missing on the invoice", "No VAT number on my invoice", "Put the VAT number on it"]
    evidence = [*(said(words, severity="high") for words in lost), *(said(words, severity="low") for words in tax)]
    assert [one.label for one in group(case(evidence), {})] == ["Offline notes", "VAT number on invoice"]


def test_labels_are_never_twice_the_same() -> None:
    evidence = [said(f"{n}", severity=("high", "low", None)[n % 3]) for n in range(6)]
    labels = [one.label for one in group(case(evidence), {})]
    assert len(set(labels)) == len(labels) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("I love it, but it crashes.", "problem"),
        ("Es ist leider langsam.", "problem"),
        ("We need a dark mode.", "wish"),
        ("Works great for us.", "praise"),
        ("We are forty people.", "open"),
    ],
)
def test_tone(words: str, expected: str) -> None:
    assert tone(words) == expected
    assert states_a_need(words) == (expected == "wish")


def test_an_interpretation_of_the_local_extractor_sets_the_tone() -> None:
    assert tone("It never failed me.", "Is positive about the product.") == "praise"


@pytest.mark.parametrize(
    ("segment", "where"),
    [
        ({"start": 0, "end": 9, "row": 12}, "row 12"),
        ({"start": 0, "end": 9, "time": 3792.5, "speaker": "Jo"}, "at 01:03:12"),
        ({"start": 0, "end": 9, "speaker": "Jo", "heading": "Prices"}, "turn 4 under “Prices”"),
        ({"start": 0, "end": 9}, "paragraph 4"),
        (None, ""),
    ],
)
def test_a_place_in_words(segment: dict[str, object] | None, where: str) -> None:
    assert place(segment, 4) == where
