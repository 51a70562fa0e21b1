"""Finding turns of speech in a text: `Anna (PM): …`, `**Anna:** …`, `[00:01:12] Anna: …`, `Anna  0:15` on its own line.

A colon alone is no proof (`Note: …`), so labels must recur, be a known role or name, or carry a time.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.documents.moments import parse_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.documents.voices import Voices

_LOOK = 200  # a label further into a line than this is no label
_STAMP = r"(?:\d{1,3}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?"
_NAME = r"[^\W\d_][^\n:：*\[\]()<>|/\\#=\"“”]{0,39}?"
_TURN = re.compile(
    rf"[ \t]*(?:[-*•>][ \t]+)?(?:[\[(]?(?P<before>{_STAMP})[\])]?[ \t]*[-–—|]?[ \t]*)?(?:\*\*|__)?[ \t]?"
    rf"(?P<name>{_NAME})[ \t]*(?:\((?P<role>[^()\n]{{1,40}})\))?[ \t]*(?:[\[(](?P<after>{_STAMP})[\])])?[ \t]*"
    rf"(?:\*\*|__)?[ \t]?[:：](?:\*\*|__)?(?P<gap>[ \t]*)"
)
_HEADER = re.compile(
    rf"[ \t]*(?:\*\*|__)?(?P<name>{_NAME})[ \t]*(?:\((?P<role>[^()\n\d]{{1,40}})\))?[ \t]*(?:\*\*|__)?"
    rf"(?:[ \t]{{2,}}|[ \t]*[-–—|\[(\t][ \t]*)(?P<before>{_STAMP})[\])]?[ \t]*$"
)
_NOT_NAMES = frozenset(
    """note|notes|problem|date|time|subject|title|summary|action|actions|action items|todo|to|from|cc|bcc|re|fwd|url|
    http|https|mailto|goal|goals|context|background|result|results|outcome|example|e.g|i.e|tip|warning|important|update|
    edit|ps|p.s|status|priority|version|device|platform|os|browser|app|plan|company|account|tags|tag|topic|agenda|
    next steps|follow up|follow-up|participants|attendees|location|duration|quote|quotes|insight|insights|finding|
    pros|cons|pro|con|steps|expected|actual|severity|impact|idea|ideas|request|question for us|recording|language|
    feature|solution|bug|issue|problems|customer quote|category|theme|score|rating|price|pricing|used by|owner|
    error|reason|conclusion|overall|first|second|third|finally|also|but|and|so|role|name|email|phone|id""".replace(
        "\n", ""
    )
    .replace("    ", "")
    .split("|")
)


@dataclass(frozen=True)
class Turn:
    """Where a turn's label starts and its words begin, and who speaks, when (seconds)."""

    start: int
    words: int
    speaker: str
    role: str | None
    time: float | None


def find_turns(text: str, voices: Voices) -> list[Turn]:
    """The turns of speech in a text, in order; empty when it is no transcript."""
    candidates = list(_candidates(text))
    counts = Counter(turn.speaker for turn in candidates)
    sure = {t.speaker for t in candidates if t.time is not None or voices.knows(t.speaker)}
    sure |= {speaker for speaker, count in counts.items() if count >= 2}
    if sure:  # in a dialogue, who speaks once has a name
        sure |= {turn.speaker for turn in candidates if _is_proper(turn.speaker)}
    turns = [turn for turn in candidates if turn.speaker in sure]
    return turns if len({turn.speaker for turn in turns}) >= 2 or _monologue(turns, voices) else []


def label_of(line: str) -> Turn | None:
    """The label a single line of captions opens with (`Anna: …`), None without one."""
    turn = next(_candidates(line.split("\n", 1)[0]), None)
    return turn if turn is not None and turn.words < len(line) else None


def _monologue(turns: list[Turn], voices: Voices) -> bool:
    return bool(turns) and (voices.knows(turns[0].speaker) or (len(turns) >= 2 and turns[0].time is not None))


def _candidates(text: str) -> Iterator[Turn]:
    for start, end in _lines(text):
        look = text[start : min(end, start + _LOOK)]
        if not any(mark in look for mark in ":："):
            continue
        found = _label(look)
        if found:
            groups = found.groupdict()
            stamp = groups.get("before") or groups.get("after")
            name, role = groups["name"].strip(), groups.get("role")
            yield Turn(start, start + found.end(), name, role and role.strip(), parse_clock(stamp) if stamp else None)


def _label(look: str) -> re.Match[str] | None:
    """The label at the start of a line: name and time alone on it, or a name with a colon that begins no address."""
    found = _HEADER.match(look) if len(look) < _LOOK else None
    if found and _is_name(found["name"], found):
        return found
    found = _TURN.match(look)
    return found if found and not look.startswith("//", found.end()) and _is_name(found["name"], found) else None


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _is_proper(name: str) -> bool:
    words = name.split()
    return len(words) <= 3 and not any(word[0].islower() for word in words)


def _is_name(name: str, found: re.Match[str]) -> bool:
    """Up to four words that begin like a name; what looks like a field (`Note:`) or a clause is none."""
    words = name.split()
    if not words or len(words) > 4 or name.strip().lower() in _NOT_NAMES:
        return False
    if name.rstrip()[-1] in ",;!?":
        return False
    timed = found.groupdict().get("before") is not None
    return timed or not words[0][0].islower()
