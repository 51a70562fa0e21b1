"""Local names read as phrases: what many members say and their siblings don't, without words that dangle."""

from __future__ import annotations

import pytest

from elmer_pipelines.clusters.closeness import closeness
from elmer_pipelines.clusters.naming import names, terms, weigh
from elmer_pipelines.clusters.phrases import Grammar, Member, Phrases, fold, phrases_of

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


def members(texts: list[str], *, documents: int = 0) -> list[Member]:
    """Each text a document's only one, or dealt out to so many documents."""
    return [Member(words, f"D-{row % documents if documents else row}") for row, words in enumerate(texts)]


def named_of(*clusters: list[Member], people: tuple[str, ...] = (), above: str = "") -> list[list[str]]:
    grammar = Grammar()
    grammar.meet(people)
    for one in clusters:
        for member in one:
            grammar.learn(member.text)
    phrases = [phrases_of(one, grammar) for one in clusters]
    near = closeness([[member.text for member in one] for one in clusters])
    return [names(*one[:2], grammar, one[2], above) for one in zip(phrases, weigh(phrases), near, strict=True)]


def named(*clusters: list[str]) -> list[list[str]]:
    return named_of(*map(members, clusters))


def phrases(texts: list[str]) -> Phrases:
    return phrases_of(members(texts), Grammar())


def test_a_name_is_a_phrase_that_says_what_most_members_are_about() -> None:
    cards, cash, german = named(CARDS, CASH, GERMAN)
    assert cards[0] == "Card payment declined"
    assert cash[0] == "Cash at an ATM"
    assert german[0] == "Termin doppelt im Kalender"


def test_a_phrase_of_one_member_may_name_what_the_others_say_in_other_words() -> None:
    slow = [
        "The app takes forever to start in the morning",
        "Start of the app is far too slow",
        "Thirty seconds of waiting until the app starts",
        "I wait and wait, the app is so slow",
    ]
    assert "slow" in named(slow, CARDS)[0][0].lower() or "start" in named(slow, CARDS)[0][0].lower()
    seats = ["We pay for seats nobody uses", "The price for seasonal workers", "Fees for helpers who stay four weeks"]
    assert len(named([*seats, "Pay for seasonal seats"], CARDS)[0][0].split()) > 1


def test_words_that_stand_beside_each_other_in_a_name_are_joined_in_its_language() -> None:
    german = ["Die Rechnung fehlt, der Beleg auch", "Keine Rechnung, kein Beleg", "Wo ist die Rechnung? Und der Beleg?"]
    english = ["The invoice is lost, and so is the receipt", "No invoice. No receipt.", "Which invoice? Which receipt?"]
    assert [offered[0] for offered in named(german, english)] == ["Rechnung und Beleg", "Receipt and invoice"]


def test_names_keep_the_articles_that_make_a_phrase_of_words() -> None:
    calendar = ["Fix the calendar", "Please fix the calendar", "When do you fix our calendar?"]
    assert named(calendar, CARDS)[0][0] == "Fix the calendar"
    noise = ["I heard the noise a pump makes", "The noise a pump makes is loud", "What is the noise?"]
    assert "noise a pump" not in " ".join(named(noise, CARDS)[0]).lower()
    upload = [
        "On a bad connection the upload fails",
        "A bad connection, the upload stops",
        "Bad connection the upload!",
    ]
    assert "connection the" not in " ".join(named(upload, CARDS)[0]).lower()


def test_two_words_that_a_member_says_in_a_row_are_put_so() -> None:
    calendar = ["The calendar is wrong", "Fix the sync", "My calendar sync broke", "The sync doubled my calendar"]
    assert named(calendar, CARDS)[0][0] == "Calendar sync"


def test_a_small_word_that_always_stands_before_another_is_part_of_it() -> None:
    york = ["A flight to New York", "New York flight is late", "My flight from New York", "No new flight to New York"]
    assert named(york, CASH)[0][0] in {"New York flight", "Flight to New York"}
    disk = ["The hard drive is full", "My hard drive broke", "A hard drive that breaks", "Hard work, and a hard drive"]
    assert named(disk, CASH)[0][0] == "Hard drive"
    cards = ["My new card is lost", "The card is lost", "Lost a card", "Another lost card"]
    assert "new" not in named(cards, CASH)[0][0].lower()


def test_what_a_cluster_holds_is_not_called_like_it_where_another_name_says_nearly_as_much() -> None:
    assert named(CARDS, CASH)[0][0] == "Card payment declined"
    inside = named_of(members(CARDS), members(CASH), above="Card payment declined")[0]
    assert inside
    assert inside[0] != "Card payment declined"
    alone = ["Login"] * 3
    assert named_of(members(alone), members(CASH), above="Login")[0] == ["Login"], "nothing else is said"


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


def test_a_second_word_is_put_beside_only_where_many_speak_of_it() -> None:
    few = [*(f"The invoice number {number} is wrong" for number in range(9)), "A gate, the gate", "Where is the gate?"]
    first = named(["No invoice came", "Where is my invoice?", *few], CARDS)[0][0]
    assert "invoice" in first.lower() and "gate" not in first.lower()


def test_words_that_hardly_any_member_uses_name_nobody() -> None:
    texts = [f"It is what it is {letter * 3}" for letter in "abcdefghijklmnopqrstuvwxyzäöü"]
    assert named([*texts, "the airport", "an airport"], CARDS)[0] == []


def test_a_verb_that_says_nothing_alone_may_end_a_name() -> None:
    texts = ["It is so easy to use", "The planner is easy to use", "Easy to use, every day", "Very easy to use"]
    assert named(texts, CARDS)[0][0] == "Easy to use"


def test_what_one_person_repeats_is_not_what_a_theme_is_called() -> None:
    """Eight remarks of one interview about its hydrant against one each of four about the invoice."""
    texts = ["The hydrant is red"] * 8 + ["The invoice is late", "An invoice came", "My invoice", "No invoice"]
    sources = ["D-0"] * 8 + ["D-1", "D-2", "D-3", "D-4"]
    own = [Member(words, source) for words, source in zip(texts, sources, strict=True)]
    assert named_of(own, members(CARDS))[0][0] == "Invoice"


@pytest.mark.parametrize(
    ("texts", "people"),
    [
        (
            ["I met Rowena about invoices", "Then Rowena wrote of invoices", "So Rowena smiled", "Ask Rowena"],
            ("Rowena P.",),
        ),
        (["Rowena wrote of invoices", "Rowena on invoices", "No invoices for us"], ("Rowena P.",)),
        (["The invoices of Mr Nettle", "I asked Mr Nettle for invoices", "So Nettle lacks invoices"], ()),
        (["Die Rechnung von Frau Nessel", "Laut Frau Nessel fehlt die Rechnung", "Und Frau Nessel? Rechnung!"], ()),
    ],
)
def test_people_are_no_themes(texts: list[str], people: tuple[str, ...]) -> None:
    name = named_of(members(texts), members(CARDS), people=people)[0][0]
    assert {"invoices", "rechnung"} & set(name.lower().split())
    assert not {"rowena", "nettle", "nessel"} & set(name.lower().split())


def test_a_speaker_called_like_a_thing_takes_no_word_away() -> None:
    texts = ["The support never answers", "I wrote to Support", "Their support is slow"]
    assert named_of(members(texts), members(CARDS), people=("Support",))[0][0].endswith("Support")


def test_german_words_are_counted_in_all_their_cases_and_inside_compounds() -> None:
    texts = [
        "Ich finde den Auftrag nicht.",
        "Die Aufträge sind weg.",
        "Wo bleibt die Liste des Auftrags?",
        "Bei uns fehlt das Auftragsdatum.",
        "Ein Monteur war nicht da.",
        "Der Monteur ist krank.",
    ]
    found = phrases(texts)
    assert found.german
    assert found.support[fold("Auftrag", german=True),] == 4
    assert "Auftrag" in named(texts, CARDS)[0][0]


def test_german_names_keep_the_articles_that_join_two_nouns() -> None:
    texts = ["Der Name des Kunden fehlt", "Ich sehe den Namen des Kunden nicht", "Wo ist der Name des Kunden?"]
    assert named(texts, CARDS)[0][0] == "Name des Kunden"
    apart = [f"Ich zeige dem Kunden die Rechnung {word}" for word in ("heute", "morgen", "nie")]
    assert all("Kunden Rechnung" not in name for name in named(apart, CARDS)[0])


def test_terms_repeat_no_word() -> None:
    found = [phrases(CARDS), phrases(CASH)]
    words = [word for term in terms(found[0], weigh(found)[0]) for word in term.split()]
    assert len(set(words)) == len(words) and "card" in words


def test_spellings_of_a_word_are_counted_together() -> None:
    assert {fold(one) for one in ("Invoice", "invoices", "invoice's")} == {"invoice"}
    assert (fold("entries"), fold("status"), fold("access")) == ("entry", "status", "access")
    assert {fold(one, german=True) for one in ("Aufträge", "Auftrags", "auftrag")} == {"auftrag"}
