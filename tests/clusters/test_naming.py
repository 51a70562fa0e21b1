"""Local names read as phrases: what many members say and their siblings don't, without words that dangle."""

from __future__ import annotations

import pytest

from elmer_pipelines.clusters.naming import Grammar, fold, names, phrases_of, terms, weigh

CARDS = [
    "Why was my card payment declined?",
    "My card payment declined at the store, what is the problem",
    "A card payment was declined twice",
    "The card payment declined again today",
]
CASH = [
    "The ATM swallowed my card",
    "I withdrew cash at an ATM and got the wrong amount",
    "The wrong amount came out of the ATM",
    "Cash from the ATM was the wrong amount",
]
GERMAN = [
    "Der Kalender zeigt jeden Termin doppelt.",
    "Schon wieder steht ein Termin doppelt im Kalender",
    "Im Kalender ist der Termin doppelt eingetragen",
]


def named(*clusters: list[str]) -> list[list[str]]:
    grammar = Grammar()
    for texts in clusters:
        for words in texts:
            grammar.learn(words)
    phrases = [phrases_of(texts) for texts in clusters]
    return [names(own, weights, grammar) for own, weights in zip(phrases, weigh(phrases), strict=True)]


def test_a_name_is_the_phrase_most_members_share() -> None:
    cards, cash, german = named(CARDS, CASH, GERMAN)
    assert cards[0] == "Card payment declined"
    assert cash[0] == "Wrong amount"
    assert german[0] == "Termin doppelt"


def test_words_that_stand_beside_each_other_in_a_name_are_joined_in_its_language() -> None:
    german = ["Die Rechnung fehlt, der Beleg auch", "Keine Rechnung, kein Beleg", "Wo ist die Rechnung? Und der Beleg?"]
    english = ["The invoice is lost, and so is the receipt", "No invoice. No receipt.", "Which invoice? Which receipt?"]
    assert [offered[0] for offered in named(german, english)] == ["Beleg und Rechnung", "Invoice and receipt"]


def test_two_words_that_a_member_says_in_a_row_are_put_so() -> None:
    calendar = ["The calendar is wrong", "Fix the sync", "My calendar sync broke", "The sync doubled my calendar"]
    assert named(calendar, CARDS)[0][0] == "Calendar sync"


def test_names_to_choose_from_share_no_word() -> None:
    for offered in named(CARDS, CASH, GERMAN):
        first = [fold(name.split()[0]) for name in offered]
        assert len(set(first)) == len(first)


def test_what_every_sibling_says_names_nobody() -> None:
    app = [f"the app {words}" for words in ("loses notes", "lost my notes", "notes are gone from the app")]
    bills = [f"the app {words}" for words in ("doubles invoices", "has wrong invoices", "shows no invoices")]
    of_notes, of_invoices = (offered[0].lower() for offered in named(app, bills))
    assert "notes" in of_notes and "invoices" in of_invoices


@pytest.mark.parametrize(
    "texts", [["it is what it is", "was it?"], ["ノートが消えた。", "同期できない"], ["alpha", "beta"], []]
)
def test_where_nothing_is_shared_there_is_no_name(texts: list[str]) -> None:
    assert named(texts, CARDS)[0] == []


def test_terms_repeat_no_word() -> None:
    phrases = [phrases_of(CARDS), phrases_of(CASH)]
    words = [word for term in terms(phrases[0], weigh(phrases)[0]) for word in term.split()]
    assert len(set(words)) == len(words) and "card" in words


def test_spellings_of_a_word_are_counted_together() -> None:
    assert {fold(one) for one in ("Invoice", "invoices", "invoice's")} == {"invoice"}
    assert (fold("entries"), fold("status"), fold("access")) == ("entry", "status", "access")
