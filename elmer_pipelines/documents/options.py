"""How source files are read: limits, and what is known about tables. No reading here.

A change of `READER_VERSION` or of any option changes the fingerprint, so files are read again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.errors import UnreadableDocument
from elmer_pipelines.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sized

    from elmer_pipelines.documents.workspace_file import WorkspaceFile

READER_VERSION = 2  # raise when the same bytes may give other documents
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class TableOptions:
    """What a person said about the tables whose path matches `pattern` (`*` also crosses `/`): names of columns."""

    pattern: str
    text: str | None = None
    id: str | None = None
    date: str | None = None
    author: str | None = None
    kind: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class ReadingOptions:
    """Limits for one file, and the configured tables.

    Sizes in bytes. `max_expanded` bounds all that comes out of a zip, nested ones too; `max_ratio` is how many times
    larger a zip may get. `max_characters` is for one document: five million are about a hundred hours of talk.
    `timeout` is seconds of wall time for one file in the worker, `worker_memory` its data segment.
    """

    tables: tuple[TableOptions, ...] = ()
    max_bytes: int = 50 * _MEGABYTE
    max_expanded: int = 256 * _MEGABYTE
    max_ratio: int = 200
    max_documents: int = 200_000
    max_characters: int = 5_000_000
    timeout: float = 60.0
    worker_memory: int = 1024 * _MEGABYTE

    @classmethod
    def of(cls, workspace: WorkspaceFile) -> ReadingOptions:
        """The options a workspace.toml asks for."""
        tables = tuple(TableOptions(**table.model_dump()) for table in workspace.documents.tables)
        return cls(tables=tables, max_bytes=int(workspace.documents.max_megabytes * _MEGABYTE))

    def fingerprint(self) -> str:
        """Changes when a limit, a configured table or the readers' version changes."""
        return fingerprint(reader=READER_VERSION, options=asdict(self))

    @property
    def determinants(self) -> Determinants:
        """The readers' version, the configured tables and the limits."""
        limits = {name: value for name, value in asdict(self).items() if name != "tables"}
        return Determinants.of(
            reader=labelled(READER_VERSION), tables=[asdict(one) for one in self.tables], limits=labelled(limits)
        )

    def table_for(self, path: str) -> TableOptions:
        """The first configured table whose pattern matches the path, or one that leaves all to be found."""
        return next((t for t in self.tables if fnmatchcase(path, t.pattern)), TableOptions(pattern=path))

    def check_count(self, path: str, items: Sized) -> None:
        """Raise UnreadableDocument (oversized) when one file would become too many documents."""
        if len(items) > self.max_documents:
            raise UnreadableDocument(
                "oversized",
                f"{path} holds {len(items):,} records; {self.max_documents:,} per file is the limit.",
                next_step="Split the file into several.",
            )
