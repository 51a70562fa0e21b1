"""What the learned part of the local extractor sees of a sentence: its words, each as numbers, and its letters.

No weights and no decision are here. Word vectors come from the wordllama package's own file, offline.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OFFSETS = (-2, -1, 0, 1, 2)
"""A word is judged by itself and two neighbours on each side."""
VECTOR = 256
SPELLING = 2**12
LETTERS = 2**15

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+|[^\w\s]+")
_ENDINGS = [
    "ing", "ed", "s", "er", "tion", "ment", "ly", "able", "ness", "al", "y", "ive", "ic", "ity", "ful", "est",
    "ous", "ure", "age", "ist",
]  # fmt: skip
FUNCTION_WORDS = (
    "i", "you", "he", "she", "it", "we", "they", "me", "my", "your", "our", "their", "his", "her", "its",
    "this", "that", "these", "those", "a", "an", "the", "and", "or", "but", "so", "if", "when", "because",
    "while", "to", "of", "in", "on", "at", "by", "for", "with", "from", "as", "into", "up", "out", "off",
    "over", "no", "not", "n't", "very", "really", "just", "too", "also", "even", "still", "only", "always",
    "never", "can", "can't", "could", "cannot", "would", "should", "will", "won't", "do", "does", "don't",
    "doesn't", "did", "didn't", "have", "has", "had", "is", "isn't", "are", "was", "were", "be", "been", "am",
    "i'm", "it's", "there", "what", "which", "who", "how", "where", "why", "all", "any", "some", "more", "most",
    "other", "please", "than", "then", "now",
)  # fmt: skip
_INDEX = {word: position for position, word in enumerate(FUNCTION_WORDS)}
SHAPE = len(_ENDINGS) + 8 + len(FUNCTION_WORDS)


def words_of(sentence: str) -> list[str]:
    """Words, numbers and runs of punctuation as written; HTML entities, common in exports, are resolved first."""
    return _WORD.findall(html.unescape(sentence) if "&" in sentence else sentence)


def shape(word: str) -> NDArray[np.float32]:
    """Ending, capitals, length and which function word it is: shape (SHAPE,)."""
    low = word.lower().replace("’", "'")
    row = np.zeros(SHAPE, np.float32)
    for position, ending in enumerate(_ENDINGS):
        row[position] = low.endswith(ending) and len(low) > len(ending) + 2
    k = len(_ENDINGS)
    row[k : k + 8] = (
        word[0].isupper(),
        word.isupper() and len(word) > 1,
        word[0].isdigit(),
        not word[0].isalnum(),
        low in _INDEX,
        len(low) <= 3,
        len(low) >= 8,
        low[0] in ".!?",
    )
    if low in _INDEX:
        row[k + 8 + _INDEX[low]] = 1
    return row


def vectors(words: Sequence[str]) -> NDArray[np.float32]:
    """Shape (len(words), VECTOR), rows of length 1: the mean of the vectors of each word's pieces."""
    tokenizer, table = _embeddings()
    rows = np.zeros((len(words), VECTOR), np.float32)
    for position, encoded in enumerate(tokenizer.encode_batch([w.lower() for w in words], add_special_tokens=False)):
        if encoded.ids:
            rows[position] = table[encoded.ids].mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9
    return rows


def spelling(words: Sequence[str]) -> Any:
    """Hashed letter n-grams of single words, sparse (len(words), SPELLING)."""
    return _hasher(SPELLING).transform([word.lower() for word in words])


def letters(sentences: Sequence[str]) -> Any:
    """Hashed letter n-grams of whole sentences, sparse (len(sentences), LETTERS)."""
    return _hasher(LETTERS).transform([sentence.lower() for sentence in sentences])


@lru_cache(maxsize=2)
def _hasher(size: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), n_features=size, alternate_sign=False, dtype=np.float32
    )


@lru_cache(maxsize=1)
def _embeddings() -> tuple[Any, NDArray[np.float32]]:
    from pathlib import Path

    import wordllama

    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    # Its tokenizer pads batches to the longest text; padding would enter the mean of a word's pieces.
    model.tokenizer.no_padding()
    return model.tokenizer, model.embedding.astype(np.float32)
