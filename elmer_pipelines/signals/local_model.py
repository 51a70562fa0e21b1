"""The learned part of the local extractor: weights on disk, and what they say of English sentences.

Training is in local_training, the rules around the model in local_rules. Weights are plain arrays, never pickled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.signals.local_features import FUNCTION_WORDS, OFFSETS, letters, shape, spelling, vectors, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

SHIPPED = Path(__file__).parent / "weights" / "local_signals.npz"
ALL = "all"
FIELDS = ("vector", "shape", "spelling", "place", "letters", "stack")
_REMEMBERED_WORDS = 100_000


@dataclass(frozen=True)
class Weights:
    """One linear model of words in their context, one of letters, and how both are combined.

    `vector` (offsets, VECTOR) and `shape` (offsets, SHAPE) weigh a word and its neighbours, `spelling` its own letters,
    `place` (first, last, log of the sentence's length, constant); `letters` the sentence, constant last; `stack` (word
    evidence, letter evidence, log of length, constant): at zero and above the sentence is kept.
    """

    vector: NDArray[np.float32]
    shape: NDArray[np.float32]
    spelling: NDArray[np.float32]
    place: NDArray[np.float32]
    letters: NDArray[np.float32]
    stack: NDArray[np.float32]


@dataclass(frozen=True)
class Judgement:
    """How strongly a sentence names what the product does (0 and above: it does), and the words that say so."""

    margin: float
    spans: tuple[str, ...]


class LocalModel:
    """Judges sentences with one set of weights; remembers words, so that many sentences are cheap."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._known: dict[str, NDArray[np.float32]] = {}

    def judge(self, sentences: Sequence[str]) -> list[Judgement]:
        """One judgement per sentence, independent of the others in the call."""
        if not sentences:
            return []
        words = [words_of(sentence) for sentence in sentences]
        known = self._learn(words)
        evidence = [_word_evidence(row, known, self._weights) for row in words]
        weights = self._weights
        letter = letters(sentences) @ weights.letters[:-1] + weights.letters[-1]
        found = []
        for row, logits, by_letters in zip(words, evidence, letter, strict=True):
            inputs = np.array([any_of(logits), by_letters, log_length(row), 1.0])
            found.append(Judgement(float(inputs @ weights.stack), _spans(row, logits)))
        return found

    def _learn(self, sentences: Sequence[list[str]]) -> dict[str, NDArray[np.float32]]:
        """The rows of all words given. A full memory is replaced, not emptied: another thread may still read it."""
        if len(self._known) > _REMEMBERED_WORDS:
            self._known = {}
        known = self._known
        new = sorted({word for words in sentences for word in words} - known.keys())
        if new:
            known.update(zip(new, word_table(new, self._weights), strict=True))
        return known


def _word_evidence(words: list[str], known: Mapping[str, NDArray[np.float32]], weights: Weights) -> NDArray[np.float32]:
    rows = np.array([known[word] for word in words], np.float32).reshape(len(words), len(OFFSETS))
    return word_logits(rows, weights.place)


def word_table(words: Sequence[str], weights: Weights) -> NDArray[np.float32]:
    """What each word adds to the judgement of the word 2 before it … 2 after it: shape (len(words), offsets)."""
    table = vectors(words) @ weights.vector.T + np.array([shape(word) for word in words]) @ weights.shape.T
    table[:, OFFSETS.index(0)] += spelling(words) @ weights.spelling
    return np.asarray(table, np.float32)


def word_logits(rows: NDArray[np.float32], place: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each word of one sentence the log odds that it is part of a feature's name."""
    n = len(rows)
    logits = np.full(n, place[2] * np.log1p(n) + place[3], np.float32)
    for column, offset in enumerate(OFFSETS):
        first, last = max(0, -offset), min(n, n - offset)
        if first < last:
            logits[first:last] += rows[first + offset : last + offset, column]
    if n:
        logits[0] += place[0]
        logits[-1] += place[1]
    return logits


def any_of(logits: NDArray[np.float32]) -> float:
    """The log odds that at least one of the words is part of a feature's name, taking them as independent."""
    log_none = -np.logaddexp(0.0, logits.astype(float)).sum()
    none = np.exp(log_none)
    return float(np.clip(np.log1p(-min(none, 1 - 1e-9)) - log_none, -10.0, 10.0))


def log_length(words: Sequence[str]) -> float:
    """The natural logarithm of one more than the number of words."""
    return float(np.log1p(len(words)))


def _spans(words: list[str], logits: NDArray[np.float32]) -> tuple[str, ...]:
    """Runs of words more likely than not to name a feature, as written, the likeliest first, at most three."""
    runs: list[tuple[float, str]] = []
    position = 0
    while position < len(words):
        stop = position
        while stop < len(words) and logits[stop] > 0 and words[stop][0].isalnum():
            stop += 1
        if any(word.lower() not in FUNCTION_WORDS for word in words[position:stop]):
            runs.append((float(logits[position:stop].max()), " ".join(words[position:stop])))
        position = max(stop, position + 1)
    return tuple(text for _, text in sorted(runs, key=lambda run: -run[0])[:3])


@dataclass(frozen=True)
class WeightsFile:
    """What a training run wrote: models by name (`all`, `without_<group>`), and what they were trained on."""

    models: Mapping[str, Weights]
    groups: tuple[str, ...]
    digests: Mapping[int, frozenset[str]]
    fingerprint: str

    def groups_of(self, text: str) -> frozenset[str]:
        """The groups whose training sentences hold this text; empty where it was never trained on."""
        return self.digests.get(digest(text), frozenset())


def digest(text: str) -> int:
    """63 bits of the SHA-256 of the text, regardless of case and white space."""
    return int.from_bytes(hashlib.sha256(" ".join(text.casefold().split()).encode()).digest()[:8], "big") >> 1


def held_out(group: str) -> str:
    """The name of the model that never saw a group."""
    return f"without_{group}"


def save_weights(
    path: Path, models: Mapping[str, Weights], groups: Sequence[str], texts: Iterable[tuple[str, str]]
) -> None:
    """Writes a compressed npz, the same bytes for the same content; `texts` are (sentence, group) trained on."""
    arrays: dict[str, Any] = {"groups": np.array(groups), "models": np.array(sorted(models))}
    for name, weights in models.items():
        for part in FIELDS:
            arrays[f"{name}/{part}"] = getattr(weights, part).astype(np.float32 if part == "stack" else np.float16)
    pairs = sorted({(digest(text), groups.index(group)) for text, group in texts})
    arrays["digests"] = np.array(pairs, np.int64).reshape(-1, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


@lru_cache(maxsize=4)
def load_weights(path: Path = SHIPPED) -> WeightsFile:
    """Reads a weights file. Raises SettingsError where it is missing or not one."""
    try:
        body = path.read_bytes()
        with np.load(path, allow_pickle=False) as file:
            models = {
                str(name): Weights(**{part: file[f"{name}/{part}"].astype(np.float32) for part in FIELDS})
                for name in file["models"]
            }
            groups = tuple(str(group) for group in file["groups"])
            pairs = file["digests"].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"The local extractor's weights {path.name} can't be read ({type(error).__name__}). "
            "Reinstall the package, or write them with python -m elmer_pipelines.signals.local_training."
        ) from error
    digests: dict[int, set[str]] = {}
    for number, group in pairs:
        digests.setdefault(number, set()).add(groups[group])
    return WeightsFile(models, groups, {k: frozenset(v) for k, v in digests.items()}, hashlib.sha256(body).hexdigest())
