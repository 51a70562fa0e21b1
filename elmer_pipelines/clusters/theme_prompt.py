"""How Claude is asked to name a cluster: what it sees of it and of its siblings, and the shape of its answer.

Builds the prompt only; calling the model and storing the answer is the step's work.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, field_validator

from elmer_pipelines.clusters.themes import central_order, shortened, telling_quotes
from elmer_pipelines.models.prompts import envelope, load_prompt
from elmer_pipelines.models.protocols import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.clusters.themes import ClusterTexts, Theme
    from elmer_pipelines.models.prompts import PromptFile

SIBLINGS = 4
MAX_QUOTE_CHARS = 400
_TYPICAL_QUOTES = 12
_EDGE_QUOTES = 4
_SIBLING_QUOTES = 2
_PARTS = 12
_PROMPT = Path(__file__).parent / "prompts" / "name_theme.md"


class ThemeAnswer(BaseModel):
    """A cluster's name, summary and what sets it apart, as the model gives them."""

    name: str = Field(min_length=3, max_length=80, description="Two to six words, sentence case, no full stop.")
    summary: str = Field(min_length=10, max_length=600, description="One sentence on what these customers say.")
    distinction: str | None = Field(
        default=None, max_length=400, description="One sentence on what sets them apart from the siblings, or null."
    )

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        line = " ".join(name.split()).strip(" .\"'“”")
        if len(line) < 3:
            raise ValueError("the name has no words")
        return line


def prompt_file() -> PromptFile:
    """The instructions to name a cluster."""
    return load_prompt(_PROMPT)


def naming_prompt(
    cluster: ClusterTexts,
    theme: Theme,
    siblings: Sequence[tuple[ClusterTexts, Theme]],
    parts: Sequence[tuple[str, str]] = (),
) -> Prompt:
    """What the model sees of one cluster: its quotes from typical to marginal, its terms, and up to four siblings.

    Customer text stands in escaped envelopes, each quote cut to 400 characters. `theme` is the local one; `parts` are
    name and summary of the themes of an area, the largest first, of which it sees twelve.
    """
    file = prompt_file()
    shown = ["A cluster of signals:", "<cluster>", envelope("terms", ", ".join(theme.terms))]
    shown += [envelope("theme", shortened(f"{name}: {summary}", MAX_QUOTE_CHARS)) for name, summary in parts[:_PARTS]]
    order = central_order(cluster)
    rows = order[:_TYPICAL_QUOTES] + order[_TYPICAL_QUOTES:][-_EDGE_QUOTES:]
    shown += [envelope("quote", shortened(cluster.texts[row], MAX_QUOTE_CHARS)) for row in rows]
    shown.append("</cluster>")
    for other, other_theme in siblings[:SIBLINGS]:
        shown += ["<sibling>", envelope("terms", ", ".join(other_theme.terms))]
        for row in telling_quotes(other, _SIBLING_QUOTES):
            shown.append(envelope("quote", shortened(other.texts[row], MAX_QUOTE_CHARS)))
        shown.append("</sibling>")
    return Prompt(file.name, file.version, file.instructions, "\n".join(shown), max_tokens=4_000)


def nearest_siblings(clusters: Sequence[ClusterTexts]) -> dict[str, list[str]]:
    """For each cluster the ids of up to four others whose centroids are closest, the closest first."""
    ids = [cluster.cluster_id for cluster in clusters]
    if len(ids) < 2:
        return {cluster_id: [] for cluster_id in ids}
    centres = np.stack([cluster.vectors.mean(axis=0, dtype=np.float64) for cluster in clusters])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    similarity = np.round(centres @ centres.T, 6)
    return {
        own: [
            ids[other] for other in sorted(range(len(ids)), key=lambda o: (-similarity[row, o], ids[o])) if other != row
        ][:SIBLINGS]
        for row, own in enumerate(ids)
    }


def named(answer: ThemeAnswer, theme: Theme) -> Theme:
    """The local theme with the model's words; its terms and quotes stay."""
    distinction = " ".join((answer.distinction or "").split()) or None
    return replace(theme, name=answer.name, summary=" ".join(answer.summary.split()), distinction=distinction)
