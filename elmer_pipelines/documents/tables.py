"""CSV, TSV and spreadsheets: rows and a header found in the file. What rows become is in records.py."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.guards import broken, clean_text, clean_value, no_text
from elmer_pipelines.documents.records import RecordSource, record_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.documents.columns import Record
    from elmer_pipelines.documents.model import Document
    from elmer_pipelines.documents.options import ReadingOptions

_DELIMITERS = ",;\t|"
_LOOK_FOR_HEADER = 10
_LONGEST_NAME = 120
_NO_TEXT_HINT = "Name the text column: [[documents.tables]] pattern, text in workspace.toml."
Row = list[Any]


def read_delimited(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """A document a row (or group of rows) of CSV, TSV or another delimiter, which is found."""
    text = decode(path, data)
    rows = _parse(path, text, _delimiter(path, text))
    source = RecordSource(path, "tsv" if path.lower().endswith((".tsv", ".tab")) else "csv")
    documents = _documents(source, rows, options)
    if not documents:
        raise no_text(path, _NO_TEXT_HINT)
    return documents


def read_spreadsheet(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """A document a row of every sheet that has a text column."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [(name, _sheet_rows(workbook.get_sheet_by_name(name).to_python())) for name in _worksheets(workbook)]
    except (CalamineError, ValueError, OSError) as error:
        raise broken(path, "a spreadsheet", error) from error
    filled = [(name, rows) for name, rows in sheets if rows]
    documents: list[Document] = []
    for name, rows in filled:
        prefix = f"{clean_value(name)}/" if len(filled) > 1 else ""
        documents += _documents(RecordSource(path, "xlsx", prefix), rows, options)
    options.check_count(path, documents)
    if not documents:
        raise no_text(path, _NO_TEXT_HINT)
    return documents


def _worksheets(workbook: Any) -> list[str]:
    kinds = [str(sheet.typ).rsplit(".", 1)[-1] for sheet in workbook.sheets_metadata]
    names: list[str] = list(workbook.sheet_names)
    return [name for name, kind in zip(names, kinds, strict=True) if kind == "WorkSheet"]


def _sheet_rows(rows: list[Row]) -> list[Row]:
    return [[_cell(value) for value in row] for row in rows if any(value != "" for value in row)]


def _cell(value: Any) -> Any:
    """A cell's value as a record holds it: whole numbers without a fraction, durations and times as text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, (time, timedelta)) and not isinstance(value, (datetime, date)):
        return str(value)
    return value


def _documents(source: RecordSource, rows: list[Row], options: ReadingOptions) -> list[Document]:
    names, body = _split_header(rows)
    options.check_count(source.path, body)
    records: list[Record] = [dict(zip(names, row, strict=False)) for row in body]
    return record_documents(source, names, records, options.table_for(source.path))


def _split_header(rows: list[Row]) -> tuple[list[str], list[Row]]:
    """The columns' names and the rows below; names are made up where the table has no header."""
    top = rows[:_LOOK_FOR_HEADER]
    width = max((_filled(row) for row in rows[: 3 * _LOOK_FOR_HEADER]), default=0)
    for number, row in enumerate(top):
        if _filled(row) >= max(1, 0.6 * width):
            if _is_header(row, rows[number + 1 :]):
                return _unique([clean_value(cell) for cell in row], rows), rows[number + 1 :]
            break
    return _unique([], rows), rows


def _filled(row: Row) -> int:
    return sum(1 for cell in row if cell not in ("", None))


def _is_header(row: Row, below: Sequence[Row]) -> bool:
    """Names are text, short, all different, and no sentences."""
    names = [cell for cell in row if cell not in ("", None)]
    if not below or not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names):
        return False
    if len(set(names)) < len(names) or any(re.fullmatch(r"[\d.,:/ -]+", name) for name in names):
        return False
    return not any(len(name.split()) > 6 and not name.rstrip().endswith("?") for name in names)


def _unique(names: list[str], rows: Sequence[Row]) -> list[str]:
    """A different, non-empty name for every column of the widest row."""
    width = max((len(row) for row in rows), default=0)
    names = [*names, *[""] * (width - len(names))]
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    seen: Counter[str] = Counter()
    taken = set(names)
    for index, name in enumerate(names):
        seen[name] += 1
        while seen[name] > 1 and (new := f"{name} {seen[name]}"):
            if new not in taken:
                names[index] = new
                taken.add(new)
                break
            seen[name] += 1
    return names


def _delimiter(path: str, text: str) -> str:
    """The mark that splits the first lines into the same number of fields, most fields first."""
    if path.lower().endswith((".tsv", ".tab")) and "\t" in text[:65536]:
        return "\t"
    head = text[:65536]
    scores = {}
    for mark in _DELIMITERS:
        try:
            widths = Counter(len(row) for row in list(csv.reader(io.StringIO(head), delimiter=mark))[:50])
        except csv.Error:
            continue
        width, lines = max(((w, n) for w, n in widths.items() if w > 1), key=lambda item: item[1], default=(1, 0))
        scores[mark] = (lines / max(1, widths.total()) >= 0.5, lines * width)
    return max(scores, key=lambda mark: scores[mark], default=",")


def _parse(path: str, text: str, delimiter: str) -> list[Row]:
    """Rows of fields. Stray quote marks are read as they stand when the rows then come out even, else refused."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        rows = [[clean_text(cell) for cell in row] for row in reader]
    except csv.Error as error:
        plain = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        rows = [[cell.strip('"') for cell in row] for row in plain if row]
        if not rows or any(len(row) != len(rows[0]) for row in rows):
            raise broken(path, "a table", f"{error}, at line {reader.line_num}") from error
    return [row for row in rows if any(cell.strip() for cell in row)]
