"""Local names say what sets a cluster apart, in the customers' words, and no two are the same."""

from __future__ import annotations

import numpy as np

from elmer_pipelines.clusters.themes import (
    ClusterTexts,
    Named,
    central_order,
    local_themes,
    name_of_parts,
    own_name,
    own_names,
    shortened,
    telling_quotes,
)
from elmer_pipelines.models.local_embeddings import LocalEmbeddings

OFFLINE = [
    "My offline notes were lost after the flight.",
    "I lost my offline notes again!",
    "When the train goes into a tunnel, offline notes are lost and I type everything again",
    "The app lost three offline notes of mine",
]
INVOICES = [
    "The invoice lacks a VAT number, so accounting sends it back",
    "Our invoices have no VAT number",
    "Please put the VAT number on the invoice",
    "Invoice without VAT number is useless for us",
]
GERMAN = [
    "Der Export nach Excel bricht immer ab",
    "Beim Export nach Excel fehlen die Umlaute",
    "Ich kann den Excel-Export nicht gebrauchen, der Export bricht ab",
]


def cluster(name: str, texts: list[str]) -> ClusterTexts:
    ids = tuple(f"S-{name}{row}" for row in range(len(texts)))
    return ClusterTexts(f"C-{name}", ids, tuple(texts), LocalEmbeddings().embed(texts))


def test_names_are_phrases_that_set_clusters_apart() -> None:
    themes = local_themes([cluster("o", OFFLINE), cluster("i", INVOICES), cluster("g", GERMAN)])
    assert {one: theme.name for one, theme in themes.items()} == {
        "C-o": "Offline notes", "C-i": "VAT number and invoice", "C-g": "Export nach Excel",
    }  # fmt: skip
    assert {"offline", "notes"} <= set(" ".join(themes["C-o"].terms).lower().split())
    assert not {"the", "der", "my", "ich"} & set(" ".join(themes["C-g"].terms).lower().split())
    assert all(theme.terms[0] in (theme.distinction or "") for theme in themes.values())


def test_a_theme_quotes_signals_that_are_central_and_different() -> None:
    words = ["Offline notes are lost.", "offline notes are lost. ", "Offline notes vanish", "Notes lost in a tunnel"]
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0.99, 0.14, 0], [0.8, 0, 0.6]], dtype=np.float32)
    one = ClusterTexts("C-1", ("S-a", "S-b", "S-c", "S-d"), tuple(words), vectors)
    assert [one.signal_ids[row] for row in central_order(one)][:2] == ["S-a", "S-b"]
    assert [one.signal_ids[row] for row in telling_quotes(one, 2)] == ["S-a", "S-d"], "the same again says nothing"
    theme = local_themes([one])["C-1"]
    assert theme.central_signal_ids == ("S-a", "S-d", "S-c")
    assert theme.summary.endswith("“Offline notes are lost.”")
    assert theme.distinction is None, "there is nothing it could be set apart from"


def test_the_order_of_clusters_and_signals_does_not_matter() -> None:
    forward, other = cluster("o", OFFLINE), cluster("i", INVOICES)
    turned = ClusterTexts(forward.cluster_id, forward.signal_ids[::-1], forward.texts[::-1], forward.vectors[::-1])
    assert local_themes([forward, other]) == local_themes([other, turned])


def test_a_name_of_parts_has_two_at_least_and_as_many_as_fit() -> None:
    assert name_of_parts(["Lost notes"]) == "Lost notes"
    assert name_of_parts(["Lost notes", "Paid twice", "Sync"]) == "Lost notes · Paid twice · Sync"
    long = "What a very long name of a theme can be like"
    assert name_of_parts([long, long.upper(), "Sync"]) == f"{long} · {long.upper()}"


def test_siblings_with_the_same_words_have_different_names() -> None:
    themes = local_themes([cluster(letter, OFFLINE) for letter in "abc"])
    assert len({theme.name.casefold() for theme in themes.values()}) == 3


def test_further_terms_tell_siblings_apart_before_numbers_do() -> None:
    terms = ("notes", "sync")
    assert own_name("Offline notes", terms, {"offline notes"}) == "Offline notes, sync"
    assert own_name("Offline notes", terms, {"offline notes", "offline notes, sync"}) == "Offline notes (2)"
    assert own_name("Offline notes", terms, {"other"}) == "Offline notes"


def test_names_are_told_apart_whoever_was_named_first() -> None:
    theme, need = ("theme", None), ("need", "C-2")
    named = [
        Named("C-2", theme, "Sync", False, ("calendar",)),
        Named("C-1", theme, "sync", False, ("notes",)),
        Named("C-9", theme, "Sync", True, ()),
        Named("C-5", need, "Sync", False, ()),
    ]
    expected = {"C-1": "sync, notes", "C-2": "Sync, calendar"}
    assert own_names(named) == own_names(named[::-1]) == expected
    settled = [Named(one.cluster_id, one.siblings, expected.get(one.cluster_id, one.name), False, one.terms)
               for one in named]  # fmt: skip
    assert own_names(settled) == {}


def test_a_cluster_without_telling_words_is_named_by_its_quote() -> None:
    themes = local_themes(
        [cluster("x", ["it is what it is", "was it?"]), cluster("j", ["ノートが消えた。", "同期できない"])]
    )
    assert themes["C-x"].name.startswith("“")
    assert all(theme.name.strip("“”") for theme in themes.values())


def test_a_longer_text_is_cut_between_words_and_made_one_line() -> None:
    assert shortened("  one\n two ") == "one two"
    assert shortened("alpha beta gamma delta", 15) == "alpha beta…"
    assert len(shortened("x" * 500)) == 200


def test_nothing_to_name() -> None:
    assert local_themes([]) == {}
    empty = ClusterTexts("C", (), (), np.empty((0, 4), dtype=np.float32))
    assert central_order(empty) == telling_quotes(empty) == []
