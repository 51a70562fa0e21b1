"""What kind of document something is, by the words in its path or in the names of its columns."""

from __future__ import annotations

import re
from typing import get_args

from elmer_pipelines.documents.model import Kind

_WORDS: dict[str, Kind] = {
    "interview": "interview", "interviews": "interview", "usability": "interview", "research": "interview",
    "call": "call", "calls": "call", "meeting": "call", "meetings": "call", "demo": "call", "webinar": "call",
    "ticket": "ticket", "tickets": "ticket", "case": "ticket", "cases": "ticket", "support": "ticket",
    "issue": "ticket", "issues": "ticket", "zendesk": "ticket", "jira": "ticket", "helpdesk": "ticket",
    "chat": "chat", "chats": "chat", "slack": "chat", "conversation": "chat", "conversations": "chat",
    "intercom": "chat", "messages": "chat", "discord": "chat", "teams": "chat", "thread": "chat", "threads": "chat",
    "review": "review", "reviews": "review", "rating": "review", "ratings": "review", "stars": "review",
    "feedback": "review", "survey": "review", "surveys": "review", "nps": "review", "csat": "review",
    "appstore": "review", "playstore": "review", "g2": "review", "capterra": "review", "trustpilot": "review",
    "email": "email", "emails": "email", "mail": "email", "mails": "email", "inbox": "email",
    "note": "note", "notes": "note", "memo": "note", "diary": "note",
}  # fmt: skip
_SPLIT = re.compile(r"[^a-z0-9]+")


def as_kind(value: object) -> Kind | None:
    """The kind a person wrote (`interview`, `Tickets`), None when it is no known word."""
    word = str(value).strip().lower()
    return next((k for k in get_args(Kind) if k == word), _WORDS.get(word))


def kind_from_path(path: str) -> Kind | None:
    """The kind named by the file or the nearest folder, None when nothing says."""
    parts = path.lower().split("/")
    parts[-1] = parts[-1].rsplit(".", 1)[0]
    return next((kind for part in reversed(parts) if (kind := kind_from_words(part))), None)


def kind_from_words(text: str) -> Kind | None:
    """The kind of the last word that names one: `support call` is a call."""
    return next((_WORDS[word] for word in reversed(_SPLIT.split(text.lower())) if word in _WORDS), None)
