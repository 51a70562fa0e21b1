from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from elmer_pipelines.artifacts.markdown import blockquote, html, inline, shortened

reader = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
SIGNS = "\\`*_{}[]<>()#+-.!|~&$=:;'\"/ \n\t\r0123456789ab🙂é\u2028\x85\u202e\x00"
words = st.one_of(st.text(), st.text(alphabet=SIGNS), st.sampled_from([
    "# heading", "- list", "1. one", "2) two", "> quote", "---", "===", "| a | b |\n|---|---|", "```\ncode", "    code",
    "<script>alert(1)</script>", "![x](http://e.com/x.png)", "[x](javascript:alert(1))", "<http://e.com>", "&lt;b&gt;",
    "a  \nb", "a\\\nb", "[x]: http://e.com", "<!-- x", "~~x~~", "*a* __b__", "Title\n=====", "\\", "a\\",
]))  # fmt: skip


class _Text(HTMLParser):
    """The text of an HTML page and the tags it has."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markdown: str) -> tuple[str, set[str]]:
    page = _Text()
    page.feed(reader.render(markdown))
    page.close()
    return page.text, page.tags


def visible(text: str) -> str:
    """What a reader can see of a text: no controls, white space as single spaces."""
    unseen = (
        r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]|[\ud800-\udfff]"
    )
    return " ".join(re.sub(unseen, "", text).split())


@given(words)
@example("1) [x](y)")
def test_a_reader_sees_the_same_words_on_one_line_and_nothing_else(text: str) -> None:
    seen, tags = read(f"Said: {inline(text)} end")
    assert tags <= {"p"}
    assert seen.split() == f"Said: {visible(text)} end".split()


@given(words)
def test_at_the_start_of_a_line_it_makes_no_block(text: str) -> None:
    seen, tags = read(inline(text))
    assert tags <= {"p"}
    assert seen.split() == visible(text).split()


@given(words)
def test_a_quotation_stays_one_quotation(text: str) -> None:
    seen, tags = read(f"Before\n\n{blockquote(text)}\n\nAfter")
    assert tags <= {"p", "blockquote", "br"}
    assert seen.split() == ["Before", *visible(text).split(), "After"]


@given(words)
def test_a_table_cell_stays_one_cell(text: str) -> None:
    rendered = reader.render(f"| A | B |\n|---|---|\n| {inline(text)} | x |\n")
    assert rendered.count("<td") == 2


@given(words)
def test_html_is_text(text: str) -> None:
    page = _Text()
    page.feed(f"<p title='{html(text)}'>{html(text)}</p>")
    page.close()
    assert page.tags == {"p"}


@pytest.mark.parametrize(("text", "most", "short"), [
    ("a short one", 20, "a short one"),
    ("a sentence that goes on", 12, "a sentence…"),
    ("Donaudampfschifffahrt", 8, "Donauda…"),
    ("two\nlines  here", 40, "two lines here"),
])  # fmt: skip
def test_shortened(text: str, most: int, short: str) -> None:
    assert shortened(text, most) == short
    assert len(shortened(text, most)) <= most


def test_plain_words_stay_readable() -> None:
    assert inline("We can't log in (well-known issue, 3.5 hours)!") == "We can't log in (well-known issue, 3.5 hours)!"
