"""The parts every artifact is made of: statements with citations, the figures, the evidence section.

Which statements there are is decided in `composed.py` and `generated.py`. All text that comes in is escaped here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.artifacts.citations import cite
from elmer_pipelines.artifacts.markdown import blockquote, inline

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from elmer_pipelines.artifacts.evidence import Case, Evidence, Totals

_UNKNOWN = "not known"


def statement(text: str, signal_ids: Sequence[str]) -> str:
    """One sentence or more of plain text, escaped, ending in its citations."""
    return f"{inline(text)} {cite(signal_ids)}"


def quotation(one: Evidence) -> str:
    """The customer's words as a block quote, then who said them, with the citation."""
    return f"{blockquote(one.verbatim)}\n>\n> — {attribution(one)} {cite([one.signal_id])}"


def attribution(one: Evidence) -> str:
    """Speaker, segment and date of a signal, as far as known; else its document's title, or kind and address."""
    parts = [inline(part) for part in (one.speaker, one.segment) if part]
    parts = parts or [_own_title(one) or f"{inline(one.kind)} {_address(one.address)}"]
    return ", ".join([*parts, day(one.occurred_at)] if one.occurred_at else parts)


def _own_title(one: Evidence) -> str:
    """The document's title; empty where it is only the beginning of the words, as for a review without a headline."""
    title, said = one.title.rstrip("…").casefold(), " ".join(one.verbatim.split()).casefold()
    return "" if not title.strip() or title in said or said in title else inline(one.title)


def day(moment: datetime | None) -> str:
    """`3 May 2026`, in UTC."""
    return f"{moment.day} {moment:%B %Y}" if moment else _UNKNOWN


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 signal`, `2 signals`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def heading(project_name: str, suffix: str) -> str:
    """The artifact's first line."""
    return f"# {inline(project_name)}: {suffix}"


def figures(totals: Totals) -> str:
    """The summary in numbers, as a table."""
    people = f"{totals.people:,}" if totals.people else _UNKNOWN
    return (
        "| Signals | Documents | People named | First heard | Last heard |\n"
        "|---:|---:|---:|---|---|\n"
        f"| {totals.signals:,} | {totals.documents:,} | {people} | {day(totals.first)} | {day(totals.last)} |"
    )


def evidence_section(case: Case, cited: Collection[str]) -> str:
    """Every cited signal with its words and the place where they stand; those left out are counted."""
    shown = [one for one in case.evidence if one.signal_id in cited]
    parts = ["## Evidence", _left_out(case, len(shown))]
    parts += [_exhibit(one) for one in shown]
    return "\n\n".join(part for part in parts if part)


def _left_out(case: Case, shown: int) -> str:
    if case.totals.signals <= shown:
        return ""
    return f"The {shown} weightiest of {case.totals.signals:,} linked signals are quoted here."


def _exhibit(one: Evidence) -> str:
    weight = ", ".join(part for part in (one.severity, one.frequency) if part)
    who = ", ".join(inline(part) for part in (one.speaker, one.segment) if part) or "speaker not known"
    where = ", ".join(part for part in (inline(one.place), f"characters {one.start}–{one.end}") if part)
    lines = [
        f"**{one.signal_id}**" + (f" · {weight}" if weight else ""),
        blockquote(one.verbatim),
        f"— {who} · {day(one.occurred_at) if one.occurred_at else 'date not known'} · {_document(one)}, {where}",
    ]
    return "\n\n".join(lines)


def _document(one: Evidence) -> str:
    title, address = _own_title(one), _address(one.address)
    return f"{title} ({address})" if title else address


def _address(address: str) -> str:
    """As code where nothing in it could end the code or be taken for a citation, else as escaped text."""
    plain = not set(address) & set("`[]\n\r") and address == address.strip() and address.isprintable()
    return f"`{address}`" if plain else inline(address)
