"""Writing exported rows to a file or standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from elmer_pipelines.console import terminal
from elmer_pipelines.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def write(frame: pd.DataFrame, form: str, output: Path | None) -> None:
    """Write rows as csv, jsonl or parquet; UTF-8, times in ISO 8601. Raises SettingsError where it can't be written."""
    if form == "parquet" and output is None:
        raise SettingsError("parquet is not text: name a file with --output.")
    try:
        _write(frame, form, output)
    except OSError as error:
        raise SettingsError(f"{output} can't be written: {error.strerror or error}. Name another file.") from error
    if output is not None:
        terminal.err.print(f"{len(frame):,} rows in {output}")


def _write(frame: pd.DataFrame, form: str, output: Path | None) -> None:
    if form == "parquet":
        _plain(frame).to_parquet(output, index=False)
        return
    text = _plain(frame).to_csv(index=False, lineterminator="\n") if form == "csv" else _json_lines(frame)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8", newline="")


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
