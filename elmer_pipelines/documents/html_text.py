"""HTML to plain text with the standard library's parser: for mails and cells, where no layout is needed.

Whole HTML files go through office.py in the worker.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_DROPPED = frozenset({"script", "style", "template", "noscript", "head", "title", "svg", "object"})
_BLOCKS = frozenset(
    (
        "p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre",
        "section", "article", "header", "footer", "hr", "dt", "dd",
    )
)  # fmt: skip
_MANY_LINES = re.compile(r"\n{3,}")


class _TextParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropped: str | None = None
        self._quotes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped is None and tag in _DROPPED:
            self._dropped = tag
        if tag == "blockquote":
            self._quotes += 1
        if tag in _BLOCKS:
            self.parts.append("\n\n" if tag == "p" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._dropped:
            self._dropped = None
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._dropped is None:
            words = re.sub(r"\s+", " ", data)
            at_line_start = bool(self.parts) and self.parts[-1].endswith("\n")
            self.parts.append("> " + words if self._quotes and at_line_start and words.strip() else words)


def text_of_html(source: str) -> str:
    """The visible text; blocks on lines of their own, quoted blocks marked with `> `, scripts and styles dropped."""
    parser = _TextParser()
    parser.feed(source)
    parser.close()
    lines = [line.strip() for line in "".join(parser.parts).split("\n")]
    return _MANY_LINES.sub("\n\n", "\n".join(lines)).strip()
