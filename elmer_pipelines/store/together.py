"""One transaction for what several threads have to do at the same moment. What is done in it is the caller's matter."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Done = TypeVar("Done")


class Together(Generic[Item, Done]):
    """Does items in groups, each in the thread of one that waits; safe between threads.

    While one group is being done, the next gathers: nobody waits for company. `do` gets the items in the order they
    came, and returns a result for each; where it fails for several, they are done one by one, so that one bad item
    costs only itself.
    """

    def __init__(self, do: Callable[[Sequence[Item]], Sequence[Done]]) -> None:
        self._do = do
        self._guard, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Entry[Item, Done]] = []

    def add(self, item: Item) -> Done:
        """The item's result, once it is done (and committed, where `do` commits). Raises what `do` raises for it."""
        entry: _Entry[Item, Done] = _Entry(item)
        with self._guard:
            self._waiting.append(entry)
        with self._turn:
            if not entry.results and entry.error is None:
                with self._guard:
                    entries, self._waiting = self._waiting, []
                self._do_all(entries)
        if entry.error is not None:
            raise entry.error
        return entry.results[0]

    def _do_all(self, entries: list[_Entry[Item, Done]]) -> None:
        try:
            results = self._do([entry.item for entry in entries])
        except BaseException as error:  # noqa: BLE001 - raised by `add`, for each whose item it is
            if len(entries) == 1 or not isinstance(error, Exception):
                for entry in entries:
                    entry.error = error
                return
            for entry in entries:
                self._do_all([entry])
            return
        for entry, result in zip(entries, results, strict=True):
            entry.results.append(result)


class _Entry(Generic[Item, Done]):
    """An item on its way; `results` has one once it is done."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Done] = []
        self.error: BaseException | None = None
