"""Ids that are what the thing is (I4), and fingerprints of what determined an answer (I2).

Nothing here is random: the same thing has the same id on every machine, in every run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_LENGTH = 12  # 60 bits: among 10^7 ids of one workspace a collision has odds of 1 in 20,000


def stable_id(prefix: str, *parts: str) -> str:
    """`S-4k7m2qz9x1ab`: a prefix and 60 bits of the SHA-256 of the parts, in base 32."""
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    return f"{prefix}-" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(55, -5, -5))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, non-ASCII escaped: one text for one value.

    Lone surrogates survive as escapes. Raises ValueError on NaN and infinities, TypeError on what JSON has no word for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(**determinants: Any) -> str:
    """`v1:` and the SHA-256 in hex of the canonical JSON of everything that determined a result."""
    return "v1:" + hashlib.sha256(canonical_json(determinants).encode()).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 in hex of the text's UTF-8 (lone surrogates kept as their three bytes)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
