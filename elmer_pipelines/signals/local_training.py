"""Trains the local extractor's model on labelled sentences and writes its weights: a command, not used at run time.

    python -m elmer_pipelines.signals.local_training FILE.csv --text content --label features --group app --out W.npz

The label column holds the feature's words, `;` between several, empty where the sentence names none. One model is
trained on everything, and one per group that never sees that group, for honest evaluation.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.signals.local_features import OFFSETS, SHAPE, SPELLING, VECTOR, letters, shape, spelling, vectors
from elmer_pipelines.signals.local_features import words_of as split_words
from elmer_pipelines.signals.local_model import (
    ALL,
    SHIPPED,
    Weights,
    any_of,
    held_out,
    log_length,
    save_weights,
    word_logits,
    word_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Chosen by leave-one-product-out on IS-22 with the threshold set inside the training products.
WORDS_C = 1.0
LETTERS_C = 3.0
STACK_C = 1.0
_LEAST_GROUPS = 3  # one held out for evaluation, one for the threshold, one to train on
_ARTICLES = frozenset({
    "the", "a", "an", "my", "your", "to", "of", "in", "on", "and", "or", "it", "i", "is", "for", "with", "all",
    "that", "this", "any",
})  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """The training material as arrays: sentences, and the words of all sentences one after the other."""

    texts: list[str]
    groups: NDArray[np.str_]
    labels: NDArray[np.bool_]
    words: list[list[str]]
    owner: NDArray[np.int64]
    in_feature: NDArray[np.bool_]
    word_rows: Any
    letter_rows: Any


def read_labelled(path: Path, text: str, label: str, group: str) -> Labelled:
    """Reads a CSV. Raises SettingsError where a column is missing or no label's words occur in its sentence."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    missing = {text, label, group} - set(rows[0] if rows else ())
    if missing:
        raise SettingsError(f"{path.name} has no column {', '.join(sorted(missing))}; name them with --text and so on.")
    if len({row[group] for row in rows}) < _LEAST_GROUPS:
        raise SettingsError(
            f"{path.name} has fewer than {_LEAST_GROUPS} groups in {group}; each is judged by the others."
        )
    words = [split_words(row[text]) for row in rows]
    marks = [mark_feature(w, row[label]) for w, row in zip(words, rows, strict=True)]
    if not any(map(any, marks)):
        raise SettingsError(f"No label of {path.name} occurs in its sentence; --label must hold the feature's words.")
    return Labelled(
        texts=[row[text] for row in rows],
        groups=np.array([row[group] for row in rows]),
        labels=np.array([bool(row[label].strip()) for row in rows]),
        words=words,
        owner=np.repeat(np.arange(len(words)), [len(w) for w in words]),
        in_feature=np.array([mark for sentence in marks for mark in sentence]),
        word_rows=_word_rows(words),
        letter_rows=letters([row[text] for row in rows]),
    )


def mark_feature(words: Sequence[str], label: str) -> list[bool]:
    """Which words of a sentence belong to a feature: where it occurs as one run, else its own words wherever they are.

    Annotators shorten: "access the information" is labelled "access information".
    """
    low = [word.lower() for word in words]
    marks = [False] * len(words)
    for feature in filter(None, (part.strip() for part in label.split(";"))):
        wanted = [word.lower() for word in split_words(feature)]
        size = len(wanted)
        starts = [k for k in range(len(low) - size + 1) if low[k : k + size] == wanted]
        run = range(starts[0], starts[0] + size) if starts else ()
        for position in run or (k for k, word in enumerate(low) if word in wanted and word not in _ARTICLES):
            marks[position] = True
    return marks


def _word_rows(sentences: Sequence[list[str]]) -> Any:
    """Sparse rows, one per word: vector and shape at each offset, own spelling, place in the sentence."""
    from scipy import sparse

    flat = [word for words in sentences for word in words]
    own = np.hstack([vectors(flat), np.array([shape(word) for word in flat])])
    lengths = np.array([len(words) for words in sentences])
    position = np.concatenate([np.arange(n) for n in lengths])
    size = np.repeat(lengths, lengths)
    blocks = []
    for offset in OFFSETS:
        inside = (position + offset >= 0) & (position + offset < size)
        shifted = np.zeros_like(own)
        shifted[inside] = own[np.flatnonzero(inside) + offset]
        blocks.append(shifted)
    place = np.column_stack([position == 0, position == size - 1, np.log1p(size)]).astype(np.float32)
    return sparse.hstack([sparse.csr_matrix(np.hstack([*blocks, place])), spelling(flat)]).tocsr()


def fit(data: Labelled, rows: NDArray[np.bool_], *, stack: bool = True) -> Weights:
    """Trains on some of the sentences; the combination and its threshold on models that leave out one group each."""
    in_rows = rows[data.owner]
    by_words = _logistic(data.word_rows[in_rows], data.in_feature[in_rows], WORDS_C)
    by_letters = _logistic(data.letter_rows[rows], data.labels[rows], LETTERS_C)
    weights = _unpacked(by_words, by_letters)
    return _stacked(data, rows, weights) if stack else weights


def _unpacked(by_words: NDArray[np.float32], by_letters: NDArray[np.float32]) -> Weights:
    size = len(OFFSETS) * (VECTOR + SHAPE)
    per_offset = by_words[:size].reshape(len(OFFSETS), VECTOR + SHAPE)
    return Weights(
        vector=per_offset[:, :VECTOR],
        shape=per_offset[:, VECTOR:],
        place=np.append(by_words[size : size + 3], by_words[-1]),
        spelling=by_words[size + 3 : size + 3 + SPELLING],
        letters=by_letters,
        stack=np.zeros(4, np.float32),
    )


def _stacked(data: Labelled, rows: NDArray[np.bool_], weights: Weights) -> Weights:
    inputs, labels = [], []
    for group in sorted(set(data.groups[rows])):
        left_out = rows & (data.groups == group)
        inputs.append(evidence(data, left_out, fit(data, rows & ~left_out, stack=False)))
        labels.append(data.labels[left_out])
    x, y = np.vstack(inputs), np.concatenate(labels)
    combination = _logistic(x, y, STACK_C)
    combination[-1] -= best_threshold(x @ combination[:-1] + combination[-1], y)
    return Weights(**{**weights.__dict__, "stack": combination})


def evidence(data: Labelled, rows: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """What `LocalModel` feeds its combination, for some sentences: shape (rows, 3)."""
    chosen = np.flatnonzero(rows)
    known = sorted({word for k in chosen for word in data.words[k]})
    table = dict(zip(known, word_table(known, weights), strict=True))
    by_letters = data.letter_rows[chosen] @ weights.letters[:-1] + weights.letters[-1]
    found = []
    for k, letter in zip(chosen, by_letters, strict=True):
        words = data.words[k]
        logits = word_logits(np.array([table[w] for w in words]).reshape(-1, len(OFFSETS)), weights.place)
        found.append((any_of(logits), float(letter), log_length(words)))
    return np.array(found)


def best_threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Midway below the lowest score kept, where keeping that score and all above gives the best F1."""
    order = np.argsort(-scores, kind="stable")
    kept = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(labels[order]) / (kept + labels.sum())
    best = int(f1.argmax())
    below = order[min(best + 1, len(order) - 1)]
    return float(scores[order[best]] + scores[below]) / 2


def _logistic(x: Any, y: NDArray[np.bool_], c: float) -> NDArray[np.float32]:
    """Coefficients and, last, the constant, rounded to what the file keeps; 0 for a column that is always empty."""
    from sklearn.linear_model import LogisticRegression

    used = np.flatnonzero(np.asarray(abs(x).sum(axis=0)).ravel())
    model = LogisticRegression(C=c, max_iter=2000).fit(x[:, used], y)
    found = np.zeros(x.shape[1] + 1)
    found[used] = model.coef_[0]
    found[-1] = model.intercept_[0]
    return found.astype(np.float16).astype(np.float32)


def train(data: Labelled) -> dict[str, Weights]:
    """One model on all sentences, and one per group that leaves it out."""
    groups = sorted(set(data.groups))
    models = {ALL: fit(data, np.ones(len(data.texts), bool))}
    return models | {held_out(group): fit(data, data.groups != group) for group in groups}


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the file, trains, writes the weights and says how large they are."""
    parser = argparse.ArgumentParser(prog="python -m elmer_pipelines.signals.local_training", description=__doc__)
    parser.add_argument("file", type=Path)
    for name, default in (("text", "content"), ("label", "features"), ("group", "app")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args(arguments)
    data = read_labelled(given.file, given.text, given.label, given.group)
    models = train(data)
    texts = zip(data.texts, map(str, data.groups), strict=True)
    save_weights(given.out, models, sorted(set(map(str, data.groups))), texts)
    size = given.out.stat().st_size // 1024
    print(f"{len(data.texts)} sentences, {len(models)} models, {size} KB in {given.out}")  # noqa: T201


if __name__ == "__main__":
    main()
