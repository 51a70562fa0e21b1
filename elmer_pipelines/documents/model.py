"""A document as the readers hand it over: text, segments, origin. No reading and no storing here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from elmer_pipelines.ids import canonical_json, text_hash

Kind = Literal["interview", "call", "ticket", "chat", "review", "email", "note", "document"]


@dataclass(frozen=True)
class Segment:
    """A turn of speech, a row, a paragraph: characters `start:end` of the document's text.

    `text[start:end]` is the words themselves, without the speaker's label or the time stamp. `speaker` is the name as
    the source gives it; `is_customer` is False only where the source makes clear it is us (interviewer, support agent,
    bot). `heading` is the nearest heading or the name of the field. `time` is seconds from the start of a recording;
    `at` is a moment in UTC.
    """

    start: int
    end: int
    speaker: str | None = None
    is_customer: bool = True
    heading: str | None = None
    row: int | None = None
    time: float | None = None
    at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that are set, times in ISO 8601."""
        value = {k: v for k, v in self.__dict__.items() if v is not None and not (k == "is_customer" and v)}
        if self.at is not None:
            value["at"] = self.at.isoformat()
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Segment:
        """The inverse of `as_json`."""
        at = value.get("at")
        return cls(**{**value, "at": datetime.fromisoformat(at) if at else None})


@dataclass(frozen=True)
class Document:
    """One source item as text.

    `address` is where it came from inside the workspace's folder: the path with `/`, plus `#…` for a row, message or
    thread inside a file; stable when unrelated rows are added. Segments are in order, do not overlap, and lie inside
    the text. The text has no NUL and no lone surrogates.
    """

    address: str
    kind: Kind
    format: str
    title: str
    text: str
    segments: tuple[Segment, ...]
    occurred_at: datetime | None = None
    people: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of all that was read (not of the address): a version of the document."""
        return text_hash(canonical_json(self.content()))

    @cached_property
    def text_fingerprint(self) -> str:
        """SHA-256 of text and segments only: what extraction depends on."""
        return text_hash(canonical_json({"text": self.text, "segments": [s.as_json() for s in self.segments]}))

    def content(self) -> dict[str, Any]:
        """All that was read, as JSON values."""
        return {
            "kind": self.kind,
            "format": self.format,
            "title": self.title,
            "text": self.text,
            "segments": [s.as_json() for s in self.segments],
            "occurred_at": self.occurred_at.isoformat() if self.occurred_at else None,
            "people": list(self.people),
            "metadata": self.metadata,
        }
