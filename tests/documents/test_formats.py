"""Captions, JSON, Slack exports, Office files, HTML and mails, each read from a small real file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from documents.document_checks import check_document, said
from documents.hostile_files import make_zip
from documents.office_files import make_docx, make_pdf, make_pptx

from elmer_pipelines.documents.options import ReadingOptions, TableOptions
from elmer_pipelines.documents.reading import Reader, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


RECORD = {"id": "a1", "date": "2026-02-03", "text": "The export loses rows every month."}


def test_webvtt_voices_become_turns_with_times() -> None:
    text = """WEBVTT

1
00:00:01.000 --> 00:00:04.000
<v Anna Smith>I am &amp; was

2
00:00:04.000 --> 00:00:06.000
<v Anna Smith>not <i>happy</i>.</v>

00:01:07.500 --> 00:01:09.000
<v Interviewer>Why?</v>
"""
    (document,) = read_documents("calls/2026-03-02 acme.vtt", text.encode())
    check_document(document)
    assert said(document) == [("Anna Smith", True, "I am & was not happy."), ("Interviewer", False, "Why?")]
    assert [segment.time for segment in document.segments] == [1.0, 67.5]
    assert (document.kind, document.format) == ("call", "webvtt")
    assert document.occurred_at == datetime(2026, 3, 2, tzinfo=UTC)


def test_srt_labels_become_speakers() -> None:
    cues = ("00:00:01,000 --> 00:00:02,000\nAnna: The export", "00:00:02,100 --> 00:00:04,000\nis slow.")
    cues = (*cues, "00:00:05,000 --> 00:00:06,000\nAgent: I see.")
    text = "\n\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, start=1))
    (document,) = read_documents("a.srt", text.encode())
    assert said(document) == [("Anna", True, "The export is slow."), ("Agent", False, "I see.")]
    assert document.format == "srt"


def test_long_captions_without_speakers_break_at_sentences() -> None:
    cues = "".join(
        f"00:00:{n:02}.000 --> 00:00:{n + 1:02}.000\nSentence number {n} is about the slow export.\n\n"
        for n in range(50)
    )
    (document,) = read_documents("a.vtt", ("WEBVTT\n\n" + cues).encode())
    assert len(document.segments) > 5
    assert all(document.text[s.start : s.end].endswith(".") for s in document.segments)


def test_json_records_wrapped_in_an_object() -> None:
    value = {
        "page": 1,
        "reviews": [
            {"id": 7, "author": {"name": "Jo"}, "text": "Search is slow for me", "rating": 2, "created_at": 1767225600},
            {"id": 8, "text": "I like it a lot"},
        ],
    }
    documents = read_documents("a.json", json.dumps(value).encode())
    assert [(d.address, d.kind, d.people) for d in documents] == [
        ("a.json#7", "review", ("Jo",)),
        ("a.json#8", "review", ()),
    ]
    assert documents[0].occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert documents[0].metadata["rating"] == 2


@pytest.mark.parametrize(
    "value",
    [
        {"data": {"items": [RECORD, {**RECORD, "id": "b2"}]}, "page": 1},
        {"a1": {**RECORD}, "b2": {**RECORD, "id": "b2"}},
        {"a1": {"date": "2026-02-03", "text": RECORD["text"]}, "b2": {"date": "2026-02-03", "text": RECORD["text"]}},
        {"data": [{"id": "a1", "attributes": RECORD}, {"id": "b2", "attributes": RECORD}]},
    ],
)
def test_json_records_are_found_in_their_wrappers(value: dict[str, Any]) -> None:
    documents = read_documents("a.json", json.dumps(value).encode())
    assert [document.address for document in documents] == ["a.json#a1", "a.json#b2"]
    assert {document.text for document in documents} == {RECORD["text"]}
    assert documents[0].occurred_at == datetime(2026, 2, 3, tzinfo=UTC)


def test_the_parts_of_one_json_object_are_no_records() -> None:
    value = {"ticket": {"id": 7, "text": "The export loses rows every month."}, "user": {"id": 2, "name": "Ada"}}
    (document,) = read_documents("a.json", json.dumps(value).encode())
    assert document.text == "The export loses rows every month."


def test_json_conversations_know_who_answers() -> None:
    talk = {
        "id": "c9",
        "subject": "Export",
        "messages": [
            {"author": {"name": "Kim", "type": "user"}, "body": "It broke."},
            {"author": {"name": "Lu", "type": "admin"}, "body": "Sorry."},
        ],
    }
    (document,) = read_documents("chats/one.json", json.dumps(talk).encode())
    assert document.address == "chats/one.json"
    assert document.title == "Export"
    assert said(document) == [("Kim", True, "It broke."), ("Lu", False, "Sorry.")]
    documents = read_documents("chats/all.json", json.dumps([talk, {**talk, "id": "c10"}]).encode())
    assert [d.address for d in documents] == ["chats/all.json#c9", "chats/all.json#c10"]


def test_json_lines_of_records_and_of_one_dialogue() -> None:
    records = b'{"id": 1, "feedback": "Search is slow"}\n\n{"id": 2, "feedback": "Price is high"}\n'
    assert [d.address for d in read_documents("a.jsonl", records)] == ["a.jsonl#1", "a.jsonl#2"]
    assert len(read_documents("really-lines.json", records)) == 2
    dialogue = b'{"role": "user", "content": "It broke"}\n{"role": "assistant", "content": "Sorry"}\n'
    (document,) = read_documents("b.jsonl", dialogue)
    assert said(document) == [("user", True, "It broke"), ("assistant", False, "Sorry")]


def test_the_text_field_of_json_can_be_named() -> None:
    options = ReadingOptions(tables=(TableOptions(pattern="*.json", text="answer 2"),))
    (document,) = read_documents("a.json", b'[{"id": 1, "text": "not this one", "answer 2": "this one here"}]', options)
    assert document.text == "this one here"


def _slack() -> bytes:
    def message(user: str, text: str, ts: str, **more: Any) -> dict[str, Any]:
        return {"type": "message", "user": user, "text": text, "ts": ts, **more}

    users = [{"id": "U1", "profile": {"real_name": "Anna Berg"}}, {"id": "U2", "name": "helper", "is_bot": True}]
    monday = [
        message(
            "U1",
            "The export &amp; search are slow, <@U2> <https://x.org|see>",
            "1767600000.000100",
            thread_ts="1767600000.000100",
            reply_count=1,
        ),
        message("U1", "Lunch?", "1767600100.000100"),
        message("U1", "joined", "1767600200.000100", subtype="channel_join"),
    ]
    tuesday = [message("U2", "Noted.", "1767690000.000200", thread_ts="1767600000.000100")]
    return make_zip(
        {
            "users.json": json.dumps(users),
            "channels.json": "[]",
            "feedback/2026-01-05.json": json.dumps(monday),
            "feedback/2026-01-06.json": json.dumps(tuesday),
        }
    )


def test_slack_threads_and_days(reader: Reader) -> None:
    thread, day = reader.read("slack.zip", _slack())
    check_document(thread)
    assert thread.address == "slack.zip#feedback/1767600000.000100"
    assert said(thread) == [
        ("Anna Berg", True, "The export & search are slow, @helper see"),
        ("helper", False, "Noted."),
    ]
    assert thread.segments[0].at == datetime(2026, 1, 5, 8, 0, 0, 100, tzinfo=UTC)
    assert (day.address, day.title) == ("slack.zip#feedback/2026-01-05", "#feedback on 2026-01-05")
    assert said(day) == [("Anna Berg", True, "Lunch?")]


def test_word_files_give_text_as_written(reader: Reader) -> None:
    data = make_docx("I **really** need snake_case & * export.", "Interviewer: Why?", "Kim: Because.")
    (document,) = reader.read("a.docx", data)
    check_document(document)
    assert (document.title, document.format) == ("Interview notes", "docx")
    assert said(document) == [
        (None, True, "I really need snake_case & * export."),
        ("Interviewer", False, "Why?"),
        ("Kim", True, "Because."),
    ]
    assert document.segments[0].heading == "Interview notes"


def test_slides_and_their_notes(reader: Reader) -> None:
    (document,) = reader.read("a.pptx", make_pptx("Findings", "Export is slow", "Kim said so"))
    assert [(s.heading, document.text[s.start : s.end]) for s in document.segments] == [
        ("Findings", "Export is slow"),
        ("Notes:", "Kim said so"),
    ]


def test_pdf_lines_are_joined_to_paragraphs(reader: Reader) -> None:
    long = "The export is really slow and it takes me hours every single week to get my numbers out of it, "
    long += "which is a pity because I like the rest."
    (document,) = reader.read(
        "notes/a.pdf", make_pdf("Visit in spring", long, "\f", "Agent: Hello.", "Kim: It is slow.")
    )
    check_document(document)
    assert (None, True, long) in said(document)
    assert said(document)[-2:] == [("Agent", False, "Hello."), ("Kim", True, "It is slow.")]


def test_a_wrong_extension_is_read_as_what_it_is(reader: Reader) -> None:
    assert reader.read("a.txt", make_pdf("The export is slow."))[0].format == "pdf"
    assert reader.read("b.pdf", make_docx("The export is slow."))[0].format == "docx"
    assert reader.read("c.txt", b"<!doctype html><p>The export is slow.</p>")[0].format == "html"


def test_html_in_an_old_encoding(reader: Reader) -> None:
    head = '<html><head><meta charset="iso-8859-1"><title>Größe</title></head>'
    page = head + "<body><h2>Teil</h2><p>Zu groß.</p></body></html>"
    (document,) = reader.read("a.html", page.encode("latin-1"))
    assert (document.title, document.text) == ("Größe", "## Teil\n\nZu groß.")


def _mail(sender: str, body: str, *, html: str | None = None) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "Support <support@acme.example>", "Slow export — again"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    message.set_content(body)
    if html:
        message.add_alternative(html, subtype="html")
        message.get_payload()[0].set_payload("")  # type: ignore[union-attr, index]
    message.add_attachment(b"1,2", maintype="text", subtype="csv", filename="rows.csv")
    return message.as_bytes()


_BODY = """Hello,

the export is slow.

Best regards,
Kim

--
Kim Lee, Northwind

On Sun, Mar 1, 2026 at 9:00 AM Support <support@acme.example> wrote:
> How can we help?
"""


def test_mail_quotes_are_not_the_senders_and_signatures_are_cut() -> None:
    (document,) = read_documents("a.eml", _mail("Kim Lee <kim@northwind.example>", _BODY))
    check_document(document)
    assert (document.title, document.kind) == ("Slow export — again", "email")
    assert document.occurred_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert document.people == ("Kim Lee", "Support")
    assert [words for _, customer, words in said(document) if customer] == ["Hello,", "the export is slow."]
    assert "How can we help?" in next(words for _, customer, words in said(document) if not customer)
    assert "Northwind" not in document.text
    assert document.metadata["attachments"] == ["rows.csv"]


def test_mail_from_support_is_ours() -> None:
    (document,) = read_documents("a.eml", _mail("Acme Support <support@acme.example>", "We fixed it.\n"))
    assert said(document) == [("Acme Support", False, "We fixed it.")]


def test_mail_in_html_only() -> None:
    html = "<p>The export is slow.</p><script>x()</script><blockquote>Old words</blockquote>"
    (document,) = read_documents("a.eml", _mail("Kim <kim@x.example>", "", html=html))
    assert ("Kim", True, "The export is slow.") in said(document)
    assert all(customer is False for _, customer, words in said(document) if "Old words" in words)
    assert "x()" not in document.text


def test_options_change_the_fingerprint() -> None:
    tables = (TableOptions(pattern="*.csv", text="a"),)
    prints = {
        options.fingerprint()
        for options in (ReadingOptions(), ReadingOptions(tables=tables), ReadingOptions(max_bytes=1))
    }
    assert len(prints) == 3
    assert ReadingOptions().fingerprint() == ReadingOptions().fingerprint()
