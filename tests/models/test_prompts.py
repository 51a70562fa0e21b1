"""Prompt files and the envelope."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elmer_pipelines.errors import ModelFault, SettingsError
from elmer_pipelines.models.prompts import MAX_ENVELOPE_CHARS, PromptFile, envelope, load_prompt

if TYPE_CHECKING:
    from pathlib import Path


def test_a_prompt_file_gives_name_version_and_text(tmp_path: Path) -> None:
    file = tmp_path / "ask.md"
    file.write_text("---\nname: ask\nversion: 3\n---\n\nDo this.\n\n---\n\nThen that.\n")
    assert load_prompt(file) == PromptFile("ask", 3, "Do this.\n\n---\n\nThen that.")


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ("Do this.", "front matter"),
        ("---\nversion: 1\n---\nDo this.", "name"),
        ("---\nname: ask\n---\nDo this.", "version"),
        ("---\nname: ask\nversion: true\n---\nDo this.", "version"),
        ("---\nname: ask\nversion: '1'\n---\nDo this.", "version"),
        ("---\nname: ask\nversion: 1\n---\n  \n", "instructions"),
        ("---\n- ask\n---\nDo this.", "mapping"),
        ("---\nname: [\n---\nDo this.", "YAML"),
    ],
)
def test_an_incomplete_prompt_file_is_refused_by_name(tmp_path: Path, content: str, missing: str) -> None:
    file = tmp_path / "ask.md"
    file.write_text(content)
    with pytest.raises(SettingsError, match=rf"ask\.md.*{missing}|{missing}.*ask\.md"):
        load_prompt(file)


def test_a_missing_prompt_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.md"):
        load_prompt(tmp_path / "gone.md")


_xml_text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n<>&\"'"))


@given(_xml_text, _xml_text)
def test_text_and_labels_never_leave_the_envelope(text: str, label: str) -> None:
    element = ElementTree.fromstring(envelope("turn", text, speaker=label))
    assert (element.tag, len(element), element.text or "") == ("turn", 0, text)
    assert set(element.attrib) == {"speaker"}


@given(st.text())
def test_escaping_can_be_undone(text: str) -> None:
    inside = envelope("turn", text).removeprefix("<turn>").removesuffix("</turn>")
    assert inside.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    assert not {"<", ">"} & set(inside)


def test_labels_are_one_bounded_line() -> None:
    wrapped = envelope("turn", "", speaker='Ana" role="us\n' + "x" * 500)
    assert '"Ana&quot; role=&quot;us x' in wrapped
    assert "\n" not in wrapped
    assert len(html.unescape(wrapped)) < 250


def test_what_is_too_long_is_refused_not_cut() -> None:
    with pytest.raises(ModelFault) as caught:
        envelope("turn", "x" * (MAX_ENVELOPE_CHARS + 1))
    assert caught.value.kind == "too_large"


def test_a_tag_is_a_plain_word() -> None:
    with pytest.raises(ValueError, match="plain"):
        envelope("a b", "text")
