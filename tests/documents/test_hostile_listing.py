"""What a folder's names and a document's words must not do: stop the run, steer the terminal, cost for ever."""

from __future__ import annotations

import io
import time
from pathlib import Path

from rich.console import Console

from elmer_pipelines.console import terminal
from elmer_pipelines.documents.reading import read_documents
from elmer_pipelines.documents.sources import fetch, list_sources
from elmer_pipelines.signals.model import Quote
from elmer_pipelines.signals.placing import place


def test_a_path_too_long_for_the_database_is_shortened_and_still_read(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["x" * 240] * 8)
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("The export loses rows.")
    (source,) = list_sources(str(tmp_path))
    assert len(source.path.encode()) <= 1_000
    assert fetch(str(tmp_path), source, 1_000) == b"The export loses rows."
    assert list_sources(str(tmp_path)) == [source]


def test_one_sentence_said_ten_thousand_times_is_placed_in_linear_time() -> None:
    sentence = "The export loses rows again. "
    text = sentence * 10_000
    quotes = [Quote(sentence.strip(), near=number * len(sentence)) for number in range(10_000)]
    began = time.process_time()
    placed, rejected = place(text, quotes)
    assert (len(placed), rejected) == (10_000, [])
    assert all(text[one.start : one.end] == one.verbatim for one in placed)
    assert time.process_time() - began < 20  # it took 25 s for a tenth of this when it was quadratic


def test_a_number_too_long_to_write_costs_the_front_matter_and_not_the_file() -> None:
    text = f"---\ntitle: 0x{'f' * 20_000}\n---\nThe export loses rows."
    (document,) = read_documents("a.md", text.encode())
    assert "The export loses rows." in document.text


def test_absurd_dates_are_no_dates() -> None:
    for day in ("0001-01-01", "9999-12-31"):
        (document,) = read_documents("note.md", f"---\ndate: {day}\n---\nThe export loses rows.".encode())
        assert document.occurred_at is None


def test_unclosed_elements_cost_no_time() -> None:
    page = "<html><body><p>The export loses rows.</p>" + "<script>" * 30_000
    began = time.process_time()
    (document,) = read_documents("page.html", page.encode())
    assert "The export loses rows." in document.text
    assert time.process_time() - began < 20


def test_names_do_not_steer_the_terminal() -> None:
    shown = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown.print(terminal.table("x", [{"file": "a\x1b[2J\x1b]0;pwned\x07\u202e.bin"}]))
    printed = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[2J" not in printed
    assert "\x07" not in printed
    assert "\u202e" not in printed
