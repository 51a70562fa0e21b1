"""How fast quotes are put on their place in a long document: exact ones, retyped ones, and ones that are not there."""

from __future__ import annotations

import random
import time

from benchmarks.result import Result
from elmer_pipelines.signals.model import Quote
from elmer_pipelines.signals.placing import place

_SEED = 20_261_123
_SENTENCES = 4_000
_QUOTES = 200
_WORDS = ["export", "report", "team", "offline", "sync", "cannot", "morning", "we", "lose", "work", "because", "never"]


def run() -> list[Result]:
    """Milliseconds a quote, per kind, with the index of the document built each time."""
    chance = random.Random(_SEED)
    sentences = [_sentence(chance, number) for number in range(_SENTENCES)]
    text = " ".join(sentences)
    chosen = chance.sample(sentences, _QUOTES)
    kinds = {
        "exact quotes": chosen,
        "retyped quotes": [sentence.replace("'", "’").upper() for sentence in chosen],
        "quotes with a word changed": [sentence.replace(" we ", " they ", 1) + " really" for sentence in chosen],
        "quotes that are not there": [_sentence(chance, _SENTENCES + number) for number in range(_QUOTES)],
    }
    on = f"{_QUOTES} in {len(text):,} characters"
    return [Result(kind, on, _milliseconds(text, words) / _QUOTES, "ms a quote") for kind, words in kinds.items()]


def _sentence(chance: random.Random, number: int) -> str:
    return f"It's {number} times that we " + " ".join(chance.choices(_WORDS, k=14)) + "."


def _milliseconds(text: str, words: list[str]) -> float:
    quotes = [Quote(one) for one in words]
    began = time.perf_counter()
    place(text, quotes)
    return (time.perf_counter() - began) * 1_000
