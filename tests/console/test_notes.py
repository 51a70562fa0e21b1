"""What the engine warns of while a run is shown in a terminal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
