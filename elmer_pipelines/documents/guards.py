"""What is refused before any parser sees it: too large, empty, zip bombs, encrypted archives, unsafe paths.

Also how text is made safe to store. Deciding what a file is lives in sniffing.py, decoding in decoding.py.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.documents.model import Document
    from elmer_pipelines.documents.options import ReadingOptions

_CHUNK = 1 << 18
_MAX_NESTING = 3
_MAX_ENTRIES = 50_000
_RATIO_MATTERS_FROM = 16 << 20  # honest spreadsheets reach 100:1, but not at this size
_UNSAFE_PATH = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|\x00")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with `\\n` line ends and U+FFFD where it had NUL or lone surrogates; all other marks stay (I1)."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def clean_value(value: object) -> str:
    """A cell, name or label as one line of clean text, white space collapsed."""
    return " ".join(clean_text(str(value)).split())


def check_size(path: str, size: int, limit: int) -> None:
    """Raise UnreadableDocument (oversized, empty) by the size in bytes alone."""
    if size > limit:
        raise UnreadableDocument(
            "oversized",
            f"{path} has {size / 2**20:,.1f} MB; the limit is {limit / 2**20:,.1f} MB.",
            next_step="Split the file, or raise documents.max_megabytes in workspace.toml.",
        )
    if size == 0:
        raise UnreadableDocument(
            "empty", f"{path} is empty (0 bytes).", next_step="Export the file again, or remove it."
        )


def check_lengths(documents: Sequence[Document], limit: int) -> None:
    """Raise UnreadableDocument (oversized) where one document is too long to be read for signals in sensible time."""
    for document in documents:
        if len(document.text) > limit:
            raise UnreadableDocument(
                "oversized",
                f"{document.address} has {len(document.text):,} characters; the limit for one document is {limit:,}.",
                next_step="Split it into several files, such as one per conversation.",
            )


def broken(path: str, what: str, reason: object) -> UnreadableDocument:
    """The error for a file that is not what its format asks for."""
    detail = clean_value(reason)[:200]
    return UnreadableDocument(
        "broken", f"{path} can't be read as {what}: {detail}", next_step="Open the file and save or export it again."
    )


def no_text(path: str, hint: str = "Check that the file holds text and not only pictures.") -> UnreadableDocument:
    """The error for a sound file with nothing to read in it."""
    return UnreadableDocument("no_text", f"{path} holds no text.", next_step=hint)


def encrypted(path: str, what: str) -> UnreadableDocument:
    """The error for a file that asks for a password."""
    return UnreadableDocument(
        "encrypted", f"{path} is {what} protected by a password.", next_step="Save it without a password."
    )


@dataclass
class _Allowance:
    """How many bytes may still come out of this file's archives."""

    path: str
    left: int
    ratio_left: int

    def spend(self, count: int) -> None:
        self.left -= count
        self.ratio_left -= count
        if self.left < 0 or self.ratio_left < 0:
            raise UnreadableDocument(
                "zip_bomb",
                f"{self.path} unpacks to far more than its size allows.",
                next_step="Remove the file; if it is honest, unpack it and put in the parts that matter.",
            )


def check_archive(path: str, data: bytes, options: ReadingOptions) -> None:
    """Unpack every entry once, counting and throwing away, so that no parser meets a bomb.

    Raises UnreadableDocument: zip_bomb (total, ratio, nesting, entries), encrypted, unsafe_path, broken.
    """
    ratio = max(_RATIO_MATTERS_FROM, len(data) * options.max_ratio)
    _check_entries(data, _Allowance(path, options.max_expanded, ratio), depth=0)


def _check_entries(data: bytes, allowance: _Allowance, depth: int) -> None:
    path = allowance.path
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_ENTRIES:
                allowance.spend(allowance.left + 1)
            for entry in entries:
                _check_name(path, entry)
                _check_nested(_drain(archive, entry, allowance), allowance, depth)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if "password" in str(error) or "encrypted" in str(error):
            raise encrypted(path, "an archive") from error
        raise broken(path, "a zip archive", error) from error


def _check_name(path: str, entry: zipfile.ZipInfo) -> None:
    # ZipInfo cuts names at NUL and turns backslashes; the original name is what a naive unpacker would follow
    if _UNSAFE_PATH.search(entry.filename) or _UNSAFE_PATH.search(entry.orig_filename):
        raise UnreadableDocument(
            "unsafe_path",
            f"{path} holds an entry that points outside of it: {clean_value(entry.filename)[:80]!r}.",
            next_step="Don't trust this archive; ask for a new export.",
        )
    if entry.flag_bits & 0x1:
        raise encrypted(path, "an archive")


def _drain(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowance: _Allowance) -> bytes | None:
    """Read an entry to its end; its bytes only if it is itself a zip."""
    kept: list[bytes] = []
    with archive.open(entry) as stream:
        chunk = stream.read(_CHUNK)
        nested = chunk.startswith(b"PK\x03\x04")
        while chunk:
            allowance.spend(len(chunk))
            if nested:
                kept.append(chunk)
            chunk = stream.read(_CHUNK)
    return b"".join(kept) if nested else None


def _check_nested(data: bytes | None, allowance: _Allowance, depth: int) -> None:
    if data is None:
        return
    if depth + 1 >= _MAX_NESTING:
        allowance.spend(allowance.left + 1)
    _check_entries(data, allowance, depth + 1)
