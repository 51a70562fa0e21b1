"""JSON and JSON Lines: lists of objects, of messages, of conversations; the text field is found.

Objects that are single records go on to records.py; a list of turns becomes one document here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.column_names import words_of
from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.draft import Draft, file_title, short_title, unique_names
from elmer_pipelines.documents.front_matter import plain_value
from elmer_pipelines.documents.guards import broken, clean_text, clean_value, no_text
from elmer_pipelines.documents.kinds import as_kind, kind_from_path
from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.moments import parse_clock, parse_moment
from elmer_pipelines.documents.records import RecordSource, assign_addresses, record_documents, short_key
from elmer_pipelines.documents.voices import Voices, data_role_is_ours
from elmer_pipelines.ids import text_hash

if TYPE_CHECKING:
    from elmer_pipelines.documents.columns import Record
    from elmer_pipelines.documents.options import ReadingOptions

_TURN_LISTS = (
    "messages", "turns", "conversation", "transcript", "utterances", "comments", "parts", "conversation parts",
    "segments", "entries", "dialogue", "dialog", "thread", "replies", "events",
)  # fmt: skip
_WORDS = ("text", "content", "message", "body", "words", "utterance", "value", "plain body", "transcript", "html body")
_SPEAKERS = (
    "speaker",
    "author",
    "from",
    "sender",
    "user",
    "name",
    "role",
    "participant",
    "speaker name",
    "author name",
)
_ROLES = ("role", "author role", "author type", "sender type", "type", "speaker role", "from type", "sender role")
_MOMENTS = ("date", "created at", "timestamp", "time", "sent at", "ts", "created", "at", "datetime")
_IDS = ("id", "conversation id", "ticket id", "key", "uuid", "thread id", "number", "external id")
_WRAPPERS = 3  # how deep a list of records may lie in objects that only hold it
_NAMES_OF_PEOPLE = ("name", "display name", "real name", "full name", "email", "username", "id")
_FIRST_WORDS = ("body", "description", "text", "content", "message")


def read_json(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """The documents of a JSON file; one that turns out to be JSON Lines is read as such."""
    text = decode(path, data)
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Extra data") and text[: error.pos].strip().startswith("{"):
            return read_json_lines(path, data, options)
        raise broken(path, "JSON", error) from error
    except (ValueError, RecursionError) as error:
        raise broken(path, "JSON", "nested too deeply" if isinstance(error, RecursionError) else error) from error
    return _documents(RecordSource(path, "json"), value, options)


def read_json_lines(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """The documents of a file with one JSON value a line."""
    values = []
    for number, line in enumerate(decode(path, data).split("\n"), start=1):
        if line.strip():
            try:
                values.append(json.loads(line, parse_constant=lambda _: None))
            except (ValueError, RecursionError) as error:
                raise broken(path, "JSON Lines", f"line {number}: {error}") from error
    return _documents(RecordSource(path, "jsonl"), values, options)


def _documents(source: RecordSource, value: Any, options: ReadingOptions) -> list[Document]:
    documents = _from_value(source, value, options)
    options.check_count(source.path, documents)
    if not documents:
        hint = "Name the text field: [[documents.tables]] pattern, text in workspace.toml."
        raise no_text(source.path, hint)
    return documents


def _from_value(source: RecordSource, value: Any, options: ReadingOptions) -> list[Document]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        if _turn_list(value) is not None:
            return _conversations(source, [value], single=True)
        value = _list_in(value) or _keyed(value) or [value]
    if not isinstance(value, list):
        return []
    objects = _objects(value)
    if not objects:
        objects = [{"text": item} for item in value if isinstance(item, str)]
    talks = [item for item in objects if _turn_list(item) is not None]
    rest = [item for item in objects if _turn_list(item) is None]
    documents = _conversations(source, talks, single=False)
    if rest and not talks and _is_dialogue(rest):
        return _conversations(source, [{"messages": rest}], single=True)
    return documents + _single_records(source, rest, options)


def _list_in(value: Record, depth: int = 0) -> list[Any] | None:
    """The longest list of objects in a wrapper such as {"reviews": [...], "page": 1} or {"data": {"items": [...]}}."""
    wrapped = [item for item in value.values() if isinstance(item, list) and _objects(item)]
    if not wrapped and depth < _WRAPPERS and not _words(value):
        inner = (_list_in(item, depth + 1) for item in value.values() if isinstance(item, dict))
        wrapped = [item for item in inner if item]
    return max(wrapped, key=len, default=None)


def _keyed(value: Record) -> list[Any] | None:
    """The records of {"17": {...}, "18": {...}}, each with its key for an id where it has none of its own.

    Records have most of their fields in common; what an object is made of ({"ticket": {...}, "user": {...}}) has not.
    """
    fields = [set(item) for item in value.values() if isinstance(item, dict)]
    if len(fields) < max(2, len(value)) or 2 * len(set.intersection(*fields)) < len(set.union(*fields)):
        return None
    return [{"id": key, **item} for key, item in value.items()]


def _objects(items: list[Any]) -> list[Record]:
    return [item for item in items if isinstance(item, dict)]


def _single_records(source: RecordSource, items: list[Record], options: ReadingOptions) -> list[Document]:
    records = [_flat(item) for item in items]
    names = list(dict.fromkeys(name for record in records for name in record))
    return record_documents(source, names, records, options.table_for(source.path))


def _flat(item: Record, prefix: str = "", depth: int = 0) -> Record:
    """Nested objects as `author name`, lists of plain values joined; deeper nesting is left out."""
    flat: Record = {}
    for key, value in item.items():
        name = clean_value(f"{prefix}{key}")[:80]
        if isinstance(value, dict):
            if depth < 2:
                flat.update(_flat(value, f"{name} ", depth + 1))
        elif isinstance(value, list):
            plain = [str(part) for part in value[:100] if not isinstance(part, (dict, list))]
            flat[name] = ", ".join(plain)
        else:
            flat[name] = value
    return flat


def _field(item: Record, wanted: tuple[str, ...]) -> Any:
    """The first wanted field that holds something; names compared as `words_of` gives them."""
    known = {words_of(str(key)): value for key, value in item.items()}
    return next((known[name] for name in wanted if known.get(name) not in (None, "", [], {})), None)


def _turn_list(item: Record) -> list[Record] | None:
    """The object's list of turns, None when it has none with words."""
    for key, value in item.items():
        if words_of(str(key)) not in _TURN_LISTS:
            continue
        if isinstance(value, dict):
            value = next((part for part in value.values() if isinstance(part, list)), None)
        if isinstance(value, list) and (turns := _objects(value)) and any(_words(turn) for turn in turns):
            return turns
    return None


def _is_dialogue(items: list[Record]) -> bool:
    """Messages of one conversation: each has a speaker and words, speakers return, nothing marks a record."""
    speakers = [_speaker(item) for item in items]
    if len(items) < 2 or not all(speakers) or not all(len(item) <= 5 for item in items):
        return False
    recurring = len(set(speakers)) < len(speakers) or any(_role(item) is not None for item in items)
    return recurring and all(_field(item, _IDS) is None for item in items)


def _words(turn: Record) -> str:
    value = _field(turn, _WORDS)
    if isinstance(value, list):  # content in blocks, as chat models have it
        value = "\n".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return clean_text(value).strip() if isinstance(value, str) else ""


def _speaker(turn: Record) -> str | None:
    value = _field(turn, _SPEAKERS)
    if isinstance(value, dict):
        value = _field(value, _NAMES_OF_PEOPLE)
    return clean_value(value)[:80] or None if isinstance(value, (str, int)) else None


def _role(turn: Record) -> bool | None:
    """True when a turn's role says it is us, False for a customer, None when nothing says."""
    inner = next((v for k, v in turn.items() if words_of(str(k)) in _SPEAKERS and isinstance(v, dict)), {})
    for role in (_field(turn, _ROLES), _field(inner, ("type", "role"))):
        if isinstance(role, str) and (said := data_role_is_ours(role)) is not None:
            return said
    return None


def _conversations(source: RecordSource, items: list[Record], *, single: bool) -> list[Document]:
    made = [(item, document) for item in items if (document := _conversation(source, item)) is not None]
    if single:
        return [document for _, document in made]
    keys = [short_key(_id(item)) or text_hash(document.text)[:12] for item, document in made]
    addresses = assign_addresses(source, keys)
    return [
        Document(address=address, **{k: v for k, v in document.__dict__.items() if k in _FIELDS})
        for (_, document), address in zip(made, addresses, strict=True)
    ]


_FIELDS = frozenset(Document.__dataclass_fields__) - {"address"}


def _id(item: Record) -> str:
    value = _field(item, _IDS)
    return str(value) if isinstance(value, (str, int)) else ""


def _conversation(source: RecordSource, item: Record) -> Document | None:
    """One object with a list of turns as one document, at the file's own address."""
    draft, voices = Draft(), Voices()
    opening = _field(item, _FIRST_WORDS)
    if isinstance(opening, str):
        draft.turn(_speaker(item), opening)
    for turn in _turn_list(item) or []:
        speaker, role, moment = _speaker(turn), _role(turn), _field(turn, _MOMENTS)
        customer = not role if role is not None else voices.is_customer(speaker)
        draft.turn(speaker, _words(turn), is_customer=customer, time=_offset(turn), at=parse_moment(moment))
    if not draft.segments:
        return None
    title = _field(item, ("title", "subject", "name", "topic"))
    start = next((s.at for s in draft.segments if s.at), None)
    first = draft.segments[0]
    kind = as_kind(_field(item, ("kind", "type", "channel")) or "")
    return Document(
        address=source.path,
        kind=kind or kind_from_path(source.path) or "chat",
        format=source.form,
        title=clean_value(title)[:300]
        if isinstance(title, str)
        else _untitled(source, item, draft.text[first.start :]),
        text=draft.text,
        segments=tuple(draft.segments),
        occurred_at=parse_moment(_field(item, _MOMENTS)) or start,
        people=unique_names([segment.speaker for segment in draft.segments]),
        metadata={k: plain_value(v) for k, v in _flat(item).items() if words_of(k) not in _TURN_LISTS and v != ""},
    )


def _untitled(source: RecordSource, item: Record, words: str) -> str:
    return short_title(words) if _id(item) else file_title(source.path)


def _offset(turn: Record) -> float | None:
    """Seconds from the start of a recording, where a turn has them."""
    value = _field(turn, ("start", "start time", "offset", "start seconds", "time", "timestamp"))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6:
        return float(value)
    return parse_clock(value) if isinstance(value, str) else None
