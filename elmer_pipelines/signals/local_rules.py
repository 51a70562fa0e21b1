"""Rules of the local extractor: the words by which English and German speakers ask, complain, praise, or only chat.

What a rule's finding means for a signal (severity, segment, interpretation) is in local_reading; what is kept is
decided in local_extractor. The patterns are data: local_patterns.toml.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "de", "other"]
PATTERNS = Path(__file__).with_name("local_patterns.toml")

_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SELF_OR_PRODUCT = re.compile(
    r"\b(?:i|we|my|our|me|us|you|your|it|they|app|tool|the|ich|wir|mein\w*|unser\w*|mir|uns|sie|ihr|euch|man)\b", re.I
)

_SHORT = 120  # characters: a longer sentence that opens with a greeting goes on to say something


@dataclass(frozen=True)
class Cues:
    """What the rules see in one sentence: each the words that say so, None where there are none."""

    words: int
    request: str | None
    problem: str | None
    praise: str | None
    strong: bool
    question: bool
    small_talk: bool
    boilerplate: bool
    personal: bool


@lru_cache(maxsize=1)
def _rules() -> dict[str, Any]:
    return tomllib.loads(PATTERNS.read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def pattern(*path: str) -> re.Pattern[str]:
    """One kind of the rules file as one pattern, e.g. `pattern("cues", "de", "request")`."""
    found: Any = _rules()
    for key in path:
        found = found[key]
    return re.compile("|".join(f"(?:{alternative})" for alternative in found), re.I)


@lru_cache(maxsize=2)
def _function_words(language: str) -> frozenset[str]:
    return frozenset(_rules()["words"][language].split())


def language_of(text: str, fallback: Language = "en") -> Language:
    """English, German, or other by function words; `fallback` where too little is said to tell."""
    words = [word.lower() for word in _LETTERS.findall(text[:4000])]
    known_german, known_english = _function_words("de"), _function_words("en")
    german = sum(word in known_german or bool(set(word) & set("äöüß")) for word in words)
    english = sum(word in known_english for word in words)
    if german == english == 0:
        foreign = any(ord(character) > 0x24F for word in words for character in word)
        return "other" if foreign or len(words) > 12 else fallback
    if max(german, english) * 12 < len(words):
        return "other"
    return "de" if german > english else "en" if english > german else fallback


def cues_of(sentence: str, language: Language) -> Cues:
    """What the rules of a language find; for another language only its length and whether it is boilerplate."""
    plain = straight(sentence).strip()
    told = _without("neutral", plain)
    calm = _without("not_a_problem", told)
    kinds: dict[str, str | None] = {"request": None, "problem": None, "praise": None}
    if language != "other":
        kinds = {kind: _found(pattern("cues", language, kind), calm) for kind in kinds}
        kinds["praise"] = _found(pattern("cues", language, "praise"), plain) or (plain if calm != told else None)
    return Cues(
        words=len(_LETTERS.findall(plain)),
        **kinds,
        strong=language == "en" and pattern("cues", "any", "strong").search(calm) is not None,
        question=plain.rstrip("\"'”) ").endswith(("?", "？")),
        small_talk=len(plain) < _SHORT and pattern("cues", "any", "small_talk").search(plain) is not None,
        boilerplate=pattern("cues", "any", "boilerplate").search(plain) is not None,
        personal=_SELF_OR_PRODUCT.search(plain) is not None,
    )


def straight(text: str) -> str:
    """The text with every apostrophe as the rules write it; as long as before."""
    return text.replace("’", "'")


def _without(kind: str, text: str) -> str:
    """The text with what only looks like a cue blanked: "it never crashes", "I don't need it"."""
    return pattern("cues", "any", kind).sub(lambda match: " " * len(match[0]), text)


def _found(kind: re.Pattern[str], text: str) -> str | None:
    match = kind.search(text)
    return match[0] if match else None
