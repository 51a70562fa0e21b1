"""Bytes to text: byte order marks, UTF-8, UTF-16 without a mark, older encodings; binary junk is refused.

What the text means is for the readers of each format.
"""

from __future__ import annotations

import codecs
import re

from elmer_pipelines.documents.guards import clean_text
from elmer_pipelines.errors import UnreadableDocument

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]")
# what Western text in Windows-1252 has above ASCII: letters, quotes, dashes, euro, a few signs
_WESTERN = re.compile(
    rb"[\xc0-\xd6\xd8-\xf6\xf8-\xff\x80\x85\x91-\x97\x99\xa0\xa1\xa3\xa7\xa9\xab\xae\xb0\xb7\xbb\xbf]"
)


def decode(path: str, data: bytes) -> str:
    """The file's text, cleaned (see `clean_text`).

    Raises UnreadableDocument (binary) when the bytes are not text in any encoding that can be told.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return clean_text(data.decode(name, errors="replace"))
    sample = data[:_SAMPLE]
    if b"\x00" in sample:
        return clean_text(_decode_wide(path, data, sample))
    if len(_CONTROL.findall(sample)) > len(sample) // 50:
        raise _binary(path)
    try:
        return clean_text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return clean_text(_decode_older(path, data))


def _decode_wide(path: str, data: bytes, sample: bytes) -> str:
    """UTF-16 without a byte order mark has NULs on one side only, every second byte of ASCII."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    enough = len(sample) // 8
    if odd > enough and even < odd // 20 + 1:
        return data.decode("utf-16-le", errors="replace")
    if even > enough and odd < even // 20 + 1:
        return data.decode("utf-16-be", errors="replace")
    raise _binary(path)


def _decode_older(path: str, data: bytes) -> str:
    text = data.decode("utf-8", errors="replace")
    wide = sum(1 for c in text if c > "\x7f" and c != "\ufffd")
    wrong = text.count("\ufffd")
    if wide > 20 * wrong:
        return text  # UTF-8 with a little damage
    high = _HIGH.findall(data)
    # Western letters are rare among ASCII ones; Cyrillic, Greek or Asian bytes are not
    if len(high) < len(data) * 0.35 and len(_WESTERN.findall(data)) == len(high):
        return data.decode("cp1252", errors="replace")
    from charset_normalizer import from_bytes

    best = from_bytes(data[: 2 * _SAMPLE], threshold=0.3).best()
    if best is None or best.encoding.startswith("utf_7"):
        raise _binary(path)
    return data.decode(best.encoding, errors="replace")


def _binary(path: str) -> UnreadableDocument:
    return UnreadableDocument(
        "binary", f"{path} is not text in any known encoding.", next_step="Export it as text, or remove it."
    )
