"""Searching as people ask: their filters turned into ids, the query embedded where that works, and what came of it.

The statement itself is `store/search.py`; what a result looks like is the command's matter.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import ModelFault, NotFoundError
from elmer_pipelines.signals.model import SEVERITIES
from elmer_pipelines.store import projects as project_store
from elmer_pipelines.store import search as store
from elmer_pipelines.store import search_filters, signals
from elmer_pipelines.store.search import Query
from elmer_pipelines.store.search_filters import UNCLEAR, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.pipeline import Pipeline

STATUSES = ("new", "reviewed", "linked", "archived")
_EMBEDDED = 4_000  # characters of a query that are embedded; more is a document, not a question
_NAMED = 12  # values that a message lists

Day = datetime | date | str


@dataclass(frozen=True)
class Filters:
    """What a search is limited to; values of one filter are alternatives, all filters must hold, none means all.

    `severity` and `segment` as people see them (their edits count; `none` where unclear); `source` a kind of document,
    a file's path, or how addresses begin; `project` and `cluster` an id or a name, a cluster with all below it;
    `since` and `until` days (both included, UTC) or moments (the last not included).
    """

    severity: Sequence[str] = ()
    segment: Sequence[str] = ()
    source: Sequence[str] = ()
    status: Sequence[str] = ()
    project: Sequence[str] = ()
    cluster: Sequence[str] = ()
    since: Day | None = None
    until: Day | None = None

    @classmethod
    def of(cls, **values: Any) -> Filters:
        """Filters of keyword arguments: a text stands for a list of one. Raises TypeError for another name."""
        dates = ("since", "until")
        chosen: dict[str, Any] = {
            name: value if name in dates else (value,) if isinstance(value, str) else tuple(value or ())
            for name, value in values.items()
        }
        return cls(**chosen)

    def given(self) -> list[str]:
        """The names of the filters that are set."""
        return [one.name for one in fields(self) if getattr(self, one.name)]


@dataclass
class Found:
    """Rows, best first, and what a person should know about how they were found."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def search(pipeline: Pipeline, workspace_id: str, words: str, filters: Filters, limit: int) -> Found:
    """Signals by words and by meaning; by words alone, and saying so, where the query can't be embedded.

    Raises NotFoundError for a filter's value that there is not.
    """
    found = Found()
    words = words.replace("\x00", " ").strip()
    with pipeline.database.begin() as connection:
        scope = resolve(connection, workspace_id, filters)
    if not words:
        return Found([], ["There is nothing to look for: give some words."])
    query = _query(pipeline, workspace_id, words, found)
    with pipeline.database.begin() as connection:
        found.rows = _rows(connection, workspace_id, query, scope, limit)
        if not found.rows:
            found.notes += _what_to_relax(connection, workspace_id, filters)
    return found


def more_like(pipeline: Pipeline, workspace_id: str, signal_id: str, filters: Filters, limit: int) -> Found:
    """Signals that mean what this one means, by its stored vector; no model is asked.

    Raises NotFoundError for a signal, or a filter's value, that there is not.
    """
    model = pipeline.embedder.model
    found = Found()
    with pipeline.database.begin() as connection:
        own = signals.live(connection, workspace_id, [signal_id], retired=True)
        if not own:
            raise NotFoundError(f"Workspace {workspace_id!r} has no signal {signal_id}; {_instead(signal_id)}")
        vector = store.vector_of(connection, workspace_id, model, own[0]["text_hash"])
        words = ""
        if vector is None:
            words = own[0]["verbatim"]
            found.notes.append(f"{signal_id} has no vector of {model} yet (elmer run makes it): found by its words.")
        query = Query(words, vector, model, besides=signal_id)
        scope = resolve(connection, workspace_id, filters)
        found.rows = _rows(connection, workspace_id, query, scope, limit)
        if not found.rows:
            found.notes += _what_to_relax(connection, workspace_id, filters)
    return found


def _instead(record_id: str) -> str:
    """What to do with an id that is no signal's."""
    if record_id.startswith("P-"):
        return f"that is a project's id: elmer search --projects --like {record_id}."
    if record_id.startswith("C-"):
        return f"that is a cluster's id: elmer clusters show {record_id} has its signals."
    return "`elmer search` shows ids."


def similar_projects(pipeline: Pipeline, workspace_id: str, like: str, limit: int) -> Found:
    """Projects like a project (by its id or name) or about some words, with why: ranks, similarity.

    Raises NotFoundError for a project's id that there is not.
    """
    found = Found()
    with pipeline.database.begin() as connection:
        projects = {one.id: one for one in project_store.live(connection, workspace_id)}
        named = (one.id for one in projects.values() if one.name.lower() == like.strip().lower())
        own = projects.pop(like if like in projects else next(named, ""), None)
        if own is not None:
            model = pipeline.embedder.model
            query = Query(own.text, store.vector_of(connection, workspace_id, model, own.text_hash), model)
        elif like.startswith("P-"):
            raise NotFoundError(f"Workspace {workspace_id!r} has no project {like}.{_nearest(like, list(projects))}")
    if own is None:
        query = _query(pipeline, workspace_id, like, found)
    texts = {one.id: (one.text, one.text_hash) for one in projects.values()}
    with pipeline.database.begin() as connection:
        ranked = store.projects(connection, workspace_id, query, texts, limit)
    for one in ranked:
        project = projects[one.pop("project_id")]
        shown = {key: getattr(project, key) for key in ("id", "name", "description", "stage", "origin")}
        found.rows.append({**one, **shown})
    return found


def _query(pipeline: Pipeline, workspace_id: str, words: str, found: Found) -> Query:
    """The query with its vector, or without one and a note that says why."""
    model = pipeline.embedder.model
    with pipeline.database.begin() as connection:
        there = store.has_vectors(connection, workspace_id, model)
    if not there:
        found.notes.append(f"Found by words alone: nothing has a vector of {model} yet. elmer run makes them.")
        return Query(words)
    ledger = pipeline.ledger(workspace_id, "search")
    try:
        vector = pipeline.recorded_embedder(ledger).embed([words[:_EMBEDDED]])[0].tolist()
    except ModelFault as fault:
        found.notes.append(f"Found by words alone, the query has no vector: {fault} {fault.next_step}")
        return Query(words)
    finally:
        ledger.flush()
    return Query(words, vector, model)


def _rows(connection: Connection, workspace_id: str, query: Query, scope: Scope, limit: int) -> list[dict[str, Any]]:
    ranked = store.hybrid(connection, workspace_id, query, scope, limit)
    ids = [one["signal_id"] for one in ranked]
    rows = {row["id"]: row for row in signals.live(connection, workspace_id, ids)}
    matches = store.marked(connection, workspace_id, ids, query.words) if query.words else {}
    why = ("score", "word_rank", "vector_rank", "similarity")
    return [
        {**{key: one[key] for key in why}, **rows[one["signal_id"]], "matches": matches.get(one["signal_id"], [])}
        for one in ranked
        if one["signal_id"] in rows
    ]


def _what_to_relax(connection: Connection, workspace_id: str, filters: Filters) -> list[str]:
    """Which filter, left out, lets signals through; or that none at all is alone to blame."""
    given = filters.given()
    if not given or store.count(connection, workspace_id, resolve(connection, workspace_id, filters)):
        return ["No signal has these words."]
    hints = []
    for name in given:
        without: dict[str, Any] = {name: None if name in ("since", "until") else ()}
        less = replace(filters, **without)
        left = store.count(connection, workspace_id, resolve(connection, workspace_id, less))
        if left:
            hints.append(f"without --{name} {left:,} signals are left")
    if not hints:
        return [f"No signal passes these filters, and leaving out one alone helps not: {', '.join(given)}."]
    return [f"No signal passes all these filters: {'; '.join(hints)}."]


def resolve(connection: Connection, workspace_id: str, filters: Filters) -> Scope:
    """The filters in ids and stored values. Raises NotFoundError that names what there is."""
    segments = search_filters.offered(connection, workspace_id, "segment") if filters.segment else {}
    known = {one.lower(): one for one in [*segments, UNCLEAR]}
    scope = Scope(
        severity=[_one_of("severity", one, [*SEVERITIES, UNCLEAR]) for one in filters.severity],
        segment=[known[_one_of("segment", one.lower(), list(known))] for one in filters.segment],
        status=[_one_of("status", one, STATUSES) for one in filters.status],
        source=[_source(connection, workspace_id, one) for one in filters.source],
        project_ids=_ids(connection, workspace_id, "project", filters.project),
        since=_moment("since", filters.since, after=False),
        until=_moment("until", filters.until, after=True),
    )
    if scope.since and scope.until and scope.since >= scope.until:
        raise NotFoundError(f"No day is in both: --since {filters.since} is after --until {filters.until}.")
    clusters = _ids(connection, workspace_id, "cluster", filters.cluster)
    return replace(scope, cluster_ids=search_filters.with_descendants(connection, workspace_id, clusters) or clusters)


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value in known:
        return value
    raise NotFoundError(f"There is no {name} {value[:80]!r}.{_nearest(value, known)}")


def _nearest(value: str, known: Sequence[str]) -> str:
    """What was meant, perhaps, and what there is."""
    near = difflib.get_close_matches(value[:200], known, n=1, cutoff=0.6)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    there = f" There are: {', '.join(known[:_NAMED])}{more}." if known else " There are none yet."
    return meant + there


def _source(connection: Connection, workspace_id: str, value: str) -> str:
    kinds = search_filters.offered(connection, workspace_id, "kind")
    if value in kinds or (value and search_filters.sources_begin(connection, workspace_id, value)):
        return value
    files = search_filters.offered(connection, workspace_id, "file")
    raise NotFoundError(f"There is no source {value[:80]!r}.{_nearest(value, [*kinds, *files])}")


def _ids(connection: Connection, workspace_id: str, what: str, values: Sequence[str]) -> list[str]:
    """Ids of what people named by id or by name, whatever its case."""
    if not values:
        return []
    there = search_filters.offered(connection, workspace_id, what)
    found: list[str] = []
    for value in values:
        named = [one for one, name in there.items() if value == one or (name or "").lower() == value.lower()]
        if not named:
            names = [name or one for one, name in there.items()]
            raise NotFoundError(f"There is no {what} {value[:80]!r}.{_nearest(value, names)}")
        found += named
    return found


def _moment(name: str, value: Day | None, *, after: bool) -> datetime | None:
    """A day's first moment, or with `after` that of the day after it; a moment stays. UTC where nothing is said."""
    if isinstance(value, str):
        whole = len(value.strip()) <= len("2026-05-31")
        try:
            value = date.fromisoformat(value.strip()) if whole else datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise NotFoundError(f"--{name} {str(value)[:40]!r} is no date: write it as 2026-05-31.") from error
    if value is None or isinstance(value, datetime):
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
    start = datetime.combine(value, time(), UTC)
    return start + timedelta(days=1) if after and value < date.max else start
