"""Embeddings without a service: wordllama's static vectors, whose weights lie inside its package.

Turns texts into vectors, offline and without a GPU. Storing them is `store/embeddings.py`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.german import SMALL_WORDS, fold, is_german, words_of
from elmer_pipelines.models.protocols import SimilarityScale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MODEL = "local/wordllama-256-2"  # another name where the same text has another vector
DIMENSIONS = 256
MAX_CHARS = 32_768  # about 8,000 tokens, what text-embedding-3-small reads of a text
_RUN = 5  # letters
_BATCH_TOKENS = 65_536  # 64 MB of token vectors at a time
_loading = threading.Lock()


class LocalEmbeddings:
    """Embeds with wordllama's 256 dimensions: the same text has the same vector in any batch, thread or run.

    It averages vectors of word pieces, so word order is lost, and knows English best: what it knows of German words is
    mixed in equal parts with how they are spelled, and small words are passed over. A text's first 32,768 characters
    count. The weights are read at the first call (16 MB, about a second) and shared by all instances.
    """

    @property
    def model(self) -> str:
        """The key vectors are stored under."""
        return MODEL

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return DIMENSIONS

    @property
    def scale(self) -> SimilarityScale:
        """Where this model's similarities mean what .75, .5 and .9 mean for text-embedding-3-small.

        Read off banking77 (77 close intents of one bank; test.csv 3,080 texts, train.csv a sample of 5,000), in steps
        of .05, by `python benchmarks/calibrate_local_embeddings.py FILE.csv`:

        - link .70: eight intents play projects (a name and two examples) and nine texts of ten belong to none; a text
          at or above it belongs to its closest project in 68 % (test) and 74 % (train) of cases, at .60 in 50 to 55 %.
        - unrelated .40: one in ten of the projects' own texts lies below it, and 95 % of the pairs of texts that share
          no intent lie below .386 (sentences of app reviews that share no feature: .285).
        - coherent .40: on the sample workspace half of the clusters of unlike remarks lie below it, and those that hold
          together above; short questions of one domain lie far higher (banking77: .60 to .84), so it lets all pass.
        - duplicate .95: 97 % (test) and 98 % (train) of the pairs at or above it share the intent, at .90 94 to 96 %.
        """
        return SimilarityScale(link=0.70, unrelated=0.40, duplicate=0.95, coherent=0.40)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), 256), float32, each row of length 1, also for an empty text.

        Raises ModelFault (kind not_found) when the weights are not where the package should have them.
        """
        weights = _weights()
        german = {row: telling for row, text in enumerate(texts) if (telling := _telling_german(text[:MAX_CHARS]))}
        spoken = [" ".join(german[row]) if row in german else text for row, text in enumerate(texts)]
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        row = 0
        for batch in _batches(weights.tokenizer, spoken):
            vectors[row : row + len(batch)] = _pooled(weights.vectors, batch)
            row += len(batch)
        vectors = _unit(vectors, texts)
        for row, telling in german.items():
            mixed = vectors[row] + _unit(_spelling(telling)[None], [texts[row]])[0]
            vectors[row] = _unit(mixed[None], [texts[row]])[0]
        return vectors


@dataclass(frozen=True)
class _Weights:
    vectors: NDArray[np.float32]
    tokenizer: Any


def _weights() -> _Weights:
    with _loading:
        return _load()


@cache
def _load() -> _Weights:
    with _quiet_import():
        import wordllama

        folder = Path(wordllama.__file__).parent
        try:
            loaded = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        except FileNotFoundError as error:
            raise ModelFault(
                "not_found",
                f"The weights of {MODEL} are missing from the wordllama package: {error}",
                next_step="Reinstall it: pip install --force-reinstall wordllama",
                retryable=False,
            ) from error
    loaded.tokenizer.no_padding()
    return _Weights(loaded.embedding, loaded.tokenizer)


@contextmanager
def _quiet_import() -> Iterator[None]:
    """wordllama configures the root logger when imported; an application's logging is not a library's to set."""
    root, guard = logging.getLogger(), logging.NullHandler()
    level = root.level
    root.addHandler(guard)  # basicConfig leaves a logger alone that has a handler
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(guard)
        root.setLevel(level)


def _batches(tokenizer: Any, texts: list[str]) -> Iterator[list[list[int]]]:
    """Token ids by text, in lists of bounded total length.

    One text at a time: the tokenizer's own batches start threads that complain when the process forks later.
    """
    batch: list[list[int]] = []
    size = 0
    for text in texts:
        tokens = _tokens(tokenizer, text)
        if batch and size + len(tokens) > _BATCH_TOKENS:
            yield batch
            batch, size = [], 0
        batch.append(tokens)
        size += len(tokens)
    if batch:
        yield batch


def _tokens(tokenizer: Any, text: str) -> list[int]:
    words = text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8").strip()
    if not words:
        return []
    ids: list[int] = tokenizer.encode(words, add_special_tokens=False).ids
    return ids


def _pooled(table: NDArray[np.float32], batch: list[list[int]]) -> NDArray[np.float32]:
    """The sum of each text's token vectors: zeros where there is no token."""
    sums = np.zeros((len(batch), DIMENSIONS), dtype=np.float32)
    filled = [row for row, tokens in enumerate(batch) if tokens]
    if not filled:
        return sums
    flat = np.concatenate([np.asarray(batch[row], dtype=np.int64) for row in filled])
    starts = np.cumsum([0] + [len(batch[row]) for row in filled[:-1]])
    np.clip(flat, 0, len(table) - 1, out=flat)
    sums[filled] = np.add.reduceat(table[flat], starts, axis=0)
    return sums


def _telling_german(text: str) -> list[str]:
    """The words of a German text that say something; none where it is not German or has only small ones.

    Function words fill half of a German sentence and are the same word pieces in all of them: with them any two German
    texts are alike (a mean cosine of .33 on the sample workspace, .09 as it is done here).
    """
    if not is_german(text):
        return []
    return [word for word in words_of(text) if word.casefold() not in SMALL_WORDS]


def _spelling(words: list[str]) -> NDArray[np.float32]:
    """Words as runs of five letters, hashed (Weinberger et al. 2009): compounds and forms of one word share most.

    A long word counts more than a short one, but less than by its number of runs.
    """
    found = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in words:
        places, signs = _runs(fold(word))
        np.add.at(found, places, signs)
    return found


@lru_cache(maxsize=50_000)
def _runs(word: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where each run of letters is counted, and with what weight and sign."""
    marked = f"<{word}>"
    runs = [marked[place : place + _RUN] for place in range(max(1, len(marked) - _RUN + 1))]
    hashes = [
        int.from_bytes(hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=8).digest(), "little")
        for run in runs
    ]
    signs = [1.0 if one >> 40 & 1 else -1.0 for one in hashes]
    return (
        np.array([one % DIMENSIONS for one in hashes], dtype=np.intp),
        np.array(signs, dtype=np.float32) / np.float32(np.sqrt(len(runs))),
    )


def _unit(vectors: NDArray[np.float32], texts: list[str]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1)
    for row in np.flatnonzero(~(lengths > 1e-6)):
        vectors[row] = _vector_of_hash(texts[row])
        lengths[row] = np.linalg.norm(vectors[row])
    vectors /= lengths[:, None]
    return vectors


def _vector_of_hash(text: str) -> NDArray[np.float32]:
    """A direction of its own for a text without known words, near nothing else."""
    digest = hashlib.shake_256(text.strip().encode("utf-8", "surrogatepass")).digest(DIMENSIONS)
    return np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
