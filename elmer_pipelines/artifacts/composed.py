"""Artifacts without a language model: evidence sorted, grouped and counted by template, and saying so at the top.

Every sentence is a customer's own words, the extractor's interpretation, or a figure; nothing is invented. Sections of
the two kinds of artifact are put together at the end of this file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from elmer_pipelines.artifacts import page
from elmer_pipelines.artifacts.citations import cite
from elmer_pipelines.artifacts.markdown import inline, shortened
from elmer_pipelines.artifacts.tone import states_a_need, tone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from elmer_pipelines.artifacts.evidence import Case, Evidence
    from elmer_pipelines.artifacts.grouping import Group

VERSION = 4  # raise it when the same evidence should be written anew
WRITTEN_BY = f"local/composed-{VERSION}"
_NOTICE = (
    "_Composed locally from evidence, without a language model: the sentences are customers' words and the "
    "interpretations noted at their extraction, grouped and counted. Read it as a sorted case file, and edit it before "
    "you act on it. `[S-…]` cites a signal; its words and their place are under Evidence._"
)
_STATEMENTS = 5  # of a group; the others are cited together
_EXAMPLES = 5
_QUOTE_CHARS = 240
# How the local extractor begins an interpretation (`signals/local_reading.py`). What follows there is cut out of the
# words by rule, so the words themselves are shown: how they are introduced, and how a requirement introduces them.
_BY_RULE = (
    ("Reports a problem", "Problem: ", "To be solved: "),
    ("Wants", "Wish: ", "Customers say they want: "),
    ("Has a need", "Wish: ", "Customers say they need: "),
    ("Asks ", "Question: ", "Customers ask: "),
    ("Is positive", "Praise: ", "To be kept: "),
    ("Mentions ", "", "To be solved: "),
)


@dataclass(frozen=True)
class Material:
    """A case with its groups, and what each signal's tone is."""

    case: Case
    groups: list[Group]

    @cached_property
    def praise(self) -> list[Evidence]:
        """Signals that praise and neither complain nor ask, the weightiest first."""
        return [one for one in self.case.evidence if _tone(one) == "praise"]

    @cached_property
    def needs(self) -> list[Group]:
        """The groups without their praise; a group of praise only is left out."""
        praise = set(self.praise)
        kept = [replace(one, evidence=tuple(e for e in one.evidence if e not in praise)) for one in self.groups]
        return [one for one in kept if one.evidence]


def _tone(one: Evidence) -> str:
    return tone(one.verbatim, one.interpretation)


def _by_rule(one: Evidence) -> tuple[str, str] | None:
    """How to introduce the words where no language model interpreted them: in a list, and as a requirement."""
    if not one.interpretation:
        return "", "Customers say they need: " if states_a_need(one.verbatim) else "To be solved: "
    for begins, in_list, as_requirement in _BY_RULE:
        if one.interpretation.startswith(begins):
            return in_list, as_requirement
    return None


def _quote(one: Evidence) -> str:
    words = shortened(one.verbatim, _QUOTE_CHARS)
    return words if words[:1] in '“„«"' else f"“{words}”"


def _meaning(one: Evidence) -> str:
    """The interpretation a language model gave, else the words themselves in quotation marks, shortened."""
    introduced = _by_rule(one)
    return introduced[0] + _quote(one) if introduced else _sentence(str(one.interpretation))


def _asked(one: Evidence) -> str:
    """A requirement in words: what customers say they need where this signal says so, else what is to be solved."""
    introduced = _by_rule(one)
    if introduced:
        return introduced[1] + _quote(one)
    return ("Customers say they need: " if states_a_need(one.verbatim) else "To be solved: ") + _meaning(one)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in '.!?…。！？”"' else f"{text}."


def _ids(evidence: Sequence[Evidence]) -> list[str]:
    return [one.signal_id for one in evidence]


def _lines(items: Sequence[str]) -> str:
    return "\n".join(f"- {one}" for one in items)


def _about(material: Material) -> str:
    project = material.case.project
    origin = "named in workspace.toml" if project.origin == "named" else "an initiative that a cluster of signals began"
    described = "\n\n".join(inline(part) for part in project.description.split("\n\n") if part.strip())
    return "\n\n".join(part for part in (f"Stage: {inline(project.stage)} · {origin}", described) if part)


def _summary(material: Material) -> str:
    """Figures, then how severe, with examples."""
    case = material.case
    lines = []
    for severity, number in sorted(case.totals.severity.items(), key=lambda one: _RANK.get(one[0], 9)):
        examples = [one for one in case.evidence if one.severity == severity][:_EXAMPLES]
        if examples:
            lines.append(page.statement(f"{page.count(number, 'signal')} of {severity} severity.", _ids(examples)))
    unclear = case.totals.signals - sum(case.totals.severity.values())
    examples = [one for one in case.evidence if one.severity is None][:_EXAMPLES]
    if unclear and examples:
        lines.append(page.statement(f"{page.count(unclear, 'signal')} whose severity is unclear.", _ids(examples)))
    rest = f"\n\n{page.count(unclear, 'further signal')} whose severity is unclear." if unclear and not examples else ""
    return f"## Summary in numbers\n\n{page.figures(case.totals)}\n\n{_lines(lines)}{rest}"


_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}


def _problem(material: Material) -> str:
    """The three largest needs, each with its weightiest signal in interpretation and in words."""
    largest = sorted(material.needs, key=lambda one: -len(one.evidence))[:3] or material.groups[:1]
    parts = ["## Problem"]
    for group in largest:
        first = group.evidence[0]
        parts.append(page.statement(f"{group.label}: {_extent(group)}.", _ids(group.evidence)[:_EXAMPLES]))
        if not _by_rule(first):
            parts.append(page.statement(_meaning(first), _alike(first, group)))
        parts.append(page.quotation(first))
    return "\n\n".join(parts)


def _alike(first: Evidence, group: Group) -> list[str]:
    """The signal and those of its group with the very same interpretation."""
    same = [one for one in group.evidence if one.interpretation and one.interpretation == first.interpretation]
    return _ids([first, *same])[:_EXAMPLES]


def _affected(material: Material) -> str:
    case = material.case
    lines = []
    for segment, number in case.totals.segment.items():
        examples = [one for one in case.evidence if one.segment == segment][:_EXAMPLES]
        if examples:
            lines.append(page.statement(f"{segment}: {page.count(number, 'signal')}.", _ids(examples)))
    if not lines:
        lines.append("No signal says which segment its speaker belongs to.")
    return f"## Who is affected\n\n{_lines(lines)}\n\n{_sources(material)}"


def _sources(material: Material) -> str:
    kinds = Counter(one.kind for one in material.case.evidence)
    lines = [
        page.statement(
            f"Heard in {kind}s: {page.count(number, 'signal')} of those shown.",
            _ids([one for one in material.case.evidence if one.kind == kind][:_EXAMPLES]),
        )
        for kind, number in sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    ]
    return _lines(lines)


def _needs(material: Material) -> str:
    parts = ["## Needs"]
    for group in material.needs:
        parts += [_group_heading(group), _lines(_statements(group))]
    if not material.needs:
        parts.append("Every signal shown is praise; none states a need.")
    return "\n\n".join(parts)


def _group_heading(group: Group) -> str:
    return f"### {inline(group.label)} ({_extent(group)})"


def _extent(group: Group) -> str:
    severities = [one.severity for one in group.evidence if one.severity]
    worst = f", worst severity {min(severities, key=lambda one: _RANK.get(one, 9))}" if severities else ""
    return f"{page.count(len(group.evidence), 'signal')}{worst}"


def _statements(group: Group) -> list[str]:
    """One line for each different meaning, at most five, then one that cites the rest."""
    meanings: dict[str, list[Evidence]] = {}
    for one in group.evidence:
        meanings.setdefault(_meaning(one), []).append(one)
    lines = [page.statement(meaning, _ids(said)) for meaning, said in list(meanings.items())[:_STATEMENTS]]
    rest = [one for said in list(meanings.values())[_STATEMENTS:] for one in said]
    if rest:
        lines.append(page.statement(f"{page.count(len(rest), 'further signal')} of this group.", _ids(rest)))
    return lines


def _requirements(material: Material) -> str:
    """One requirement per need: "Customers need" only where a cited signal says so in its own words."""
    parts = [
        "## Requirements",
        "One per need, worded from the signals. What a solution looks like is for the team to decide.",
    ]
    for number, group in enumerate(material.needs, 1):
        asking = [one for one in group.evidence if states_a_need(one.verbatim)]
        chosen = (asking or list(group.evidence))[0]
        severity = f" ({chosen.severity})" if chosen.severity else ""
        wording = page.statement(_asked(chosen), _ids([chosen, *group.evidence])[:_EXAMPLES])
        parts.append(f"**R{number}{severity} {inline(group.label)}.** {wording}")
    if not material.needs:
        parts.append("None follows from the evidence.")
    return "\n\n".join(parts)


def _praise(material: Material) -> str:
    if not material.praise:
        return ""
    lines = [page.statement(_meaning(one), [one.signal_id]) for one in material.praise[:_STATEMENTS]]
    rest = material.praise[_STATEMENTS:]
    if rest:
        lines.append(page.statement(f"{page.count(len(rest), 'further signal')} of praise.", _ids(rest)))
    return f"## What works and must not be lost\n\n{_lines(lines)}"


def _contradictions(material: Material) -> str:
    """Groups in which some praise what others complain about, one of each side."""
    parts = []
    for group in material.groups:
        liked = [one for one in group.evidence if _tone(one) == "praise"]
        disliked = [one for one in group.evidence if _tone(one) == "problem"]
        if liked and disliked:
            sides = f"{inline(group.label)}: {page.count(len(liked), 'signal')} of praise, {len(disliked)} of trouble"
            parts += [f"**{sides}.** {cite(_ids([*liked[:_EXAMPLES], *disliked[:_EXAMPLES]]))}",
                      page.quotation(liked[0]), page.quotation(disliked[0])]  # fmt: skip
    return "\n\n".join(["## Where customers differ", *parts]) if parts else ""


def _questions(material: Material) -> str:
    """What the evidence leaves open, as far as counting can tell."""
    case = material.case
    found: list[tuple[str, list[Evidence]]] = []
    for name in ("severity", "frequency", "segment"):
        unclear = [one for one in case.evidence if getattr(one, name) is None]
        if unclear:
            found.append((f"Not said in {page.count(len(unclear), 'signal')}: the {name}.", unclear[:_EXAMPLES]))
    for group in material.needs:
        if len({one.address for one in group.evidence}) == 1:
            question = f"{group.label}: only one document speaks of it; is it so for others?"
            found.append((question, list(group.evidence[:_EXAMPLES])))
    if case.totals.people == 1:
        found.append(("One person said all of this; do others agree?", list(case.evidence[:_EXAMPLES])))
    lines = [page.statement(question, _ids(about)) for question, about in found]
    return f"## Open questions\n\n{_lines(lines)}" if lines else ""


def _measures(material: Material) -> str:
    rows = [f"| Signals about {inline(one.label)} | not measured yet | not set yet |" for one in material.needs]
    rows.append("| Share of the people heard who say it is solved | not measured yet | not set yet |")
    table = "\n".join(["| Measure | Today | Target |", "|---|---|---|", *rows])
    notice = "Names only: nothing here was measured, and no target follows from the signals."
    return f"## Success measures\n\n{notice}\n\n{table}"


def _voices(material: Material) -> str:
    """One quotation per group, the weightiest."""
    return "\n\n".join(["## Voices", *(page.quotation(group.evidence[0]) for group in material.groups)])


def _documents(material: Material) -> str:
    by_address: dict[str, list[Evidence]] = {}
    for one in material.case.evidence:
        by_address.setdefault(one.address, []).append(one)
    largest = sorted(by_address.values(), key=lambda said: (-len(said), said[0].address))
    lines = [
        page.statement(f"{said[0].title} ({said[0].kind}, {page.day(said[0].occurred_at)}).", _ids(said))
        for said in largest[:12]
    ]
    more = f"\n\nAnd {page.count(len(largest) - 12, 'document')} more." if len(largest) > 12 else ""
    return f"## Where it was heard\n\n{_lines(lines)}{more}"


def _nothing_left(material: Material) -> str:
    return "## Summary in numbers\n\nNo signal supports this project at present, so there is nothing to say yet."


def product_requirements(material: Material) -> str:
    """The body of a PRD: everything above the evidence section."""
    sections = [_problem, _affected, _needs, _requirements, _praise, _contradictions, _questions, _measures]
    return _assemble(material, "product requirements", [_summary, *sections])


def research_brief(material: Material) -> str:
    """The body of a research brief: everything above the evidence section."""
    sections = [_needs, _affected, _voices, _praise, _contradictions, _documents, _questions]
    return _assemble(material, "research brief", [_summary, *sections])


def _assemble(material: Material, suffix: str, sections: Sequence[Callable[[Material], str]]) -> str:
    title = page.heading(material.case.project.name, suffix)
    makers = sections if material.case.evidence else [_nothing_left]
    parts = [title, _NOTICE, _about(material), *(make(material) for make in makers)]
    return "\n\n".join(part for part in parts if part)
