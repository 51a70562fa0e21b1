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
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.protocols import SimilarityScale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MODEL = "local/wordllama-256"
DIMENSIONS = 256
MAX_CHARS = 32_768  # about 8,000 tokens, what text-embedding-3-small reads of a text
_BATCH_TOKENS = 65_536  # 64 MB of token vectors at a time
_loading = threading.Lock()


class LocalEmbeddings:
    """Embeds with wordllama's 256 dimensions: the same text has the same vector in any batch, thread or run.

    It averages vectors of word pieces, so word order is lost, and knows English best. A text's first 32,768 characters
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
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        row = 0
        for batch in _batches(weights.tokenizer, texts):
            vectors[row : row + len(batch)] = _pooled(weights.vectors, batch)
            row += len(batch)
        return _unit(vectors, texts)


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
