"""Scores of extraction: the arithmetic, the references, and which weights judge what."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from elmer_pipelines.determinants import Determinants
from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.evaluation import extraction
from elmer_pipelines.evaluation.extraction import evaluate_extraction
from elmer_pipelines.signals.local_model import WeightsFile, digest
from elmer_pipelines.signals.model import Quote

if TYPE_CHECKING:
    from pathlib import Path

    from elmer_pipelines.documents.model import Document


class KeepsShouting:
    """Keeps what has a capital X; counts its calls."""

    name = "test/shouting"
    determinants = Determinants.of(rules=1)

    def __init__(self) -> None:
        self.calls = 0

    def extract(self, document: Document) -> list[Quote]:
        self.calls += 1
        if "fault" in document.text:
            raise ModelFault("auth", "The key is wrong.", next_step="Set it.", retryable=False)
        return [Quote(document.text)] if "X" in document.text else []


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("content", "features", "app"), *rows])
    return path


def test_scores_per_group_their_mean_and_the_references(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.csv",
        [
            ("X one", "f", "a"), ("X two", "", "a"), ("three", "f", "a"), ("four is six words long here", "No", "a"),
            ("X five", "1", "b"), ("", "f", "b"), ("six", "0", "b"), ("seven", "false", "b"),
        ],
    )  # fmt: skip
    scores = evaluate_extraction(path, extractor=KeepsShouting())
    a, b = scores.groups
    assert (a.n, a.labelled, a.kept, a.precision, a.recall, a.f1) == (4, 2, 2, 0.5, 0.5, 0.5)
    assert (b.n, b.labelled, b.kept, b.f1) == (3, 1, 1, 1.0)
    assert scores.mean.f1 == 0.75
    everything, longer = scores.references
    assert everything.f1 == pytest.approx((2 / 3 + 0.5) / 2)
    assert longer.f1 == 0.0
    assert scores.as_json()["groups"][0]["judged_by"] == "test/shouting"
    assert "mean over groups" in scores.as_table()


def test_without_a_group_column_all_rows_are_one_group(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", [("X one", "f", "a"), ("two", "", "b")])
    assert [row.group for row in evaluate_extraction(path, group="product", extractor=KeepsShouting()).groups] == [
        "all"
    ]
    assert len(evaluate_extraction(path, group=None, extractor=KeepsShouting()).groups) == 1


def test_a_figure_that_does_not_exist_is_missing_not_zero(tmp_path: Path) -> None:
    scores = evaluate_extraction(write(tmp_path / "s.csv", [("one", "", "a")]), extractor=KeepsShouting())
    assert (scores.groups[0].precision, scores.groups[0].recall, scores.groups[0].f1) == (None, None, None)
    assert scores.mean.f1 is None
    assert "–" in scores.as_table()


def test_sentences_trained_on_are_judged_by_weights_that_never_saw_their_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = extraction.load_weights()
    seen = {digest("I can tag my letters."): frozenset({"Evernote"}), digest("Nice."): frozenset({"Evernote", "eBay"})}
    known = WeightsFile(real.models, real.groups, seen, real.fingerprint)
    monkeypatch.setattr(extraction, "load_weights", lambda: known)
    path = write(
        tmp_path / "s.csv",
        [
            ("I can tag my letters.", "tag", "renamed"), ("Nice.", "", "eBay"),
            ("I can water my plants.", "water", "Garden"), ("I can bid here.", "bid", "eBay"),
        ],
    )  # fmt: skip
    by_group = {row.group: row.judged_by for row in evaluate_extraction(path).groups}
    assert by_group == {"renamed": "without_Evernote", "eBay": "without_eBay", "Garden": "all"}


def test_a_fault_of_the_model_ends_the_evaluation(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", [("fault", "f", "a")] + [("X", "f", "a")] * 500)
    judge = KeepsShouting()
    with pytest.raises(ModelFault, match="key is wrong"):
        evaluate_extraction(path, extractor=judge)
    assert judge.calls <= 501


@pytest.mark.parametrize("body", ["", "content,app\nx,y\n", "content,features\n,f\n"])
def test_a_file_that_cannot_be_scored_is_refused_by_name(tmp_path: Path, body: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(body, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.csv"):
        evaluate_extraction(path, extractor=KeepsShouting())
