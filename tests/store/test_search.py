"""Search on a real database: languages, filters, routes of the statement, hostile words, merged signals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from story import FixedEmbedder, Story, at_angle

from elmer_pipelines.ids import text_hash
from elmer_pipelines.store import embeddings, search, signals
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.search import Query
from elmer_pipelines.store.search_filters import Scope, with_descendants

MODEL = FixedEmbedder.model


def found(story: Story, words: str = "", vector: list[float] | None = None, **scope: Any) -> list[dict[str, Any]]:
    with story.database.begin() as connection:
        return search.hybrid(connection, story.workspace_id, Query(words, vector, MODEL), Scope(**scope), 50)


def ids(story: Story, words: str = "", vector: list[float] | None = None, **scope: Any) -> list[str]:
    return [one["signal_id"] for one in found(story, words, vector, **scope)]


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("I can't find the button that was there before", "english"),
        ("Ich finde den Knopf nicht mehr, der vorher da war", "german"),
        ("Je ne trouve plus le bouton qui était dans la page", "french"),
        ("No encuentro el botón que estaba en la página", "spanish"),
        ("Я не могу найти кнопку, которая была на этой странице", "russian"),
        ("ボタンが見つかりません", "simple"),
        ("Kann speichern", "simple"),  # one stop word is too little
        ("", "simple"),
    ],
)
def test_a_text_is_in_the_language_of_most_of_its_stop_words(database: Database, words: str, language: str) -> None:
    with database.begin() as connection:
        told = connection.execute(text("SELECT elmer.language_of(:t, 'simple')"), {"t": words}).scalar_one()
    assert told == language


def test_a_short_quote_is_in_its_documents_language(database: Database) -> None:
    story = Story(database)
    story.document("gespräch.md", "Wir haben das alles schon gesehen und es ist nicht gut für die Leute.")
    story.run(
        'INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, "end", verbatim, text_hash, '
        "match, extractor) SELECT workspace_id, 'S-1', id, content_hash, 0, 5, 'Terminen fehlen', 'h', 'exact', 'x' "
        "FROM elmer.documents WHERE workspace_id = :w"
    )
    assert story.run("SELECT language FROM elmer.signals WHERE workspace_id = :w") == [("german",)]
    assert ids(story, "Termine fehlten") == ["S-1"]


def test_words_are_found_in_the_form_their_language_gives_them(database: Database) -> None:
    story = Story(database)
    english = story.signal("All of my appointments were doubled by the sync and I had to delete them")
    german = story.signal("Die Verabredungen werden doppelt angezeigt und ich muss sie alle löschen")
    unknown = story.signal("予定 appointments")
    assert ids(story, "appointment") == [english]  # of a language not known, words stand as they are
    assert set(ids(story, "appointments")) == {english, unknown}
    assert ids(story, "Verabredung löscht") == [german]
    assert ids(story, "the of and") == []


def test_a_result_says_which_list_it_is_in(database: Database) -> None:
    story = Story(database)
    both = story.signal("The invoice export is broken and I can not use it", vector=at_angle(1.0))
    meant = story.signal("Bookkeeping gets nothing from us any more", vector=at_angle(0.9))
    said = story.signal("The invoice is blue and that is what I like about it")
    rows = {one["signal_id"]: one for one in found(story, "invoice export", at_angle(1.0))}
    assert next(iter(rows)) == both
    why = {one: (row["word_rank"], row["vector_rank"], row["similarity"]) for one, row in rows.items()}
    assert why == {both: (1, 1, pytest.approx(1, abs=0.001)), meant: (None, 2, pytest.approx(0.9, abs=0.001)),
                   said: (2, None, None)}  # fmt: skip


def test_rare_words_tell_more_than_common_ones(database: Database) -> None:
    story = Story(database)
    for number in range(40):
        story.signal(f"The invoice export is late again, number {number}")
    rare = story.signal("There is a zebra in the hall, and nobody of those who were asked knows where it came from")
    database.analyse()
    assert ids(story, "zebra invoice")[0] == rare
    assert ids(story, "late export of the invoice")[0] != rare


def test_a_place_among_words_counts_by_the_share_of_the_query_that_was_said(database: Database) -> None:
    story = Story(database)
    for number in range(20):
        story.signal(f"Please tell the driver about stop {number}", vector=at_angle(0.1))
    meant = story.signal("Reservations vanish from the calendar", vector=at_angle(1.0))
    near = story.signal("A booking disappears", vector=at_angle(0.95))
    exact = story.signal("The zebra crossing is closed", vector=at_angle(0.0))
    database.analyse()
    asked = "please tell me why my table in the restaurant is cancelled"
    assert {meant, near} <= set(ids(story, asked, at_angle(1.0))[:3]), "common words outvote no meaning"
    assert exact in ids(story, "zebra crossing", at_angle(1.0))[:3], "all that was asked for is said"


def test_filters_hold_together_and_a_persons_edits_count(database: Database) -> None:
    story = Story(database)
    may, june = datetime(2026, 5, 3, tzinfo=UTC), datetime(2026, 6, 20, tzinfo=UTC)
    one = story.signal("sync one", severity="high", segment="Admin", address="calls/a.md", kind="call", occurred_at=may)
    two = story.signal("sync two", severity="low", segment="Admin", edits='{"severity": "high"}', occurred_at=june)
    three = story.signal("sync three", status="archived", occurred_at=None)  # its document was heard on May 3
    four = story.signal("sync four", severity="high", edits='{"segment": "Nurse", "severity": "low"}', occurred_at=june)
    project = story.project("Calendar")
    story.link(one, project)
    story.link(three, project)
    cluster = story.cluster("doubled", [two, three])
    for scope, expected in (
        ({}, {one, two, three, four}),
        ({"severity": ["high"]}, {one, two}),
        ({"severity": ["none"]}, {three}),
        ({"severity": ["low", "none"]}, {three, four}),
        ({"segment": ["admin"]}, {one, two}),
        ({"segment": ["Nurse"]}, {four}),
        ({"status": ["archived"]}, {three}),
        ({"source": ["call"]}, {one}),
        ({"source": ["calls/"]}, {one}),
        ({"source": ["call", "notes/"]}, {one, two, three, four}),
        ({"project_ids": [project]}, {one, three}),
        ({"cluster_ids": [cluster]}, {two, three}),
        ({"project_ids": [project], "cluster_ids": [cluster]}, {three}),
        ({"since": june}, {two, four}),
        ({"until": june}, {one, three}),
        ({"since": june, "severity": ["high"]}, {two}),
        ({"severity": ["high"], "status": ["archived"]}, set()),
    ):
        assert set(ids(story, "sync", **scope)) == expected, scope
        with database.begin() as connection:
            assert search.count(connection, "acme", Scope(**scope)) == len(expected), scope


def test_a_cluster_stands_for_those_below_it(database: Database) -> None:
    story = Story(database)
    story.cluster("area", [])
    story.cluster("need", [])
    story.run("UPDATE elmer.clusters SET parent_id = 'C-area' WHERE workspace_id = :w AND id = 'C-need'")
    with database.begin() as connection:
        assert with_descendants(connection, "acme", ["C-area"]) == ["C-area", "C-need"]
        assert with_descendants(connection, "other", ["C-area"]) == []


def test_retired_and_merged_signals_are_not_found(database: Database) -> None:
    story = Story(database)
    kept = story.signal("The calendar sync doubles all of it", vector=at_angle(1.0))
    merged = story.signal("The calendar sync doubles all of it!", vector=at_angle(1.0))
    gone = story.signal("The calendar sync doubles all of it?", vector=at_angle(1.0))
    story.run("UPDATE elmer.signals SET merged_into = :k WHERE workspace_id = :w AND id = :m", k=kept, m=merged)
    story.run("UPDATE elmer.signals SET retired_at = now() WHERE workspace_id = :w AND id = :g", g=gone)
    assert ids(story, "calendar", at_angle(1.0)) == [kept]
    with database.begin() as connection:
        (row,) = signals.live(connection, "acme")
    assert (row["id"], row["said"], row["merged_into"]) == (kept, 2, None)


@pytest.mark.parametrize(
    "words",
    ["'); DROP TABLE elmer.signals; --", "a & | ! ( :* <-> )", "\\", "'", "''\\'", "\x00", "%s :w {0}", "🙂",
     "a\ud800b", "in workspace acme", "<b>x</b> &amp; http://x/?a=1&b=2|3", "word " * 100_000, "x" * 500_000],
)  # fmt: skip
def test_hostile_words_are_only_looked_for(database: Database, words: str) -> None:
    story = Story(database)
    story.signal("Nothing of the kind is in this one")
    assert found(story, words) == []
    with database.begin() as connection:
        assert search.marked(connection, "acme", ["S-1"], words) == {}
    assert story.run("SELECT count(*) FROM elmer.signals WHERE workspace_id = :w") == [(1,)]


def test_the_words_looked_for_are_marked_where_they_stand(database: Database) -> None:
    story = Story(database)
    plain = story.signal("I lose the appointments, every appointment, on the train")
    marked_up = story.signal("The <b>appointment</b> is in the wrong place for me")
    with database.begin() as connection:
        spans = search.marked(connection, "acme", [plain, marked_up], "appointments lost")
    words = "I lose the appointments, every appointment, on the train"
    assert [words[start:end] for start, end in spans[plain]] == ["appointments", "appointment"]
    assert spans[marked_up] == [[7, 18]]


def _crowd(story: Story, number: int, seed: int) -> np.ndarray:
    """Signals with random vectors of 16 numbers; one in a hundred is of the segment `rare`, half are `even`."""
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((number, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    story.document("crowd.md", "crowd")
    texts = [f"{story.workspace_id} crowd {n}" for n in range(number)]
    story.run(
        "INSERT INTO elmer.signals (workspace_id, id, document_id, content_hash, start, \"end\", verbatim, text_hash, "
        "match, extractor, segment) SELECT d.workspace_id, 'S-' || n, d.id, d.content_hash, 0, 1, t, h, 'exact', 'x', "
        "CASE WHEN n % 100 = 1 THEN 'rare' WHEN n % 2 = 0 THEN 'even' END FROM elmer.documents d, "
        "unnest(CAST(:texts AS text[]), CAST(:hashes AS text[])) WITH ORDINALITY AS u (t, h, n) "
        "WHERE d.workspace_id = :w",
        texts=texts, hashes=[text_hash(one) for one in texts],
    )  # fmt: skip
    with story.database.begin() as connection:
        rows = dict(zip(map(text_hash, texts), vectors, strict=True))
        embeddings.insert(connection, story.workspace_id, "test/crowd", rows)
        embeddings.ensure_index(connection, "test/crowd", 16)
    return vectors


def test_the_index_misses_little_and_few_signals_are_compared_one_by_one(database: Database) -> None:
    large, small = Story(database, "large"), Story(database, "small")
    vectors = _crowd(large, 3_000, seed=1)
    _crowd(small, 60, seed=2)  # one in fifty vectors of the index is its own
    database.analyse()
    for story, scope, least in (
        (large, Scope(), 0.95),
        (large, Scope(segment=["even"]), 0.95),
        (large, Scope(segment=["rare"]), 1.0),
        (small, Scope(), 1.0),
    ):
        recalls = []
        for vector in vectors[:25]:
            with database.begin() as connection:
                near, true = (
                    {
                        one["signal_id"]
                        for one in search.hybrid(
                            connection, story.workspace_id, Query("", vector.tolist(), "test/crowd"), scope, exact=exact
                        )
                    }
                    for exact in (False, True)
                )
            assert len(true) == 10
            recalls.append(len(near & true) / 10)
        assert np.mean(recalls) >= least, (story.workspace_id, scope)


def test_projects_are_found_by_words_and_vectors(database: Database) -> None:
    story = Story(database)
    calendar = story.project("Calendar sync", "Appointments must not be doubled", vector=at_angle(0.4))
    invoices = story.project("Invoice export", "Accounting gets every row", vector=at_angle(0.9))
    both = {
        one: (words, text_hash(words))
        for one, words in (
            (calendar, "Calendar sync\nAppointments must not be doubled"),
            (invoices, "Invoice export\nAccounting gets every row"),
        )
    }
    with database.begin() as connection:
        by_words = search.projects(connection, "acme", Query("appointment"), both)
        by_vector = search.projects(connection, "acme", Query("", at_angle(1.0), MODEL), both)
        assert search.projects(connection, "acme", Query("appointment"), {}) == []
    assert [(one["project_id"], one["word_rank"], one["vector_rank"]) for one in by_words] == [(calendar, 1, None)]
    assert [(one["project_id"], round(one["similarity"], 2)) for one in by_vector] == [(invoices, 0.9), (calendar, 0.4)]
