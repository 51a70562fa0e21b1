from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.artifacts.citations import cite, parse, unresolved
from elmer_pipelines.artifacts.markdown import blockquote, inline

A, B = "S-000000000001", "S-000000000002"

hostile = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["[", "]", "\\", "S-", A, f"[{A}]", f"\\[{A}]", f"[{A}, {B}]", " ", "\n", "`", "a", ",", "-", "("]
        )
    ).map("".join),
)


def test_each_id_of_a_group_is_a_citation_at_its_place() -> None:
    text = f"Exports fail. Nobody is told [{A}, {B}]."
    found = parse(text, {A})
    assert [text[one.start : one.end] for one in found] == [A, B]
    assert [one.resolved for one in found] == [True, False]
    assert {one.sentence for one in found} == {"Nobody is told"}
    assert [one.signal_id for one in unresolved(found)] == [B]


def test_the_sentence_is_the_one_before_the_citation() -> None:
    text = (
        f"# Title\n\n- First thing, e.g. this one. [{A}] Second thing! [{B}]\n- Third\n\n最初です。二番目です。 [{A}]\n"
    )
    assert [one.sentence for one in parse(text)] == ["First thing, e.g. this one.", "Second thing!", "二番目です。"]


def test_groups_in_a_row_support_the_same_sentence() -> None:
    assert [one.sentence for one in parse(f"It fails. [{A}] [{B}]")] == ["It fails.", "It fails."]


def test_a_line_of_its_own_has_no_sentence_of_another_line() -> None:
    assert [one.sentence for one in parse(f"It fails. [{A}]\n[{B}]")] == ["It fails.", ""]


def test_what_only_looks_like_a_citation_is_none() -> None:
    for text in (f"\\[{A}]", f"({A})", f"[{A}", "[P-000000000001]", "[S-]", f"[see {A}]", f"[{A};{B}]"):
        assert parse(text) == []


def test_invented_ids_are_found_and_do_not_resolve() -> None:
    rendered = cite([A, "S-nonsense]( [x", "made up", "🙂", A])
    found = parse(rendered, {A})
    assert [one.signal_id for one in found] == [A, "S-nonsensex", "S-madeup", "S-unreadable"]
    assert [one.resolved for one in found] == [True, False, False, False]


@given(hostile)
def test_no_text_can_forge_a_citation(words: str) -> None:
    """I6, I10: whatever a customer or a model wrote, only our own brackets cite."""
    text = f"{inline(words)} {cite([B])}\n\n{blockquote(words)}\n"
    assert [one.signal_id for one in parse(text)] == [B]


@given(st.lists(st.text(), min_size=1))
def test_rendered_ids_always_parse(ids: list[str]) -> None:
    found = parse(f"It fails. {cite(ids)}")
    assert 1 <= len(found) <= len(set(ids))
