"""Writing exported rows to a file or standard output."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from elmer_pipelines.console import terminal
from elmer_pipelines.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


# What spreadsheets run when a CSV is opened: anything after `=`; after `+`, `-` or `@` only what calls a function or a
# program, so that "+1 for offline" and "@Anna" stay as they were said. The wide forms are those of Asian keyboards.
_FORMULA = re.compile(r"\s*[=＝]|[\t\r\n]|\s*[+\-@＋－＠].*(?:\w\(|\|)", re.S)


def write(frame: pd.DataFrame, form: str, output: Path | None, *, as_is: bool = False) -> None:
    """Write rows as csv, jsonl or parquet; UTF-8, times in ISO 8601.

    In csv a cell that a spreadsheet would run as a formula gets an apostrophe before it, unless `as_is`; the other
    formats hold every text as it is. Raises SettingsError where it can't be written.
    """
    if form == "parquet" and output is None:
        raise SettingsError("parquet is not text: name a file with --output.")
    try:
        disarmed = _write(frame, form, output, as_is=as_is)
    except OSError as error:
        raise SettingsError(f"{output} can't be written: {error.strerror or error}. Name another file.") from error
    if output is not None:
        terminal.err.print(f"{len(frame):,} rows in {output}")
    if disarmed:
        terminal.err.print(
            f"{disarmed:,} cells that a spreadsheet would run as formulas begin with an apostrophe; --as-is leaves it "
            "out."
        )


def _write(frame: pd.DataFrame, form: str, output: Path | None, *, as_is: bool) -> int:
    """Write, and say how many cells were disarmed."""
    if form == "parquet":
        _plain(frame).to_parquet(output, index=False)
        return 0
    disarmed = 0
    if form == "csv":
        plain = _plain(frame)
        disarmed = 0 if as_is else _disarm(plain)
        text = plain.to_csv(index=False, lineterminator="\n")
    else:
        text = _json_lines(frame)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8", newline="")
    return disarmed


def _disarm(plain: pd.DataFrame) -> int:
    """Put an apostrophe, a spreadsheet's mark for text, before cells that would run; returns how many."""
    count = 0
    for name in plain.columns:
        runs = [isinstance(one, str) and _FORMULA.match(one) is not None for one in plain[name]]
        if any(runs):
            plain[name] = [f"'{one}" if run else one for one, run in zip(plain[name], runs, strict=True)]
            count += sum(runs)
    return count


def _json_lines(frame: pd.DataFrame) -> str:
    rows = _dated(frame).to_dict("records")
    return "".join(json.dumps({k: _known(v) for k, v in row.items()}, ensure_ascii=False) + "\n" for row in rows)


def _known(value: Any) -> Any:
    """None for pandas' missing figure, plain numbers for numpy's."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Times as ISO 8601 text, lists and objects as JSON text: what a table's cell can hold."""
    plain = _dated(frame)
    for name in plain.columns:
        if any(isinstance(one, list | dict) for one in plain[name]):
            plain[name] = [_as_json(one) for one in plain[name]]
    return plain


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    plain = frame.copy()
    for name in plain.columns:
        column = plain[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype) or any(hasattr(one, "isoformat") for one in column):
            plain[name] = [
                one.isoformat() if hasattr(one, "isoformat") and not pd.isna(one) else None for one in column
            ]
    return plain


def _as_json(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values, None for pandas' missing figure."""
    import pandas as pd

    return [
        {str(key): None if pd.api.types.is_scalar(value) and pd.isna(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
