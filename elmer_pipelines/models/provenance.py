"""Which records the model calls in a context draw on, so that an answer can be found again by them (`elmer purge`).

A step names them around its call; whoever keeps answers asks. They are no part of a fingerprint.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_records: ContextVar[tuple[str, ...]] = ContextVar("elmer_drawn_from", default=())


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
