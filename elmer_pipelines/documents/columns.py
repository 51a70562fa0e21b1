"""Which column of a table, or field of a record, is the text, the id, the date, the author: configured or found.

Making documents of the records is in records.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.kinds import kind_from_words
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.documents.model import Kind
    from elmer_pipelines.documents.options import TableOptions

Record = dict[str, Any]

# in order of preference, in the form `words_of` gives
_TEXT = (
    "review text", "review body", "review content", "content", "review", "text", "comment", "comments", "feedback",
    "verbatim", "message", "body", "description", "answer", "response", "transcript", "note", "notes", "quote",
    "sentence", "utterance", "details", "free text", "comment body", "message body", "plain body", "kommentar",
    "comentario", "commentaire", "reseña", "avis", "bewertung",
)  # fmt: skip
_TEXT_WORDS = frozenset({"review", "text", "comment", "comments", "feedback", "verbatim", "message", "description"})
_MORE_TEXT = ("pros", "cons", "likes", "dislikes", "suggestions", "improvements", "reason", "what happened")
_OURS = (
    "reply", "agent reply", "support reply", "developer response", "developer reply", "company response",
    "response from owner", "resolution", "internal note", "internal notes", "agent notes", "agent response",
)  # fmt: skip
_IDS = (
    "id", "review id", "ticket id", "message id", "response id", "feedback id", "comment id", "case id", "issue key",
    "ticket number", "case number", "ticket", "key", "uuid", "record id", "row id", "answer id", "submission id",
    "respondent id", "conversation id", "external id", "number", "reference", "ts",
)  # fmt: skip
_GROUPS = ("conversation id", "thread id", "thread ts", "chat id", "session id", "call id", "conversation", "thread")
_TITLES = ("subject", "title", "summary", "headline", "review title", "topic")
_DATES = (
    "date", "created at", "created", "timestamp", "time", "submitted at", "review date", "posted at", "published at",
    "sent at", "updated at", "created date", "submission date", "at", "datum", "fecha", "created utc", "start time",
    "started at", "opened at", "ts",
)  # fmt: skip
_AUTHORS = (
    "author", "author name", "speaker", "user name", "username", "customer name", "customer", "name", "reviewer",
    "requester", "requester name", "from", "sender", "sender name", "user", "respondent", "full name", "participant",
    "reporter", "user real name", "display name",
)  # fmt: skip
_ROLES = ("role", "author role", "author type", "sender type", "sender role", "speaker role", "user role", "from role")
_KINDS = ("kind", "channel", "source type", "type", "source")
_TICKET_WORDS = frozenset({"ticket", "priority", "assignee", "resolution", "case"})
_REVIEW_WORDS = frozenset({"review", "rating", "stars", "score", "nps", "csat", "survey", "feedback", "verbatim"})
_SAMPLE = 200


@dataclass(frozen=True)
class Columns:
    """The names of the columns that play a part; `texts` in the order they are read, `ours` are our own answers."""

    texts: tuple[str, ...]
    ours: tuple[str, ...] = ()
    id: str | None = None
    title: str | None = None
    date: str | None = None
    author: str | None = None
    role: str | None = None
    kind: str | None = None
    group: str | None = None
    default_kind: Kind | None = None


def words_of(name: str) -> str:
    """`reviewID`, `Review id` and `review_id` are `review id`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[^\w?]+|_", " ", spaced.lower()).split())


def find_columns(path: str, names: Sequence[str], records: Sequence[Record], options: TableOptions) -> Columns | None:
    """The part each column plays, None when no column holds text.

    Raises UnreadableDocument (broken) when a configured column is not in the table.
    """
    for wanted in (options.text, options.id, options.date, options.author, options.kind, options.group):
        if wanted is not None and wanted not in names:
            raise _no_such_column(path, wanted, names)
    sample = records[:_SAMPLE]
    known = {words_of(name): name for name in reversed(names)}
    ours = tuple(known[name] for name in _OURS if name in known and known[name] != options.text)
    free = [name for name in names if name not in ours]
    text = options.text or _find_text(free, sample)
    if text is None:
        return None
    # a table with both "subject" and "title" keeps the first as its title
    title = next((known[name] for name in _TITLES if name in known and known[name] != text), None)
    author = options.author or _first(known, _AUTHORS, sample, text)
    columns = Columns(
        texts=tuple(sorted([text, *_more_texts(free, sample, {text, title, author})], key=list(names).index)),
        ours=ours,
        id=options.id or _find_id(known, records, text),
        title=title,
        date=options.date or _first(known, _DATES, sample, text),
        author=author,
        role=_first(known, _ROLES, sample, text),
        kind=options.kind or _first(known, _KINDS, sample, text),
        default_kind=_kind_of(names),
    )
    group = options.group or _find_group(known, records, columns)
    return Columns(**{**columns.__dict__, "group": group})


def _no_such_column(path: str, wanted: str, names: Sequence[str]) -> UnreadableDocument:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return UnreadableDocument(
        "broken",
        f"{path} has no column {wanted!r}; it has {shown}.",
        next_step="Correct [[documents.tables]] in workspace.toml.",
    )


def _filled(name: str, sample: Sequence[Record]) -> list[str]:
    return [str(r[name]) for r in sample if r.get(name) not in (None, "")]


def _first(known: dict[str, str], wanted: Sequence[str], sample: Sequence[Record], text: str) -> str | None:
    """The first wanted column that is there, is filled somewhere and is not the text."""
    found = (known[name] for name in wanted if name in known and known[name] != text)
    return next((name for name in found if _filled(name, sample)), None)


def _find_text(names: Sequence[str], sample: Sequence[Record]) -> str | None:
    by_words = {words_of(name): name for name in reversed(names)}
    exact = _first(by_words, _TEXT, sample, "")
    if exact is not None and _is_prose(exact, sample, least=1.5):
        return exact
    likely = [name for name in names if _TEXT_WORDS & set(words_of(name).split()) and _is_prose(name, sample)]
    likely = likely or [name for name in names if _is_prose(name, sample)]
    return max(likely, key=lambda name: _mean_words(name, sample), default=exact)


def _mean_words(name: str, sample: Sequence[Record]) -> float:
    values = _filled(name, sample)
    # scripts without spaces: six letters count as two words, or so
    sizes = [max(len(v.split()), len(v) / 3 if not v.isascii() and len(v.split()) < 3 else 0) for v in values]
    return sum(sizes) / len(sizes) if sizes else 0.0


def _is_prose(name: str, sample: Sequence[Record], least: float = 3.0) -> bool:
    return _mean_words(name, sample) >= least


def _more_texts(names: Sequence[str], sample: Sequence[Record], taken: set[str | None]) -> list[str]:
    """Further columns of the customer's own words: open questions of a survey, pros and cons."""
    more = []
    for name in names:
        words = words_of(name)
        asked = words.endswith("?") or words in _MORE_TEXT
        if name not in taken and asked and _is_prose(name, sample, least=2.0):
            more.append(name)
    return more


def _find_id(known: dict[str, str], records: Sequence[Record], text: str) -> str | None:
    """A column named like an id most of whose values differ; below half they name something else."""
    for wanted in _IDS:
        name = known.get(wanted)
        if name is None or name == text:
            continue
        values = [record.get(name) for record in records]
        filled = {str(value) for value in values if value not in (None, "")}
        if len(filled) >= max(1, 0.5 * len(values)):
            return name
    return None


def _find_group(known: dict[str, str], records: Sequence[Record], columns: Columns) -> str | None:
    """A column that ties rows to one conversation: named so, repeated, and with speakers to tell apart."""
    if columns.author is None and columns.role is None:
        return None
    for wanted in _GROUPS:
        name = known.get(wanted)
        if name is None or name in columns.texts:
            continue
        values = [str(record.get(name)) for record in records if record.get(name) not in (None, "")]
        if values and len(set(values)) < 0.8 * len(values):
            return name
    return None


def _kind_of(names: Sequence[str]) -> Kind | None:
    words = {word for name in names for word in words_of(name).split()}
    if words & _TICKET_WORDS:
        return "ticket"
    if words & _REVIEW_WORDS:
        return "review"
    return kind_from_words(" ".join(sorted(words & {"interview", "call", "chat", "email", "conversation"})))
