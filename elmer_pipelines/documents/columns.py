"""Which column of a table, or field of a record, is the text, the id, the date, the author: configured or found.

What columns are called is in column_names.py; making documents of the records in records.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents import column_names
from elmer_pipelines.documents.column_names import called, forms, words_of
from elmer_pipelines.documents.kinds import kind_from_words
from elmer_pipelines.documents.moments import parse_moment
from elmer_pipelines.documents.voices import role_is_ours
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from elmer_pipelines.documents.model import Kind
    from elmer_pipelines.documents.options import TableOptions

Record = dict[str, Any]

_TICKET_WORDS = frozenset({"ticket", "priority", "assignee", "resolution", "case", "prioritat", "priorite"})
_REVIEW_WORDS = frozenset(
    {
        "review", "rating", "stars", "score", "nps", "csat", "survey", "feedback", "verbatim", "bewertung", "sterne",
        "avis", "etoiles", "resena", "estrellas", "recensione", "stelle", "レビュー", "评价", "리뷰",
    }
)  # fmt: skip
_SAMPLE = 200
_DATED = 0.6  # a column of dates is one where at least this share of what is filled can be read as such
_OWN = 0.95  # an id that only looks like one has to tell (nearly) all records apart


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


def find_columns(path: str, names: Sequence[str], records: Sequence[Record], options: TableOptions) -> Columns | None:
    """The part each column plays, None when no column holds text.

    Raises UnreadableDocument (broken) when a configured column is not in the table.
    """
    for wanted in (options.text, options.id, options.date, options.author, options.kind, options.group):
        if wanted is not None and wanted not in names:
            raise _no_such_column(path, wanted, names)
    sample = records[:_SAMPLE]
    ours = tuple(name for name in called(names, column_names.OURS, looseness=3) if name != options.text)
    free = [name for name in names if name not in ours]
    text = options.text or _find_text(free, sample)
    if text is None:
        return None
    others = [name for name in names if name != text]
    # a table with both "subject" and "title" keeps the first as its title
    title = next(called(others, column_names.TITLES), None)
    date = options.date or _find_date(others, sample)
    author = options.author or _find_author([name for name in others if name not in (title, date)], sample)
    columns = Columns(
        texts=tuple(sorted([text, *_more_texts(free, sample, {text, title, author, date})], key=list(names).index)),
        ours=ours,
        id=options.id or _find_id([name for name in others if name not in (date, author)], records),
        title=title,
        date=date,
        author=author,
        role=_first(called(others, column_names.ROLES, looseness=2), sample),
        kind=options.kind or _first(called(others, column_names.KINDS, looseness=2), sample),
        default_kind=_kind_of(names),
    )
    group = options.group or _find_group(names, records, columns)
    role = columns.role if group or _tells_sides(columns.role, records) else None
    return Columns(**{**columns.__dict__, "group": group, "role": role})


def _no_such_column(path: str, wanted: str, names: Sequence[str]) -> UnreadableDocument:
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    return UnreadableDocument(
        "broken",
        f"{path} has no column {wanted!r}; it has {shown}.",
        next_step="Correct [[documents.tables]] in workspace.toml.",
    )


def _filled(name: str, sample: Sequence[Record]) -> list[str]:
    return [str(r[name]) for r in sample if r.get(name) not in (None, "")]


def _first(found: Iterable[str], sample: Sequence[Record]) -> str | None:
    """The first column that is filled somewhere."""
    return next((name for name in found if _filled(name, sample)), None)


def _find_text(names: Sequence[str], sample: Sequence[Record]) -> str | None:
    known = [name for name in called(names, column_names.TEXT) if _filled(name, sample)]
    exact = next((name for name in known if _is_prose(name, sample, least=1.5)), None)
    if exact is not None:
        return exact
    about_text = [name for name in names if column_names.TEXT_WORDS & set(words_of(name).split())]
    likely = [name for name in about_text if _is_prose(name, sample)]
    likely = likely or [name for name in names if _is_prose(name, sample)]
    return max(likely, key=lambda name: _mean_words(name, sample), default=next(iter(known), None))


def _find_date(names: Sequence[str], sample: Sequence[Record]) -> str | None:
    """By name, if its values are dates; else the one column of dates there is, unless it is about another moment."""
    by_name = [one for one in called(names, column_names.DATES) if _is_own_moment(one)]
    by_name += [name for name in names if column_names.names_a_moment(name)]
    found = next((name for name in by_name if _is_dated(name, sample)), None)
    if found is not None:
        return found
    dated = [name for name in names if _is_dated(name, sample, numbers=False)]
    return dated[0] if len(dated) == 1 and not column_names.names_another_moment(dated[0]) else None


def _is_own_moment(name: str) -> bool:
    return forms(name)[0] in column_names.DATES or not column_names.names_another_moment(name)


def _is_dated(name: str, sample: Sequence[Record], *, numbers: bool = True) -> bool:
    """Whether most of a column's first values are dates; with `numbers` those that may be Unix time too."""
    values = [r[name] for r in sample if r.get(name) not in (None, "")][:20]
    if not numbers:
        values = ["" if str(value).replace(".", "").isdecimal() else value for value in values]
    return bool(values) and sum(parse_moment(value) is not None for value in values) >= _DATED * len(values)


def _find_author(names: Sequence[str], sample: Sequence[Record]) -> str | None:
    known = [one for one in called(names, column_names.AUTHORS) if _is_about_a_person(one)]
    return _first([*known, *(name for name in names if column_names.names_a_person(name))], sample)


def _is_about_a_person(name: str) -> bool:
    """`Customer name` is; a `Survey name` is not who answered."""
    return forms(name)[-1] != "name" or column_names.names_a_person(name)


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
        asked = words.endswith("?") or words in column_names.MORE_TEXT
        if name not in taken and asked and _is_prose(name, sample, least=2.0):
            more.append(name)
    return more


def _find_id(names: Sequence[str], records: Sequence[Record]) -> str | None:
    """A column named like an id most of whose values differ; below half they name something else.

    One whose name only ends like an id's has to tell the records apart. A running number is none: it is a row's place.
    """
    own = [name for name in names if not column_names.names_another_thing(name)]
    found = next((name for name in called(own, column_names.IDS) if _is_id(name, records, 0.5)), None)
    likely = (name for name in own if column_names.names_an_id(name) and not _is_prose(name, records[:_SAMPLE], 2.5))
    return found or next((name for name in likely if _is_id(name, records, _OWN)), None)


def _is_id(name: str, records: Sequence[Record], least: float) -> bool:
    values = [record.get(name) for record in records]
    filled = {str(value) for value in values if value not in (None, "")}
    if len(filled) < max(1, least * len(values)):
        return False
    return not (column_names.names_a_place(name) and _is_running(values))


def _is_running(values: Sequence[Any]) -> bool:
    return [str(value) for value in values] == [str(number) for number in range(1, len(values) + 1)]


def _find_group(names: Sequence[str], records: Sequence[Record], columns: Columns) -> str | None:
    """A column that ties rows to one conversation: named so, repeated, and with speakers to tell apart."""
    if columns.author is None and columns.role is None:
        return None
    for name in called(names, column_names.GROUPS, looseness=2):
        if name in columns.texts:
            continue
        values = [str(record.get(name)) for record in records if record.get(name) not in (None, "")]
        if values and len(set(values)) < 0.8 * len(values):
            return name
    return None


def _tells_sides(role: str | None, records: Sequence[Record]) -> bool:
    """Whether a role column says who asks and who answers; else, as in a survey, it is the customers' own jobs."""
    return role is not None and any(role_is_ours(str(record.get(role) or "")) is False for record in records)


def _kind_of(names: Sequence[str]) -> Kind | None:
    words = {word for name in names for form in forms(name)[:2] for word in form.split()}
    if words & _TICKET_WORDS:
        return "ticket"
    if words & _REVIEW_WORDS:
        return "review"
    return kind_from_words(" ".join(sorted(words & {"interview", "call", "chat", "email", "conversation"})))
