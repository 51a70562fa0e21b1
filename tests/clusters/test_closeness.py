"""Phrases are weighed by what they mean: near to a cluster, far from its siblings, whatever its texts are."""

from __future__ import annotations

import numpy as np

from elmer_pipelines.clusters.closeness import closeness

NOTES = ["My offline notes were lost", "The notes I took without a network are gone", "Lost what I wrote in the tunnel"]
BILLS = ["The invoice lacks a VAT number", "Our bookkeeper refuses the bill", "Invoices come without the tax"]


def test_a_phrase_is_near_to_what_is_meant_by_it_and_far_from_the_sibling() -> None:
    of_notes, of_bills = closeness([NOTES, BILLS])
    notes, bills, neither = of_notes(["lost notes", "tax on the invoice", "the weather in May"])
    assert notes > 0.3 > neither > bills
    assert of_bills(["tax on the invoice"])[0] > of_bills(["lost notes"])[0]


def test_what_siblings_share_counts_for_neither() -> None:
    app = [[f"{words} in the mobile app" for words in texts] for texts in (NOTES, BILLS)]
    of_notes, of_bills = closeness(app)
    for near, own in ((of_notes, "lost notes"), (of_bills, "invoice")):
        assert near([own])[0] > near(["mobile app"])[0]


def test_the_same_whatever_the_order_of_texts_and_phrases() -> None:
    forward, turned = closeness([NOTES, BILLS])[0], closeness([NOTES[::-1], BILLS[::-1]])[0]
    phrases = ["lost notes", "notes", "invoice"]
    assert np.array_equal(forward(phrases), turned(phrases[::-1])[::-1])


def test_a_cluster_alone_or_empty_or_in_words_unknown_is_no_trouble() -> None:
    assert closeness([]) == []
    (alone,) = closeness([NOTES])
    assert alone(["lost notes"])[0] > alone(["the weather in May"])[0]
    empty, other = closeness([[], NOTES])
    assert empty(["lost notes"])[0] <= 0 < other(["lost notes"])[0]
    assert len(alone([])) == 0
    assert np.isfinite(closeness([["", " "], ["ノートが消えた"]])[0](["", "x"])).all()
