"""Citations: `[S-…]` and `[S-…, S-…]` in an artifact, which sentence each supports, and whether it resolves (I6).

A bracket with a backslash before it is text, not a citation; `markdown.py` puts one before every bracket that is not
ours. Nothing here reads the database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from elmer_pipelines.artifacts.markdown import shortened
from elmer_pipelines.store.artifacts import CitationRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_SENTENCE_CHARS = 1_000
_ID = r"S-[0-9A-Za-z]{1,32}"
_GROUP = re.compile(rf"(?<!\\)\[({_ID}(?:\s*,\s*{_ID})*)\]")
_ONE = re.compile(_ID)
_NOT_AN_ID = re.compile(r"[^0-9A-Za-z]+")
# A sentence ends at its mark (and closing quotes) before white space; Chinese and Japanese marks need none.
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+\S)|[。！？]+[”’」』）]*")


def cite(signal_ids: Sequence[str]) -> str:
    """`[S-…, S-…]`, each id once, in the order given; what is no id at all comes out as one that can't resolve."""
    return f"[{', '.join(dict.fromkeys(_as_id(one) for one in signal_ids))}]"


def _as_id(text: str) -> str:
    if _ONE.fullmatch(text):
        return text
    return "S-" + (_NOT_AN_ID.sub("", text.removeprefix("S-"))[:32] or "unreadable")


def parse(text: str, known: Collection[str] = ()) -> list[CitationRow]:
    """Every citation of a text, in order: its place, its id, the sentence before it; `resolved` where `known` has it.

    The sentence is as the text has it, cut at 1,000 characters. Two groups in a row support the same sentence.
    """
    found: list[CitationRow] = []
    known = set(known)
    sentence, line_seen, after = "", -1, 0
    for group in _GROUP.finditer(text):
        line = text.rfind("\n", 0, group.start()) + 1
        start = after if line == line_seen else line
        sentence = _last_sentence(text[start : group.start()]) or (sentence if line == line_seen else "")
        line_seen, after = line, group.end()
        for one in _ONE.finditer(text, group.start(), group.end()):
            row = CitationRow(one.start(), one.end(), one.group(), sentence, one.group() in known)
            found.append(row)
    return found


def unresolved(citations: Sequence[CitationRow]) -> list[CitationRow]:
    """Those that point to nothing of their project."""
    return [one for one in citations if not one.resolved]


def _last_sentence(passage: str) -> str:
    """The last sentence of a passage, without the marks of its line; empty where only signs are left."""
    passage = passage.strip().lstrip(".,;:!?>#*-| ").strip()
    start = 0
    for end in _END.finditer(passage):
        following = passage[end.end() :].lstrip()
        if following and not following[0].islower():
            start = end.end()
    return shortened(passage[start:], MAX_SENTENCE_CHARS)
