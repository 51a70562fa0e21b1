"""Which records the model calls in a context draw on, so that an answer can be found again by them (`elmer purge`);
and under which names the vectors of its texts will be kept.

A step names them around its call; whoever keeps answers asks. They are no part of what is sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_records: ContextVar[tuple[str, ...]] = ContextVar("elmer_drawn_from", default=())
_names: ContextVar[tuple[str, ...]] = ContextVar("elmer_kept_as", default=())


def records_drawn_from() -> tuple[str, ...]:
    """The ids of the documents and signals whose words are in the materials asked about here."""
    return _records.get()


@contextmanager
def drawn_from(records: Iterable[str]) -> Iterator[None]:
    """Say that every call inside the block draws on these documents (`D-…`) and signals (`S-…`)."""
    token = _records.set(tuple(records))
    try:
        yield
    finally:
        _records.reset(token)


def kept_as() -> tuple[str, ...]:
    """The hashes under which the vectors of the texts asked about here will be kept, in their order; else none."""
    return _names.get()


@contextmanager
def keeping_as(hashes: Iterable[str]) -> Iterator[None]:
    """Say under which hashes the vectors of the texts embedded inside the block will be kept, text by text."""
    token = _names.set(tuple(hashes))
    try:
        yield
    finally:
        _names.reset(token)
