"""Every error Elmer raises on purpose.

    ElmerError
    ├── SettingsError        a setting is unknown, malformed or missing
    ├── DatabaseError        the database can't be reached, started or migrated
    ├── WorkspaceError       an unknown workspace, or a workspace.toml that can't be read
    ├── NotFoundError        no record has the id that was asked for
    ├── PinError             a pin contradicts others, or names a cluster that has ended
    ├── RecordError          one record failed; the others go on, and this becomes its outcome row
    │   ├── UnreadableDocument   a source file was refused or can't be read
    │   ├── ModelFault           a model did not give a usable answer
    │   └── Waiting              no failure: the answer is on its way in a message batch
    └── CitationError        an artifact cites what is not a signal of its project

A message says what happened, to which record, and what to do next.
"""

from __future__ import annotations

# Kinds of ModelFault that stop a call before it is made: no attempt was used up, the record stays as it was.
UNSENT = frozenset({"budget", "unknown_price"})
# Kinds of ModelFault that are about a key, its limits or a model's name, not about what was asked.
OF_THE_ACCOUNT = frozenset({"auth", "permission", "quota", "not_found"})


class ElmerError(Exception):
    """Base of all errors raised on purpose; `str()` is fit to be shown to a person."""


class SettingsError(ElmerError):
    """A setting is unknown, malformed or missing; the message names the variable, never its value."""


class DatabaseError(ElmerError):
    """The database can't be reached, started or brought to the newest schema."""


class WorkspaceError(ElmerError):
    """The workspace is not registered, its folder is gone, or its workspace.toml can't be read."""


class NotFoundError(ElmerError):
    """No record of this workspace has the id that was asked for."""


class PinError(ElmerError):
    """A pin can't be honoured: it contradicts others, or names a cluster that has ended; nothing was stored."""


class CitationError(ElmerError):
    """An artifact cites an id that is not a signal of its project."""


class RecordError(ElmerError):
    """One record failed: `kind` is a short word to group by, `next_step` what a person can do about it.

    `retryable` says whether the same attempt may succeed later without anybody changing anything.
    """

    def __init__(self, kind: str, message: str, *, next_step: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.next_step = next_step
        self.retryable = retryable

    @property
    def unsent(self) -> bool:
        """Whether nothing was sent: no attempt was used up, the record stays as it was, the step stops."""
        return self.kind in UNSENT


class UnreadableDocument(RecordError):
    """A source file can't become a document.

    Kinds: empty, oversized, encrypted, broken, zip_bomb, binary, unknown_format, unsafe_path, timeout, no_text.
    """


class ModelFault(RecordError):
    """A model did not give a usable answer.

    Kinds: auth, permission, not_found, quota, rate_limit, overloaded, timeout, connection, too_large,
    refusal, truncated, schema, bad_payload, http_NNN; and, where nothing was sent, those of UNSENT.
    `retry_after` is in seconds where the service gave one. `lost`: the request may have been worked, and billed, but no
    usable answer with its usage came back. `asked` is False where the call was not made, because the same was refused
    just before.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        next_step: str,
        retryable: bool,
        retry_after: float | None = None,
        lost: bool = False,
        asked: bool = True,
    ) -> None:
        super().__init__(kind, message, next_step=next_step, retryable=retryable)
        self.retry_after = retry_after
        self.lost = lost
        self.asked = asked

    @property
    def unsent(self) -> bool:
        """Whether nothing was sent."""
        return not self.asked or super().unsent


class Waiting(RecordError):
    """A record's answer is on its way in a message batch: no failure and no attempt, the record stays pending."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "waiting", message, next_step="`elmer batches` shows it; a run after it ended goes on.", retryable=True
        )
