"""Artifacts written by a language model: the request, the shape of the answer, and its rendering by our code.

The model gives sentences and the ids of the signals behind each; it never writes Markdown. Prompts are in `prompts/`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from elmer_pipelines.artifacts import page
from elmer_pipelines.artifacts.markdown import inline
from elmer_pipelines.models.prompts import envelope
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.redacted import redaction_of
from elmer_pipelines.models.redaction import Placeholders

if TYPE_CHECKING:
    from elmer_pipelines.artifacts.evidence import Case, Evidence
    from elmer_pipelines.models.prompts import PromptFile
    from elmer_pipelines.models.protocols import TextModel

LAYOUT = 2  # raise it when the same answer should be rendered anew
_MAX_TOKENS = 16_000
_MAX_QUOTE_CHARS = 2_000


class Statement(BaseModel):
    """A sentence or two, and the signals that say so."""

    text: str = Field(min_length=1, description="one or two plain sentences, without Markdown and without ids")
    signal_ids: list[str] = Field(min_length=1, description="ids of the signals that support the text; at least one")


class Section(BaseModel):
    """A heading and its statements."""

    heading: str = Field(min_length=1)
    statements: list[Statement]


class Draft(BaseModel):
    """A model's answer: the artifact's sections in order."""

    sections: list[Section] = Field(min_length=1)


def request(case: Case, prompt: PromptFile, model: TextModel) -> Prompt:
    """What this model is asked for an artifact."""
    shown = material(as_sent(case, model))
    return Prompt(prompt.name, prompt.version, prompt.instructions, shown, max_tokens=_MAX_TOKENS, effort="medium")


def body(case: Case, prompt: PromptFile, model: TextModel, suffix: str) -> str:
    """The artifact's text above the evidence section. Raises ModelFault.

    Ids are rendered as the model gave them: whether each resolves is checked afterwards (I6).
    """
    draft = model.answer(request(case, prompt, model), Draft)
    notice = (
        f"_Written by {inline(model.model)} from {page.count(len(case.evidence), 'signal')}. "
        "`[S-…]` cites a signal; its words and their place are under Evidence._"
    )
    parts = [page.heading(case.project.name, suffix), notice, page.figures(case.totals)]
    return "\n\n".join([*parts, *(_section(one) for one in draft.sections)])


def as_sent(case: Case, model: TextModel) -> Case:
    """The case as this model may see it: redacted before anything is cut, the same value by the same placeholder."""
    redaction = redaction_of(model)
    if redaction is None:
        return case
    placeholders = Placeholders()
    placeholders.avoid(*(value for one in case.evidence for value in one.__dict__.values() if isinstance(value, str)))

    def clean(value: str) -> str:
        return redaction.clean(value, placeholders)

    project = replace(case.project, name=clean(case.project.name), description=clean(case.project.description))
    evidence = []
    for one in case.evidence:
        evidence.append(
            replace(
                one,
                verbatim=clean(one.verbatim),
                title=clean(one.title),
                interpretation=clean(one.interpretation or "") or None,
                segment=clean(one.segment or "") or None,
                speaker=clean(one.speaker or "") or None,
            )
        )
    return replace(case, project=project, evidence=tuple(evidence))


def _section(section: Section) -> str:
    lines = [f"- {page.statement(one.text, one.signal_ids)}" for one in section.statements]
    return f"## {inline(section.heading)}\n\n" + "\n".join(lines or ["Nothing in the evidence speaks to this."])


def material(case: Case) -> str:
    """The project, the figures and the evidence, each in its envelope."""
    totals = case.totals
    numbers = (
        f"{totals.signals} signals, {totals.documents} documents, {totals.people} people named, "
        f"first heard {page.day(totals.first)}, last heard {page.day(totals.last)}"
    )
    return "\n".join(
        [
            envelope("project", f"{case.project.name}\n{case.project.description}"),
            envelope("totals", numbers),
            *(_signal(one) for one in case.evidence),
        ]
    )


def _signal(one: Evidence) -> str:
    known = {
        "severity": one.severity,
        "frequency": one.frequency,
        "segment": one.segment,
        "speaker": one.speaker,
        "date": one.occurred_at.date().isoformat() if one.occurred_at else None,
        "document": one.title,
        "interpretation": one.interpretation,
    }
    return envelope(
        "signal",
        one.verbatim[:_MAX_QUOTE_CHARS],
        id=one.signal_id,
        **{name: value for name, value in known.items() if value},
    )
