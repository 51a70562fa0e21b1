"""Markdown and plain text: front matter, headings, paragraphs, list items, table cells, turns of speech.

Also used for what other readers turn into Markdown (office.py) and for long cells of tables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.draft import file_title, short_title, unique_names
from elmer_pipelines.documents.front_matter import FrontMatter, split_front_matter
from elmer_pipelines.documents.guards import no_text
from elmer_pipelines.documents.kinds import kind_from_path
from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.documents.moments import parse_moment
from elmer_pipelines.documents.turns import Turn, find_turns
from elmer_pipelines.documents.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from elmer_pipelines.documents.model import Kind
    from elmer_pipelines.documents.options import ReadingOptions

_BLOCK = re.compile(r"\S[^\n]*(?:\n[ \t]*[^\s][^\n]*)*")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]+(?P<title>[^\n]*)$")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?)+")
_RULE = re.compile(r"[ \t]*(?:[-*_=~][ \t]*){3,}$")
_TABLE_RULE = re.compile(r"[ \t:|-]+$")
_COMMENT = re.compile(r"[ \t]*<!--[^\n]*-->[ \t]*$")
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d-[01]\d-[0-3]\d)(?!\d)")


def read_plain(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document: the text after the front matter, as it stands in the file."""
    front, body = split_front_matter(decode(path, data))
    return [text_document(path, body, front=front, form="markdown" if is_markdown(path) else "text")]


def is_markdown(path: str) -> bool:
    """Whether the name says Markdown."""
    return path.lower().endswith((".md", ".markdown"))


def text_document(
    path: str,
    text: str,
    *,
    form: str,
    front: FrontMatter | None = None,
    title: str | None = None,
    default_kind: Kind = "document",
    metadata: dict[str, Any] | None = None,
) -> Document:
    """A document of one text whose segments are found in it.

    Raises UnreadableDocument (no_text) when nothing but white space and marks is left.
    """
    front = front or FrontMatter()
    segments = find_segments(text, Voices(front.ours, front.customers))
    if not segments:
        raise no_text(path)
    spoken = any(segment.speaker for segment in segments)
    return Document(
        address=path,
        kind=front.kind or kind_from_path(path) or ("interview" if spoken else default_kind),
        format=form,
        title=front.title or title or _first_heading(text) or file_title(path),
        text=text,
        segments=tuple(segments),
        occurred_at=front.occurred_at or date_in_name(path),
        people=unique_names([*front.people, *(segment.speaker for segment in segments)]),
        metadata={**(metadata or {}), **front.metadata},
    )


def date_in_name(path: str) -> datetime | None:
    """The day in a file's name (`2026-03-01-call.md`) in UTC, None without one."""
    found = _DATE_IN_NAME.search(path.rsplit("/", 1)[-1])
    return parse_moment(found[1]) if found else None


def _first_heading(text: str) -> str | None:
    for line in text[:4000].split("\n"):
        if (found := _HEADING.match(line)) and found["title"].strip("# \t"):
            return short_title(found["title"].rstrip("# \t").replace("*", ""))
    return None


def find_segments(text: str, voices: Voices) -> list[Segment]:
    """Segments of a text in order: turns of speech, else paragraphs, list items and table cells.

    Headings are no segments but name those below them; only a text of nothing but headings has them as segments.
    """
    turns = find_turns(text, voices)
    segments = list(_spoken(text, turns, voices) if turns else _written(text, 0, len(text), None))
    return segments or [s for s in _bare_lines(text) if any(c.isalnum() for c in text[s.start : s.end])]


def _spoken(text: str, turns: list[Turn], voices: Voices) -> Iterator[Segment]:
    yield from _written(text, 0, turns[0].start, None)
    heading: str | None = None
    for turn, following in zip(turns, [*(t.start for t in turns[1:]), len(text)], strict=True):
        ours = not voices.is_customer(turn.speaker, turn.role)
        for segment in _written(text, turn.words, following, heading):
            # after a heading inside the turn nobody is known to speak
            same = segment.heading == heading
            yield Segment(
                segment.start,
                segment.end,
                speaker=turn.speaker if same else None,
                is_customer=not (ours and same),
                heading=segment.heading,
                time=turn.time if same else None,
            )
        heading = _last_heading(text[turn.words : following]) or heading


def _last_heading(text: str) -> str | None:
    if "#" not in text:
        return None
    found = [m["title"] for line in text.split("\n") if (m := _HEADING.match(line))]
    return short_title(found[-1].rstrip("# \t")) if found else None


def _written(text: str, start: int, end: int, heading: str | None) -> Iterator[Segment]:
    """Paragraphs and their kin between two offsets."""
    for block in _BLOCK.finditer(text, start, end):
        paragraph: int | None = None
        columns: list[str] | None = None
        position = block.start()
        for line in block[0].split("\n"):
            line_end = position + len(line)
            found = _HEADING.match(line)
            alone = found or _RULE.match(line) or _COMMENT.match(line) or line.lstrip().startswith("|")
            if paragraph is not None and (alone or _ITEM.match(line)):
                yield from _trimmed(text, paragraph, position, heading)
                paragraph = None
            if found:
                heading = short_title(found["title"].rstrip("# \t")) or heading
            elif line.lstrip().startswith("|"):
                if not _TABLE_RULE.match(line):
                    yield from _cells(text, position, line_end, columns, heading)
                    columns = columns or [cell.strip() for cell in line.strip().strip("|").split("|")]
            elif not alone and paragraph is None:
                mark = _ITEM.match(line) or _QUOTE.match(line)
                paragraph = position + (mark.end() if mark else 0)
            position = line_end + 1
        if paragraph is not None:
            yield from _trimmed(text, paragraph, block.end(), heading)


def _cells(text: str, start: int, end: int, columns: list[str] | None, heading: str | None) -> Iterator[Segment]:
    """The cells of one table row; the first row's cells name the columns."""
    inner = text.find("|", start, end) + 1
    column = 0
    while inner < end:
        close = text.find("|", inner, end)
        close = end if close < 0 else close
        named = columns[column] if columns and column < len(columns) else None
        if columns is not None:
            yield from _trimmed(text, inner, close, named or heading)
        inner, column = close + 1, column + 1


def _trimmed(text: str, start: int, end: int, heading: str | None) -> Iterator[Segment]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if any(text[i].isalnum() for i in range(start, end)):
        yield Segment(start, end, heading=heading)


def _bare_lines(text: str) -> Iterator[Segment]:
    position = 0
    for line in text.split("\n"):
        mark = _HEADING.match(line)
        yield from _trimmed(text, position + (mark.start("title") if mark else 0), position + len(line), None)
        position += len(line) + 1
