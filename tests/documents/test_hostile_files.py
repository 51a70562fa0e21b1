"""Files that attack a reader: each has a clear outcome, and the reader goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from documents.document_checks import check_document
from documents.hostile_files import all_hostile
from documents.office_files import make_docx, make_pdf

from elmer_pipelines.documents.isolation import Worker
from elmer_pipelines.documents.reading import Reader, ReadingOptions, read_documents
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOSTILE = all_hostile()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(ReadingOptions(timeout=20)) as reader:
        yield reader


def test_there_are_at_least_thirty() -> None:
    assert len({path for path, _, _ in _HOSTILE}) == len(_HOSTILE) >= 30


@pytest.mark.parametrize(("path", "data", "right"), _HOSTILE, ids=[path for path, _, _ in _HOSTILE])
def test_a_hostile_file_is_read_or_refused_clearly(
    reader: Reader, path: str, data: bytes | Callable[[], bytes], right: set[str]
) -> None:
    content = data() if callable(data) else data
    try:
        documents = reader.read(path, content)
    except UnreadableDocument as error:
        assert error.kind in right, str(error)
        assert path in str(error)
        assert error.next_step
        assert len(str(error)) < 500
    else:
        assert "read" in right, [document.text[:80] for document in documents]
        for document in documents:
            check_document(document)
            assert document.address.startswith(path)


def test_one_line_of_200_megabytes_is_oversized_at_once(reader: Reader) -> None:
    line = b"x" * (200 << 20)
    started = time.process_time()
    with pytest.raises(UnreadableDocument) as caught:
        reader.read("line.txt", line)
    assert caught.value.kind == "oversized"
    assert time.process_time() - started < 2


def test_the_reader_goes_on_after_its_worker_died(reader: Reader) -> None:
    sound = make_docx("The export is slow.")
    assert reader.read("a.docx", sound)
    worker = reader._worker
    assert worker._process is not None
    worker._process.kill()
    worker._process.wait()
    assert reader.read("a.docx", sound)


def test_a_parser_that_takes_too_long_is_stopped_and_replaced() -> None:
    with Reader(ReadingOptions(timeout=1.0)) as reader:
        assert reader.read("warm.html", b"<p>The export is slow.</p>")
        slow = b"<html>" + b"<p><b>The</b> <i>export</i></p>" * 120_000
        started = time.monotonic()
        with pytest.raises(UnreadableDocument) as caught:
            reader.read("slow.html", slow)
        assert caught.value.kind == "timeout"
        assert time.monotonic() - started < 20
        assert reader.read("next.html", b"<p>Search is slow.</p>")[0].text == "Search is slow."


def test_a_parser_that_eats_the_memory_is_an_outcome() -> None:
    with Reader(ReadingOptions(worker_memory=260 << 20)) as reader:
        with pytest.raises(UnreadableDocument) as caught:
            reader.read("big.html", b"<html>" + b"<p><b>The</b> <i>export</i></p>" * 200_000)
        assert caught.value.kind == "broken"
        assert "memory" in str(caught.value)


def test_one_endless_document_is_refused_by_name() -> None:
    with pytest.raises(UnreadableDocument, match=r"log\.txt has 6,000 characters") as caught:
        read_documents("log.txt", b"slow. " * 1_000, ReadingOptions(max_characters=5_000))
    assert caught.value.kind == "oversized"


def test_the_worker_starts_only_for_risky_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(Worker, "_start", refuse)
    assert read_documents("a.md", b"The export is slow.")
    assert read_documents("a.csv", b"id,text\n1,The export is slow\n")
    assert read_documents("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\nThe export is slow\n")
    assert read_documents("a.json", b'[{"text": "The export is slow"}]')
    with pytest.raises(AssertionError):
        read_documents("a.pdf", make_pdf("The export is slow."))


def test_no_worker_is_left_after_the_reader_is_closed() -> None:
    with Reader() as reader:
        reader.read("a.html", b"<p>The export is slow.</p>")
        process = reader._worker._process
        assert process is not None
    assert process.returncode is not None


def test_the_worker_sees_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-parsers")
    with Reader() as reader:
        reader.read("a.html", b"<p>The export is slow.</p>")
        process = reader._worker._process
        assert process is not None
        with open(f"/proc/{process.pid}/environ", "rb") as environment:
            assert b"OPENAI" not in environment.read()


def test_nothing_is_printed_and_nothing_is_warned(reader: Reader, capfd: pytest.CaptureFixture[str]) -> None:
    broken = make_pdf("The export is slow.").replace(b"endobj", b"endxxx", 1)
    try:
        reader.read("odd.pdf", broken)
    except UnreadableDocument as error:
        assert error.kind in {"broken", "no_text"}
    assert capfd.readouterr() == ("", "")


def test_marks_for_direction_and_zero_width_stay_in_the_text(reader: Reader) -> None:
    text = "\u202eThe export\u202c is s\u200blow e\u0301"
    assert reader.read("marks.txt", text.encode())[0].text == text


def test_scripts_are_no_part_of_the_text(reader: Reader) -> None:
    page = (
        b"<html><style>p{}</style><script>alert('x')</script><p>The export is slow.</p><noscript>no</noscript></html>"
    )
    assert reader.read("script.html", page)[0].text == "The export is slow."


def test_too_many_rows_are_refused() -> None:
    rows = b"id,text\n" + b"".join(b"%d,The export is slow\n" % n for n in range(50))
    with pytest.raises(UnreadableDocument) as caught:
        read_documents("many.csv", rows, ReadingOptions(max_documents=49))
    assert caught.value.kind == "oversized"
