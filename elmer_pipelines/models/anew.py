"""Whether a stored answer that is a fault for good is asked for again, because a person wants its record tried again.

Set around the work on such records; whoever keeps answers asks. Ordinary runs get the stored fault, free of charge.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_anew: ContextVar[bool] = ContextVar("elmer_asking_anew", default=False)


def is_asked_anew() -> bool:
    """Whether stored refusals, and answers cut off, are to be asked for once more here."""
    return _anew.get()


@contextmanager
def asking_anew(yes: bool = True) -> Iterator[None]:
    """Say so of every call inside the block."""
    token = _anew.set(yes)
    try:
        yield
    finally:
        _anew.reset(token)
