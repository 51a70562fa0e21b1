"""Scores extraction on any labelled CSV: are the sentences that say something kept, and the others dropped?

The extractor is the product's own or any other; nothing is read from or written to a database.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.errors import SettingsError
from elmer_pipelines.signals.local_extractor import LocalExtractor
from elmer_pipelines.signals.local_model import ALL, WeightsFile, held_out, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from elmer_pipelines.signals.model import Extractor

WORKERS = 4
LONG_ENOUGH = 6
"""Words from which the second reference keeps a sentence."""
_FALSE = frozenset({"", "0", "false", "no"})


@dataclass(frozen=True)
class GroupScores:
    """One group's sentences: precision, recall and F1 of keeping those with a label; None where undefined.

    `judged_by` names the extractor and, for the local one, the weights used, with the number of sentences for each.
    """

    group: str
    n: int
    labelled: int
    kept: int
    precision: float | None
    recall: float | None
    f1: float | None
    judged_by: str


@dataclass(frozen=True)
class MeanScores:
    """The plain mean over groups, each group counting once; groups without a figure are left out of its mean."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ExtractionScores:
    """How well an extractor tells sentences that say something from others, beside what no skill would reach."""

    file: str
    extractor: str
    groups: tuple[GroupScores, ...]
    mean: MeanScores
    references: tuple[MeanScores, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """JSON values, keys as the fields."""
        return asdict(self)

    def as_table(self) -> str:
        """Aligned columns for a terminal: a row per group, the mean, the references."""
        head = ("group", "n", "labelled", "kept", "precision", "recall", "F1", "judged by")
        rows = [head, *(_group_row(row) for row in self.groups)]
        for mean in (self.mean, *self.references):
            rows.append((mean.name, "", "", "", *_figures(mean), ""))
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) if column in (0, 7) else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in rows
        ]  # fmt: skip
        return "\n".join([f"{self.file}, {self.extractor}, {self.seconds:.1f} s", "", *lines])


@dataclass(frozen=True)
class _Row:
    text: str
    labelled: bool
    group: str


def evaluate_extraction(
    path: Path,
    *,
    text: str = "content",
    label: str = "features",
    group: str | None = "app",
    extractor: Extractor | None = None,
) -> ExtractionScores:
    """Score an extractor (the local one where none is given) on sentences, each read as a review of its own.

    A sentence is kept if at least one quote comes out of it; it is labelled unless its label is empty, 0, false or no.
    Without that column, or with `group` None, all rows are one group. The local extractor judges a sentence it was
    trained on with the weights that never saw that sentence's group. Raises SettingsError when the file can't be used,
    and what the extractor raises: a score with sentences missing would be another score.
    """
    rows = read_rows(path, text, label, group)
    started = time.perf_counter()
    if extractor is None or isinstance(extractor, LocalExtractor):
        kept, judges = _judge_locally(rows)
    else:
        kept, judges = _judge(extractor, rows), [extractor.name] * len(rows)
    seconds = time.perf_counter() - started
    groups = _by_group(rows, kept, judges)
    nothing = [""] * len(rows)
    everything = _by_group(rows, [True] * len(rows), nothing)
    longer = _by_group(rows, [len(row.text.split()) >= LONG_ENOUGH for row in rows], nothing)
    return ExtractionScores(
        file=path.name,
        extractor=extractor.name if extractor is not None else LocalExtractor().name,
        groups=groups,
        mean=_mean("mean over groups", groups),
        references=(
            _mean("keep every sentence", everything),
            _mean(f"keep {LONG_ENOUGH} words or more", longer),
        ),
        seconds=seconds,
    )


def read_rows(path: Path, text: str, label: str, group: str | None) -> list[_Row]:
    """The rows of a UTF-8 CSV that have a text. Raises SettingsError where a column or all text is missing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [name for name in (text, label) if name not in columns]
            records = [] if missing else list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path.name} can't be read as CSV: {error}. Give a UTF-8 file with a header.") from error
    if missing:
        raise SettingsError(
            f"{path.name} has no column {' and no column '.join(missing)}; it has {', '.join(columns) or 'none'}. "
            "Name the columns to use."
        )
    rows = [
        _Row(
            text=record[text].replace("\x00", " "),
            labelled=(record[label] or "").strip().lower() not in _FALSE,
            group=(record.get(group) or "").strip() or "all" if group else "all",
        )
        for record in records
        if (record[text] or "").strip()
    ]
    if not rows:
        raise SettingsError(f"{path.name} has no row with a text in column {text}; give at least one.")
    return rows


def _judge_locally(rows: Sequence[_Row]) -> tuple[list[bool], list[str]]:
    weights = load_weights()
    names = [_model_for(row, weights) for row in rows]
    kept = [False] * len(rows)
    for name in sorted(set(names)):
        chosen = [index for index, own in enumerate(names) if own == name]
        answers = LocalExtractor(name).extract_many([_document(index, rows[index]) for index in chosen])
        for index, quotes in zip(chosen, answers, strict=True):
            kept[index] = bool(quotes)
    return kept, names


def _model_for(row: _Row, weights: WeightsFile) -> str:
    """The model that never saw this sentence's product: found by the sentence itself, whatever the group is called.

    A phrase found in several products ("I love it.") is judged by the one that never saw the row's own.
    """
    seen_in = weights.groups_of(row.text)
    if not seen_in:
        return held_out(row.group) if row.group in weights.groups else ALL
    return held_out(row.group if row.group in seen_in else min(seen_in))


def _judge(extractor: Extractor, rows: Sequence[_Row]) -> list[bool]:
    """Asks in a few threads at once; the first error ends it, so that an expired key costs no thousand calls."""

    def is_kept(index: int) -> bool:
        return bool(extractor.extract(_document(index, rows[index])))

    return _in_threads(is_kept, len(rows))


def _in_threads(task: Callable[[int], bool], n: int) -> list[bool]:
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(task, index) for index in range(n)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _document(index: int, row: _Row) -> Document:
    segments = (Segment(0, len(row.text)),)
    return Document(f"row-{index}", "review", "csv", "", row.text, segments)


def _by_group(rows: Sequence[_Row], kept: Sequence[bool], judges: Sequence[str]) -> tuple[GroupScores, ...]:
    found = []
    for group in sorted({row.group for row in rows}):
        chosen = [index for index, row in enumerate(rows) if row.group == group]
        labelled = sum(rows[index].labelled for index in chosen)
        said = sum(kept[index] for index in chosen)
        right = sum(kept[index] and rows[index].labelled for index in chosen)
        precision, recall, f1 = precision_recall_f1(right, said, labelled)
        by = Counter(judges[index] for index in chosen)
        judged_by = ", ".join(f"{name} ({n})" if len(by) > 1 else name for name, n in sorted(by.items()))
        found.append(GroupScores(group, len(chosen), labelled, said, precision, recall, f1, judged_by))
    return tuple(found)


def precision_recall_f1(right: int, kept: int, labelled: int) -> tuple[float | None, float | None, float | None]:
    """None where there is nothing to divide by: no sentence kept, none labelled, or neither."""
    precision = right / kept if kept else None
    recall = right / labelled if labelled else None
    return precision, recall, 2 * right / (kept + labelled) if kept + labelled else None


def _mean(name: str, groups: Sequence[GroupScores]) -> MeanScores:
    def over(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return MeanScores(
        name,
        over([row.precision for row in groups]),
        over([row.recall for row in groups]),
        over([row.f1 for row in groups]),
    )


def _group_row(row: GroupScores) -> tuple[str, ...]:
    return (row.group, f"{row.n:,}", f"{row.labelled:,}", f"{row.kept:,}", *_figures(row), row.judged_by)


def _figures(row: GroupScores | MeanScores) -> tuple[str, str, str]:
    precision, recall, f1 = ("–" if value is None else f"{value:.3f}" for value in (row.precision, row.recall, row.f1))
    return precision, recall, f1
