"""Local names say what sets a cluster apart, in the customers' words, and no two are the same."""

from __future__ import annotations

import numpy as np

from elmer_pipelines.clusters.themes import ClusterTexts, Theme, central_order, local_themes, shortened, with_own_name
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
    assert "offline notes" in themes["C-o"].name.lower()
    assert "vat number" in themes["C-i"].name.lower()
    assert "export" in themes["C-g"].name.lower()
    for theme in themes.values():
        assert 2 <= len(theme.name.split()) <= 6
        assert theme.name[0].isupper()
    assert {"offline", "notes"} <= set(" ".join(themes["C-o"].terms).lower().split())
    assert not {"the", "der", "my", "ich"} & set(" ".join(themes["C-g"].terms).lower().split())


def test_a_theme_quotes_its_most_central_signal() -> None:
    one = cluster("o", OFFLINE)
    theme = local_themes([one])["C-o"]
    assert theme.central_signal_ids[0] == one.signal_ids[central_order(one)[0]]
    assert shortened(OFFLINE[central_order(one)[0]]) in theme.summary
    assert theme.summary.startswith("4 signals;")


def test_the_order_of_clusters_and_signals_does_not_matter() -> None:
    forward, other = cluster("o", OFFLINE), cluster("i", INVOICES)
    turned = ClusterTexts(forward.cluster_id, forward.signal_ids[::-1], forward.texts[::-1], forward.vectors[::-1])
    assert local_themes([forward, other]) == local_themes([other, turned])


def test_siblings_with_the_same_words_have_different_names() -> None:
    themes = local_themes([cluster(letter, OFFLINE) for letter in "abc"])
    assert len({theme.name.casefold() for theme in themes.values()}) == 3


def test_further_terms_tell_siblings_apart_before_numbers_do() -> None:
    theme = Theme("Offline notes", "", ("notes", "sync"), ())
    assert with_own_name(theme, {"offline NOTES"}).name == "Offline notes, sync"
    assert with_own_name(theme, {"Offline notes", "Offline notes, sync"}).name == "Offline notes (2)"
    assert with_own_name(theme, {"Other"}).name == "Offline notes"


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
    assert central_order(empty) == []
