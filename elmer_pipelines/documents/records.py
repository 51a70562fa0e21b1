"""Records (rows of a table, objects of a JSON list) to documents: one each, or one per group.

Addresses hang on the record's id or text, never on its position, so a new row changes no other address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.columns import Columns, Record, find_columns
from elmer_pipelines.documents.draft import Draft, short_title, unique_names
from elmer_pipelines.documents.front_matter import plain_value
from elmer_pipelines.documents.guards import clean_text, clean_value
from elmer_pipelines.documents.kinds import as_kind, kind_from_path
from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.documents.moments import parse_moment
from elmer_pipelines.documents.plain import date_in_name, find_segments
from elmer_pipelines.documents.voices import Voices, data_role_is_ours
from elmer_pipelines.ids import text_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from elmer_pipelines.documents.model import Kind
    from elmer_pipelines.documents.options import TableOptions

_KEY_LENGTH = 100


@dataclass(frozen=True)
class RecordSource:
    """Where records stand: the file, its format, and what goes between `#` and the key (`Sheet1/`)."""

    path: str
    form: str
    prefix: str = ""


def record_documents(
    source: RecordSource, names: Sequence[str], records: Sequence[Record], options: TableOptions
) -> list[Document]:
    """The documents of a table's records; records without text are none. Empty when no column holds text."""
    columns = find_columns(source.path, names, records, options)
    if columns is None:
        return []
    if columns.group is not None:
        groups = _grouped(records, columns.group)
        made = [(key, _group_document(source, key, members, columns)) for key, members in groups]
    else:
        made = [(_key(record, columns), _document(source, record, columns)) for record in records]
    kept = [(key, document) for key, document in made if document is not None]
    addresses = assign_addresses(source, [key for key, _ in kept])
    return [
        Document(**{**_fields(document), "address": address})
        for (_, document), address in zip(kept, addresses, strict=True)
    ]


def _fields(document: Document) -> dict[str, Any]:
    return {name: document.__dict__[name] for name in Document.__dataclass_fields__}


def assign_addresses(source: RecordSource, keys: Iterable[str]) -> Iterator[str]:
    """An address per key, in order; a key that returns gets `-2`, `-3`, never the address of another key."""
    keys = list(keys)
    taken = set(keys)
    seen: dict[str, int] = {}
    for key in keys:
        name, count = key, seen.get(key, 0) + 1
        while count > 1 and (name := f"{key}-{count}") in taken:
            count += 1
        seen[key] = count
        taken.add(name)
        yield f"{source.path}#{source.prefix}{name}"


def short_key(value: object) -> str:
    """An id as part of an address: one line, at most 100 characters, a hash in place of what is cut."""
    key = clean_value(value)
    return key if len(key) <= _KEY_LENGTH else f"{key[: _KEY_LENGTH - 13]}-{text_hash(key)[:12]}"


def _text(record: Record, name: str | None) -> str:
    value = record.get(name) if name else None
    return "" if value is None else clean_text(str(value)).strip()


def _key(record: Record, columns: Columns) -> str:
    if key := short_key(_text(record, columns.id)):
        return key
    return text_hash("\n".join(_text(record, name) for name in columns.texts))[:12]


def _document(source: RecordSource, record: Record, columns: Columns) -> Document | None:
    """A record's document, None when its text is blank. The address is given later."""
    author = clean_value(_text(record, columns.author))[:80] or None
    at = parse_moment(record.get(columns.date)) if columns.date else None
    draft = Draft()
    answered = [name for name in (*columns.texts, *columns.ours) if _text(record, name)]
    customer = _is_customer(record, columns, author)
    several = len(columns.texts) + len(columns.ours) > 1
    if not any(name in columns.texts for name in answered):
        return None
    for name in answered:
        if draft:
            draft.label("\n\n")
        if several and (name != columns.texts[0] or name.endswith("?")):
            draft.label(clean_value(name) + ("\n" if name.endswith("?") else ":\n"))
        ours = name in columns.ours
        fields = {"speaker": None if ours else author, "is_customer": customer and not ours, "at": at}
        _say(draft, _text(record, name), {**fields, "heading": clean_value(name) if several else None})
    return _finish(source, draft, [record], columns, _text(record, columns.title))


def _say(draft: Draft, words: str, fields: dict[str, Any]) -> None:
    """One cell: a segment, or several where the cell holds a transcript or paragraphs."""
    found = find_segments(words, Voices()) if "\n" in words and fields["is_customer"] else []
    if len(found) <= 1:
        draft.say(words, **fields)
        return
    spoken = any(segment.speaker for segment in found)
    parts = []
    for segment in found:
        speaker = segment.speaker if spoken else fields["speaker"]
        said = {"speaker": speaker, "heading": segment.heading or fields["heading"], "at": fields["at"]}
        parts.append(Segment(**{**segment.__dict__, **said}))
    draft.place(words, parts)


def _is_customer(record: Record, columns: Columns, speaker: str | None) -> bool:
    """By the role the data give, else by the name."""
    role = data_role_is_ours(_text(record, columns.role)) if columns.role else None
    return not role if role is not None else Voices().is_customer(speaker)


def _grouped(records: Sequence[Record], group: str) -> list[tuple[str, list[Record]]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        key = short_key(_text(record, group))
        # a row outside of any group stands for itself
        groups.setdefault(key or f"row-{text_hash(repr(sorted(record.items(), key=str)))[:12]}", []).append(record)
    return list(groups.items())


def _group_document(source: RecordSource, key: str, members: list[Record], columns: Columns) -> Document | None:
    draft = Draft()
    for number, record in enumerate(members, start=1):
        speaker = clean_value(_text(record, columns.author) or _text(record, columns.role)) or None
        customer = _is_customer(record, columns, speaker)
        at = parse_moment(record.get(columns.date)) if columns.date else None
        for name in (*columns.texts, *columns.ours):
            said_by = None if name in columns.ours else speaker
            theirs = customer and name not in columns.ours
            draft.turn(said_by, _text(record, name), is_customer=theirs, row=number, at=at)
    title = next((t for r in members if (t := _text(r, columns.title))), "")
    return _finish(source, draft, members, columns, title) if draft else None


def _finish(source: RecordSource, draft: Draft, members: list[Record], columns: Columns, title: str) -> Document | None:
    if not draft.segments:
        return None
    first = members[0]
    moments = [m for r in members if columns.date and (m := parse_moment(r.get(columns.date)))]
    people = [clean_value(_text(r, columns.author))[:80] for r in members] if columns.author else []
    opening = draft.segments[0]
    return Document(
        address="",
        kind=_kind(source, first, columns),
        format=source.form,
        title=clean_value(title)[:300] or short_title(draft.text[opening.start : opening.end]),
        text=draft.text,
        segments=tuple(draft.segments),
        occurred_at=moments[0] if moments else date_in_name(source.path),
        people=unique_names([*people, *(segment.speaker for segment in draft.segments)]),
        metadata=_metadata(members, columns),
    )


def _kind(source: RecordSource, record: Record, columns: Columns) -> Kind:
    said = as_kind(_text(record, columns.kind)) if columns.kind else None
    named = kind_from_path(source.path)
    return said or named or columns.default_kind or ("chat" if columns.group else "document")


def _metadata(members: list[Record], columns: Columns) -> dict[str, Any]:
    """All other columns that are filled; in a group only those on which all rows agree."""
    spoken = {*columns.texts, *columns.ours}
    metadata = {}
    for name, value in members[0].items():
        alike = len(members) == 1 or all(member.get(name) == value for member in members)
        if name not in spoken and alike and value not in (None, "", []):
            metadata[clean_value(name)[:80]] = plain_value(value)
    return metadata
