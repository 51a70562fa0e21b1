"""CSV, TSV and spreadsheets: the text column, addresses that stay, groups, kinds."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime

import pytest
from documents.document_checks import check_document, said
from documents.office_files import make_xlsx
from hypothesis import given, settings
from hypothesis import strategies as st

from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.reading import Reader, ReadingOptions, TableOptions, read_documents
from elmer_pipelines.errors import UnreadableDocument


def _csv(*rows: tuple[str, ...]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


def _texts(documents: list[Document]) -> list[str]:
    return [document.text for document in documents]


def test_a_review_table_row_by_row() -> None:
    rows = (
        ("App id", "Review id", "Rating", "Date", "Content"),
        ("x", "r1", "2", "2026-02-03", "Search is slow."),
        ("x", "r2", "5", "", "Love it a lot."),
    )
    documents = read_documents("data/reviews.csv", _csv(*rows))
    assert [document.address for document in documents] == ["data/reviews.csv#r1", "data/reviews.csv#r2"]
    first = documents[0]
    check_document(first)
    assert (first.kind, first.format, first.text, first.title) == (
        "review",
        "csv",
        "Search is slow.",
        "Search is slow.",
    )
    assert first.occurred_at == datetime(2026, 2, 3, tzinfo=UTC)
    assert first.metadata["Rating"] == "2"


@pytest.mark.parametrize(
    "header",
    [
        ("id", "text"), ("ID", "Customer Comment"), ("reviewId", "reviewText"), ("key", "What bothers you?"),
        ("id", "Verbatim"),
    ],
)  # fmt: skip
def test_the_text_column_is_found_by_name(header: tuple[str, str]) -> None:
    documents = read_documents("a.csv", _csv(header, ("1", "The export is too slow"), ("2", "Search never finds it")))
    assert documents[0].text.endswith("The export is too slow")
    assert documents[0].address == "a.csv#1"


@pytest.mark.parametrize(
    "header",
    [
        ("ID", "DATE", "AUTHOR", "TEXT", "TITLE"),
        ("Ticket #", "Created (UTC)", "Requester:", "Customer's message", "Subject*"),
        ("ReviewID", "createdDate", "AuthorName", "review_text", "ReviewTitle"),
        ("\ufeffTicket ID", "Ticket created - Date", "Requester name", "Ticket description", "Ticket subject"),
        ("Case Number", "Created Date/Time", "Contact.Name", "Description", "Subject"),
        ("Response #", "Submit Date (UTC)", "What is your name?", "What could we do better?", "Topic"),
        ("Reference Number", "Review created (UTC)", "Reviewer Nickname", "Review Content", "Review Title"),
        ("ticket_id", "ticket_created_at", "ticket_requester", "ticket_body", "ticket_subject"),
        ("Ticket-Nr.", "Erstellt am", "Kundenname", "Beschreibung", "Betreff"),
        ("Vorgangsnummer", "Eingangsdatum", "Verfasser", "Bewertungstext", "Überschrift"),
        ("N°", "Date de création", "Auteur", "Avis client", "Titre"),
        ("Número", "Fecha de creación", "Usuario", "Reseña", "Título"),
        ("Codice", "Data", "Autore", "Recensione", "Titolo"),
        ("Código", "Data de criação", "Cliente", "Avaliação", "Título"),
        ("Nummer", "Aangemaakt op", "Naam", "Opmerking", "Onderwerp"),
        ("番号", "投稿日", "投稿者", "レビュー", "件名"),
    ],
)  # fmt: skip
def test_headers_of_other_exports_and_languages_lose_no_column(header: tuple[str, ...]) -> None:
    rows = [
        ("X-1", "2026-03-04", "Anna Berg", "The map freezes and my notes are gone", "Map"),
        ("X-2", "2026-03-05", "Bo Lind", "Please let me assign two people to a visit", "Visits"),
    ]
    document, _ = read_documents("a.csv", _csv(header, *rows))
    assert document.address == "a.csv#X-1"
    assert document.occurred_at == datetime(2026, 3, 4, tzinfo=UTC)
    assert (document.people, document.title) == (("Anna Berg",), "Map")
    assert document.text.endswith("The map freezes and my notes are gone")
    assert "Anna" not in document.text


def test_columns_about_something_else_are_left_alone() -> None:
    header = ("No", "Due date", "Closed at", "Survey name", "Reviewer language", "Customer ID", "Comment")
    rows = [
        (str(n), "2026-03-04", "2026-03-05", "Spring", "de", f"c{n % 2}", f"The export is slow, {n} times")
        for n in (1, 2, 3, 4)
    ]
    first = read_documents("a.csv", _csv(header, *rows))[0]
    assert (first.occurred_at, first.people) == (None, ())
    assert len(first.address) == len("a.csv#") + 12, "neither a row's place nor the customer tells the records apart"


def test_a_date_column_is_known_by_its_dates() -> None:
    header, row = ("Datum der Antwort", "time", "Comment"), ("04.03.2026", "often", "The export is slow")
    (document,) = read_documents("a.csv", _csv(header, row))
    assert document.occurred_at == datetime(2026, 3, 4, tzinfo=UTC)


def test_the_text_column_is_found_by_its_words() -> None:
    rows = (
        ("zone", "q17", "team"),
        ("north", "The export is too slow for us", "a"),
        ("south", "We never find anything", "b"),
    )
    assert _texts(read_documents("a.csv", _csv(*rows))) == ["The export is too slow for us", "We never find anything"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(mark: str) -> None:
    data = (
        mark.join(("id", "comment"))
        + "\n"
        + mark.join(("1", "Too slow here"))
        + "\n"
        + mark.join(("2", "Too dear now"))
    )
    assert _texts(read_documents("a.csv", data.encode())) == ["Too slow here", "Too dear now"]


def test_a_table_without_header_is_read_from_its_first_row() -> None:
    documents = read_documents(
        "a.csv", _csv(("1", "The export is much too slow for all of us here"), ("2", "Search finds nothing"))
    )
    assert len(documents) == 2
    assert documents[1].text == "Search finds nothing"


def test_a_new_row_changes_no_other_address() -> None:
    rows = [
        ("comment", "plan"),
        ("Too slow for us", "a"),
        ("Too dear for us", "b"),
        ("Too slow for us", "c"),
        ("Nice and quick", "a"),
    ]
    before = {d.address: d.content_hash for d in read_documents("a.csv", _csv(*rows))}
    rows.insert(1, ("A new voice speaks", "z"))
    after = {d.address: d.content_hash for d in read_documents("a.csv", _csv(*rows))}
    assert len(before) == 4
    assert before.items() <= after.items()


def test_repeated_ids_never_share_an_address() -> None:
    rows = [
        ("id", "text"),
        ("7", "Too slow"),
        ("7", "Too dear"),
        ("7-2", "Too odd"),
        ("7", "Too big"),
        ("8", "Too small"),
        ("9", "Too old"),
    ]
    addresses = [document.address for document in read_documents("a.csv", _csv(*rows))]
    assert addresses == ["a.csv#7", "a.csv#7-3", "a.csv#7-2", "a.csv#7-4", "a.csv#8", "a.csv#9"]


def test_configured_columns_are_used_and_missing_ones_named() -> None:
    options = ReadingOptions(
        tables=(TableOptions(pattern="old/*.csv", text="q2", id="nr", kind="how", date="day", author="by"),)
    )
    data = _csv(
        ("nr", "text", "q2", "how", "day", "by"), ("4", "not this one", "but this one", "call", "03.02.2026", "Kim")
    )
    (document,) = read_documents("old/a.csv", data, options)
    assert (document.address, document.text, document.kind) == ("old/a.csv#4", "but this one", "call")
    assert (document.occurred_at, document.people) == (datetime(2026, 2, 3, tzinfo=UTC), ("Kim",))
    with pytest.raises(UnreadableDocument, match="no column 'nr'"):
        read_documents("old/b.csv", _csv(("id", "text", "q2"), ("1", "a b c", "d e f")), options)


def test_rows_of_a_conversation_are_one_document() -> None:
    rows = [
        ("conversation_id", "role", "message"),
        ("c1", "agent", "How can I help?"),
        ("c1", "user", "The export is broken."),
        ("c2", "user", "Dark mode please."),
        ("c2", "agent", "Noted."),
    ]
    documents = read_documents("chats.csv", _csv(*rows))
    assert [document.address for document in documents] == ["chats.csv#c1", "chats.csv#c2"]
    assert said(documents[0]) == [("agent", False, "How can I help?"), ("user", True, "The export is broken.")]
    assert [segment.row for segment in documents[0].segments] == [1, 2]


def test_a_configured_group_ties_rows_together() -> None:
    options = ReadingOptions(tables=(TableOptions(pattern="*.csv", group="account"),))
    rows = [
        ("account", "comment"),
        ("Acme", "Too slow for us"),
        ("Beta", "Too dear for us"),
        ("Acme", "Still too slow"),
    ]
    documents = read_documents("a.csv", _csv(*rows), options)
    assert [(d.address, d.text) for d in documents] == [
        ("a.csv#Acme", "Too slow for us\n\nStill too slow"),
        ("a.csv#Beta", "Too dear for us"),
    ]


def test_the_job_of_who_answers_a_survey_is_not_our_side() -> None:
    header = ("id", "role", "answer")
    survey = [("1", "owner", "The export is slow"), ("2", "admin", "Search finds nothing"), ("3", "sales rep", "Ads")]
    documents = read_documents("survey.csv", _csv(header, *survey))
    assert [document.segments[0].is_customer for document in documents] == [True, True, True]
    messages = [("1", "end-user", "The export is slow"), ("2", "admin", "We look into it")]
    documents = read_documents("messages.csv", _csv(header, *messages))
    assert [document.segments[0].is_customer for document in documents] == [True, False]


def test_surveys_keep_every_open_answer_and_our_replies_are_not_the_customers() -> None:
    rows = [
        ("What works?", "What does not?", "Developer response"),
        ("The new editor", "The slow export", "Thanks, fixed"),
    ]
    (document,) = read_documents("survey.csv", _csv(*rows))
    assert [(s.heading, s.is_customer) for s in document.segments] == [
        ("What works?", True), ("What does not?", True), ("Developer response", False),
    ]  # fmt: skip


def test_a_cell_with_a_transcript_has_turns() -> None:
    cell = "Agent: Hello.\nKim: The export is slow.\nAgent: Sorry."
    (document,) = read_documents("tickets.csv", _csv(("Ticket ID", "Description"), ("5", cell)))
    assert said(document) == [
        ("Agent", False, "Hello."),
        ("Kim", True, "The export is slow."),
        ("Agent", False, "Sorry."),
    ]
    assert document.kind == "ticket"


def test_sheets_dates_and_numbers_of_a_workbook() -> None:
    first = [
        ["Feedback export", None, None],
        ["Ticket ID", "Created", "Comment"],
        [17, datetime(2026, 1, 2, 3, 4), "The export is slow"],
    ]
    data = make_xlsx(North=first, South=[["Ticket ID", "Comment"], [17, "Search is slow too"]], Lists=[["a", 1]])
    documents = read_documents("book.xlsx", data)
    assert [d.address for d in documents] == ["book.xlsx#North/17", "book.xlsx#South/17"]
    assert documents[0].occurred_at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert documents[0].metadata["Ticket ID"] == 17
    check_document(documents[0])


def test_one_sheet_needs_no_name_in_the_address() -> None:
    data = make_xlsx(Reviews=[["Review id", "Content"], ["a", "The export is slow"], ["b", "Search is slow"]])
    assert [d.address for d in read_documents("r.xlsx", data)] == ["r.xlsx#a", "r.xlsx#b"]


def test_five_thousand_rows_take_a_few_seconds_and_have_addresses_of_their_own() -> None:
    rows = [
        ["App id", "Review id", "Content"],
        *(["x", f"id{n // 2}", f"The export is slow, {n} times"] for n in range(5000)),
    ]
    data = make_xlsx(Reviews=rows)
    started = time.monotonic()
    with Reader() as reader:
        documents = reader.read("big.xlsx", data)
    assert time.monotonic() - started < 15
    assert len({document.address for document in documents}) == 5000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=30)), min_size=1, max_size=8))
def test_any_table_is_read_or_refused(rows: list[tuple[str, str]]) -> None:
    data = _csv(("id", "text"), *rows).decode("utf-8", "surrogatepass").encode("utf-8", "surrogatepass")
    try:
        documents = read_documents("a.csv", data)
    except UnreadableDocument as error:
        assert error.kind in {"no_text", "binary", "broken"}
        return
    assert len({document.address for document in documents}) == len(documents)
    for document in documents:
        check_document(document)
