"""Reading source files: the one door to all formats. Cheap ones are read here, risky ones in a worker process.

Where files are found is in sources.py, what they become in model.py.
"""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING, Self

from elmer_pipelines.documents.formats import is_risky, read_here
from elmer_pipelines.documents.guards import check_size
from elmer_pipelines.documents.isolation import Worker
from elmer_pipelines.documents.options import READER_VERSION, ReadingOptions, TableOptions

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Document

__all__ = ["READER_VERSION", "Reader", "ReadingOptions", "TableOptions", "read_documents"]

_open_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Reader:
    """Reads files, keeping one worker alive between them; safe to use from several threads.

    The worker starts with the first risky file and ends with the `with` block, at the latest with this process.
    """

    def __init__(self, options: ReadingOptions | None = None) -> None:
        self.options = options or ReadingOptions()
        self._worker = Worker(self.options)
        _open_workers.add(self._worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker; the reader stays usable."""
        self._worker.close()

    def read(self, path: str, data: bytes) -> list[Document]:
        """The documents of one file; `path` is relative to the workspace's folder and becomes their address.

        Raises UnreadableDocument, and nothing else, whatever the bytes are.
        """
        check_size(path, len(data), self.options.max_bytes)
        if is_risky(path, data):
            return self._worker.read(path, data)
        return read_here(path, data, self.options)


def read_documents(path: str, data: bytes, options: ReadingOptions | None = None) -> list[Document]:
    """As `Reader.read`, for a single file."""
    with Reader(options) as reader:
        return reader.read(path, data)


@atexit.register
def _end_workers() -> None:
    for worker in list(_open_workers):
        worker.close()
