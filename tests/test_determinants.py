"""What determines a result: a fingerprint of the parts, and the words for what is different."""

from __future__ import annotations

from elmer_pipelines.determinants import Determinants, differences, labelled, why
from elmer_pipelines.ids import fingerprint, text_hash


def _prompted(text: str, version: int, **more: object) -> Determinants:
    return Determinants.of(content="c", prompt=labelled(text, f"extract_signals v{version}"), **more)


def test_the_fingerprint_is_that_of_the_parts_hashes() -> None:
    one = Determinants.of(content="c", rules=labelled(1))
    assert one.fingerprint == fingerprint(content=text_hash('"c"'), rules=text_hash("1"))


def test_names_and_order_of_parts_do_not_count() -> None:
    assert _prompted("find", 1).fingerprint == _prompted("find", 2).fingerprint
    assert Determinants.of(a=1, b=2).fingerprint == Determinants.of(b=2, a=1).fingerprint
    assert Determinants.of(a=1, b=2).fingerprint != Determinants.of(a=2, b=1).fingerprint


def test_a_new_version_of_a_prompt_is_told_by_its_number() -> None:
    before = _prompted("find", 3).as_json()
    assert why(differences(before, _prompted("find all", 4))) == "prompt extract_signals v3 → v4"
    assert why(differences(before, _prompted("find all", 3))) == "prompt extract_signals v3 edited"


def test_every_kind_of_difference_has_its_words() -> None:
    before = Determinants.of(content="x", model=labelled("claude-a"), weights=1).as_json()
    assert differences(before, Determinants.of(content="x", model=labelled("claude-a"), weights=1)) == []
    assert why(differences(before, Determinants.of(content="y", model=labelled("claude-a"), weights=1))) == (
        "content changed"
    )
    switched = differences(before, Determinants.of(content="x", model=labelled("claude-b"), prompt=labelled("p")))
    assert [(one.part, one.before, one.now) for one in switched] == [
        ("model", "claude-a", "claude-b"),
        ("prompt", None, "p"),
        ("weights", before["weights"][0], None),
    ]
    assert why(switched) == "model claude-a → claude-b"
    assert why(switched[1:]) == "prompt is new, weights is gone"
