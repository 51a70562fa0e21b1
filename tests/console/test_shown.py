"""What a terminal of eighty columns shows: notes while a run goes on, ids in one piece, what a search found."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console

from elmer_pipelines.console import searching, terminal
from elmer_pipelines.console.running import notes_shown

if TYPE_CHECKING:
    import pytest


def test_a_warning_is_a_note_and_nobody_elses_log_line(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("elmer_pipelines.notifications")
    with notes_shown():
        log.warning("Exports [bold]grow[/bold]\x1b[2J.")
        log.info("A detail.")
    assert capsys.readouterr().err.splitlines() == ["Note: Exports [bold]grow[/bold]\ufffd[2J."]
    assert caplog.records == []
    log.warning("Later.")
    assert [record.getMessage() for record in caplog.records] == ["Later."]


def _eighty(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(width=80, highlight=False)
    monkeypatch.setattr(terminal, "out", console)
    return console


def test_an_id_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    console = _eighty(monkeypatch)
    words = "The export stops at invoice five hundred, every month, and nobody knows why. " * 3
    with console.capture() as shown:
        row = {"step": "signal_classifications", "words": words, "signal": "S-0123456789ab", "why": words}
        console.print(terminal.table("Rows", [row]))
    assert "S-0123456789ab" in shown.get()


def test_what_was_found_can_be_read_and_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    console = _eighty(monkeypatch)
    row = {
        "id": "S-0123456789ab", "severity": "high", "address": "interviews/2026-03-12-a-rather-long-name.md",
        "theme": None, "verbatim": "The export\x1b[2J fails.", "matches": [(4, 10)], "said": 2, "similarity": None,
        "word_rank": 1, "vector_rank": None,
    }  # fmt: skip
    with console.capture() as shown:
        searching._show_signals([row], "[red]export")
    lines = [line.rstrip() for line in shown.get().splitlines()]
    assert lines[0] == "1 signal for “[red]export”"
    assert "S-0123456789ab · high · interviews/2026-03-12-a-rather-long-name.md" in lines
    assert "The export\ufffd[2J fails. (said 2 times)" in lines
    assert "found by words #1" in lines
