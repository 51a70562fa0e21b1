"""A person's pins hold, in clusterings and in placing, and what can't be honoured is refused with the reason."""

from __future__ import annotations

import pytest
from corpus import Corpus
from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.clusters import pinning
from elmer_pipelines.clusters.clustering import cluster_signals
from elmer_pipelines.clusters.pins import Pin, contradiction, honour
from elmer_pipelines.errors import NotFoundError, PinError
from elmer_pipelines.store.database import Database


def together(number: int, one: str, other: str) -> Pin:
    return Pin(number, "together", one, other)


def apart(number: int, one: str, other: str) -> Pin:
    return Pin(number, "apart", one, other)


def belongs(number: int, one: str, cluster: str) -> Pin:
    return Pin(number, "belongs", one, cluster_id=cluster)


@pytest.mark.parametrize(
    ("pins", "new", "against"),
    [
        ([together(1, "a", "b")], apart(0, "a", "b"), [1]),
        ([together(1, "a", "b"), together(2, "c", "b")], apart(0, "c", "a"), [2, 1]),
        ([belongs(1, "a", "C"), belongs(2, "b", "C")], apart(0, "a", "b"), [1, 2]),
        ([apart(1, "a", "b")], together(0, "b", "a"), [1]),
        ([apart(1, "a", "c"), together(2, "b", "c")], together(0, "a", "b"), [2, 1]),
        ([belongs(1, "a", "C"), belongs(2, "b", "D")], together(0, "a", "b"), [1, 2]),
        ([belongs(1, "a", "C")], belongs(0, "a", "D"), [1]),
        ([belongs(1, "a", "C"), together(2, "a", "b")], belongs(0, "b", "D"), [1, 2]),
        ([belongs(1, "a", "C"), apart(2, "a", "b")], belongs(0, "b", "C"), [2, 1]),
        ([belongs(1, "a", "C"), belongs(2, "b", "C"), apart(3, "a", "c")], together(0, "c", "b"), [2, 3, 1]),
    ],
)
def test_contradictions_are_found_with_the_pins_that_make_them(pins: list[Pin], new: Pin, against: list[int]) -> None:
    assert [one.id for one in contradiction(pins, new) or []] == against


@pytest.mark.parametrize(
    ("pins", "new"),
    [
        ([], together(0, "a", "b")),
        ([together(1, "a", "b"), apart(2, "a", "c")], apart(0, "b", "c")),
        ([belongs(1, "a", "C"), apart(2, "a", "b")], belongs(0, "b", "D")),
        ([apart(1, "a", "b")], together(0, "a", "c")),
        ([belongs(1, "a", "C")], belongs(0, "b", "C")),
    ],
)
def test_what_can_be_honoured_is_let_in(pins: list[Pin], new: Pin) -> None:
    assert contradiction(pins, new) is None


def moved(pins: list[Pin], where: dict[str, str | None], choices: tuple[str, ...] = ()) -> dict[str, str | None]:
    return honour(pins, where, {"C": 9, "D": 5}, lambda _: choices, lambda signal, _: ord(signal) / 1_000)


def test_kept_together_they_go_where_most_are_or_to_the_larger_cluster() -> None:
    three = [together(1, "a", "b"), together(2, "b", "c")]
    assert moved(three, {"a": "D", "b": "D", "c": "C"}) == {"c": "D"}
    assert moved(three[:1], {"a": "D", "b": "C"}) == {"a": "C"}
    assert moved(three[:1], {"a": None, "b": "D"}) == {"a": "D"}
    assert moved(three[:1], {"a": None, "b": None}) == {"a": "new:a", "b": "new:a"}


def test_a_home_wins_over_the_majority() -> None:
    pins = [together(1, "a", "b"), together(2, "b", "c"), belongs(3, "c", "E")]
    assert moved(pins, {"a": "C", "b": "C", "c": "C"}) == {"a": "E", "b": "E", "c": "E"}


def test_of_two_kept_apart_the_weaker_leaves_for_the_nearest_that_is_free() -> None:
    assert moved([apart(1, "a", "b")], {"a": "C", "b": "C"}, ("C", "D")) == {"a": "D"}
    assert moved([apart(1, "a", "b")], {"a": "C", "b": "C"}) == {"a": None}
    pins = [apart(1, "a", "b"), apart(2, "a", "c")]
    assert moved(pins, {"a": "C", "b": "C", "c": "D"}, ("D", "E")) == {"a": "E"}
    assert moved([apart(1, "a", "b"), belongs(2, "a", "C")], {"a": "C", "b": "C"}, ("D",)) == {"b": "D"}


def test_pins_on_signals_that_are_gone_wait() -> None:
    assert moved([together(1, "a", "b"), apart(2, "a", "c")], {"a": "C"}) == {}


signals = st.sampled_from("abcdef")
new_pins = st.lists(
    st.one_of(
        st.tuples(st.just("together"), signals, signals),
        st.tuples(st.just("apart"), signals, signals),
        st.tuples(st.just("belongs"), signals, st.sampled_from(["C", "D", "E"])),
    ),
    max_size=8,
)


@given(new_pins, st.dictionaries(signals, st.sampled_from(["C", "D", "E", None])), st.permutations(["C", "D", "E"]))
def test_every_set_of_pins_that_is_let_in_is_honoured(
    wanted: list[tuple[str, str, str]], where: dict[str, str | None], near: list[str]
) -> None:
    pins: list[Pin] = []
    for number, (kind, one, other) in enumerate(wanted, 1):
        new = belongs(number, one, other) if kind == "belongs" else Pin(number, kind, one, other)
        if one != other and contradiction(pins, new) is None:
            pins.append(new)
    now = where | honour(pins, where, {}, lambda _: near, lambda *_: 0.5)
    for pin in pins:
        if {pin.signal_id, pin.other_signal_id or pin.signal_id} <= where.keys():
            here, there = now[pin.signal_id], now.get(pin.other_signal_id or "")
            if pin.kind == "together":
                assert here == there
            elif pin.kind == "apart":
                assert here is None or here != there
            else:
                assert here == pin.cluster_id


@pytest.fixture
def corpus(database: Database) -> Corpus:
    """Three topics of eight signals each, clustered."""
    own = Corpus(database)
    for topic in range(3):
        own.add(topic, 8)
    step(own)
    return own


def step(corpus: Corpus) -> None:
    cluster_signals(corpus.database, corpus.workspace_id, corpus.embedder)


def of_topic(corpus: Corpus, topic: int) -> list[str]:
    rows = corpus.run("SELECT id FROM elmer.signals WHERE verbatim LIKE :t ORDER BY start", t=f"topic {topic} %")
    return [row[0] for row in rows]


def pin(corpus: Corpus, kind: str, *ids: str) -> None:
    enter = {"together": pinning.pin_together, "apart": pinning.pin_apart}
    with corpus.database.begin() as connection:
        if kind == "belongs":
            pinning.pin_to(connection, corpus.workspace_id, *ids)
        else:
            enter[kind](connection, corpus.workspace_id, ids)


def test_pins_hold_in_every_clustering(corpus: Corpus) -> None:
    first, second, third = (of_topic(corpus, topic) for topic in range(3))
    clusters = [corpus.cluster_of(ids)[0] for ids in (first, second, third)]
    pin(corpus, "together", first[0], second[0], second[1])
    pin(corpus, "apart", second[2], second[3])
    pin(corpus, "belongs", third[0], clusters[0])
    for _ in range(2):
        step(corpus)
        assert corpus.cluster_of([first[0], second[0]]) == [clusters[1]] * 2
        assert corpus.cluster_of([third[0]]) == clusters[:1]
        assert len(set(corpus.cluster_of(second[2:4]))) == 2
        assert corpus.cluster_of([first[1], second[1], third[1]]) == clusters
        corpus.add(0)
    ((placed_by,),) = corpus.run("SELECT placed_by FROM elmer.cluster_members WHERE signal_id = :i", i=third[0])
    assert placed_by == "pin"


def test_a_cluster_lives_as_long_as_a_signal_pinned_to_it(corpus: Corpus) -> None:
    first = of_topic(corpus, 0)
    home = corpus.cluster_of(first)[0]
    pin(corpus, "belongs", of_topic(corpus, 1)[0], home)
    step(corpus)
    corpus.retire(first)
    step(corpus)
    assert corpus.cluster_of(of_topic(corpus, 1)[:1]) == [home]
    assert corpus.run("SELECT size, ended_at FROM elmer.clusters WHERE id = :i", i=home) == [(1, None)]
    corpus.retire(of_topic(corpus, 1)[:1])
    step(corpus)
    assert corpus.run("SELECT ended_at IS NOT NULL FROM elmer.clusters WHERE id = :i", i=home) == [(True,)]


def test_two_unclustered_signals_kept_together_are_a_cluster(corpus: Corpus) -> None:
    pair = [*corpus.add(8), *corpus.add(11)]
    step(corpus)
    assert corpus.cluster_of(pair) == [None, None]
    pin(corpus, "together", *pair)
    step(corpus)
    first, second = corpus.cluster_of(pair)
    assert first == second
    assert first is not None
    corpus.add(0)
    step(corpus)
    assert corpus.cluster_of(pair) == [first, first]


def test_taking_a_pin_out_frees_the_signal(corpus: Corpus) -> None:
    signal, home = of_topic(corpus, 1)[0], corpus.cluster_of(of_topic(corpus, 0))[0]
    own = corpus.cluster_of([signal])
    pin(corpus, "belongs", signal, home)
    step(corpus)
    with corpus.database.begin() as connection:
        (row,) = pinning.listed(connection, corpus.workspace_id)
        assert (row["state"], row["cluster_id"]) == ("active", home)
        pinning.unpin(connection, corpus.workspace_id, row["id"])
        with pytest.raises(NotFoundError, match="elmer clusters pins"):
            pinning.unpin(connection, corpus.workspace_id, row["id"])
    step(corpus)
    assert corpus.cluster_of([signal]) == own


def test_what_cannot_be_honoured_is_refused_by_name(corpus: Corpus) -> None:
    first, second = of_topic(corpus, 0), of_topic(corpus, 1)
    home = corpus.cluster_of(first)[0]
    pin(corpus, "together", first[0], second[0])
    with pytest.raises(PinError, match=r"pin \d+ .*together.*elmer clusters unpin \d+"):
        pin(corpus, "apart", second[0], first[0])
    with pytest.raises(NotFoundError, match="no signal S-nobody"):
        pin(corpus, "together", first[0], "S-nobody")
    with pytest.raises(NotFoundError, match="no cluster"):
        pin(corpus, "belongs", first[0], "C-nothing")
    with pytest.raises(PinError, match="two signals"):
        pin(corpus, "apart", first[0], first[0])
    corpus.retire(first)
    step(corpus)
    with pytest.raises(PinError, match=r"ended on .*elmer clusters history"):
        pin(corpus, "belongs", second[1], home)


def test_pins_hold_when_signals_are_only_placed(database: Database) -> None:
    corpus = Corpus(database)
    for topic in range(8):
        corpus.add(topic, 70)
    step(corpus)
    first, second = of_topic(corpus, 0), of_topic(corpus, 1)
    home = corpus.cluster_of(first)[0]
    near = [one for one in second if corpus.cluster_of([one]) == corpus.cluster_of(second[:1])]
    pin(corpus, "belongs", second[5], home)
    pin(corpus, "apart", near[0], near[1])
    strays = [*corpus.add(11), *corpus.add(13)]
    pin(corpus, "together", *strays)
    step(corpus)
    assert corpus.run("SELECT count(*) FROM elmer.clusterings") == [(1,)]
    assert corpus.cluster_of([second[5]]) == [home]
    assert len(set(corpus.cluster_of(near[:2]))) == 2
    (own,) = set(corpus.cluster_of(strays))
    assert own is not None
    sizes = corpus.run(
        "SELECT c.id FROM elmer.clusters c WHERE c.ended_at IS NULL AND c.size <> (SELECT count(*) FROM "
        "elmer.cluster_members m WHERE m.cluster_id = c.id)"
    )
    assert sizes == []
