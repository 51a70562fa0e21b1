"""Text that is not ours, made safe to stand in Markdown and HTML (I10).

After escaping, a Markdown reader shows the same characters and nothing else: no heading, list, link, image, HTML, and
no citation, because every `[` comes out with a backslash before it (see `citations.py`).
"""

from __future__ import annotations

import re
from itertools import zip_longest

_SPECIAL = re.compile(r"[\\`*_\[\]|~$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_ENTITY = re.compile(r"&(?=#?\w+;)")  # a lone & is only itself
_LINE_START = re.compile(r"^([#+\-=:!]|\d{1,9}(?=[.)]))")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])")
_SPACES = re.compile(r"\s+")
# Controls that can't be seen, and those that turn the direction of what follows, also outside the quote.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]|[\ud800-\udfff]"
)


def inline(text: str) -> str:
    """The text on one line, for a sentence, a heading or a table cell; white space becomes single spaces."""
    return _start(_escape(_SPACES.sub(" ", _visible(text)).strip()))


def blockquote(text: str) -> str:
    """The text as a Markdown quotation, one `>` per line of its own; blank lines at its ends are left out."""
    lines = [_start(_escape(line.strip())) for line in _visible(text).splitlines()]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    # A backslash at the end of a line keeps the speaker's own line break.
    joined = [line + "\\" if line and after else line for line, after in zip_longest(lines, lines[1:])]
    return "\n".join(f"> {line}".rstrip() for line in joined) or ">"


def html(text: str) -> str:
    """The text for an HTML element's content or a quoted attribute."""
    return "".join(_ENTITIES.get(sign, sign) for sign in _visible(text))


def shortened(text: str, most: int) -> str:
    """At most `most` characters on one line, cut between words where that is possible, with … where cut."""
    line = _SPACES.sub(" ", text).strip()
    if len(line) <= most:
        return line
    cut = line[: most - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > most // 2 else cut).rstrip(" ,;:") + "…"


def _visible(text: str) -> str:
    return _UNSEEN.sub("", text)


def _escape(line: str) -> str:
    marked = _SPECIAL.sub(lambda found: "\\" + found.group(), line)
    return _ENTITY.sub("&amp;", marked).replace("<", "&lt;").replace(">", "&gt;")


def _start(line: str) -> str:
    """A line that can't be read as a heading, list, rule or table."""
    numbered = _NUMBERED.sub(r"\1\\\2", line)
    return numbered if numbered != line else _LINE_START.sub(r"\\\1", line)
