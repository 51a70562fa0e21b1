"""Scores of grouping on a labelled file: right on planted groups, honest about what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.evaluation.clusters import agreement, evaluate_clusters, greedy, read_labelled
from elmer_pipelines.models.local_embeddings import MODEL, LocalEmbeddings

ROWS = """message,need
My offline notes are lost,offline
I lost my offline notes again,offline
offline notes were lost on the train,offline
The invoice lacks a VAT number,invoice
Our invoices have no VAT number,invoice
Please put a VAT number on the invoice,invoice
,invoice
no label here,
"""


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_planted_groups_score_one(labelled: Path) -> None:
    scores = evaluate_clusters(labelled, text="message", label="need", model=LocalEmbeddings())
    assert (scores.texts, scores.groups_true) == (6, 2)
    assert [level.name for level in scores.levels] == ["areas", "themes", "needs"]
    assert (scores.default.groups, scores.default.unclustered) == (2, 0)
    assert scores.default.adjusted_rand == scores.best.adjusted_rand == pytest.approx(1.0)
    assert scores.default.adjusted_mutual_information == pytest.approx(1.0)
    assert scores.as_json()["model"] == MODEL
    assert "0.0%   1.000   1.000" in scores.as_table()
    assert "greedy, 10 nearest above 0.7" in scores.as_table()
    assert "6 texts in 2 groups" in scores.as_table()


def test_the_greedy_rule_takes_what_is_near_and_free() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2]]
    assert greedy(vectors).tolist() == [0, 0, 1, 1, -1]


def test_the_unclustered_count_as_groups_of_their_own() -> None:
    labels = ["a", "a", "b", "b"]
    alone = np.full(4, -1, dtype=np.int32)
    assert agreement(labels, alone)[0] == agreement(labels, np.arange(4, dtype=np.int32))[0] == 0.0
    assert agreement(["a", "b", "c", "d"], alone) == (1.0, 1.0)
    assert agreement(labels, np.array([0, 0, -1, -1], dtype=np.int32))[0] < 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("message,other\na,b\nc,d\n", "no column need; it has message, other"),
        ("", "it has no columns"),
        ("message,need\na,b\n", "1 rows with text and label"),
    ],
)
def test_a_file_that_can_not_be_scored_says_why(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        read_labelled(path, "message", "need")


def test_a_missing_or_binary_file_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.csv can't be read"):
        read_labelled(tmp_path / "gone.csv", "text", "category")
    path = tmp_path / "junk.csv"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(SettingsError, match=r"junk\.csv can't be read"):
        read_labelled(path, "text", "category")
