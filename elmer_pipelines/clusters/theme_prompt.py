"""How Claude is asked to name a cluster: what it sees of it and of its siblings, and the shape of its answer.

Builds the prompt only; calling the model and storing the answer is the step's work.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, field_validator

from elmer_pipelines.clusters.themes import Theme, central_order, shortened
from elmer_pipelines.models.prompts import envelope, load_prompt
from elmer_pipelines.models.protocols import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elmer_pipelines.clusters.themes import ClusterTexts
    from elmer_pipelines.models.prompts import PromptFile

SIBLINGS = 4
MAX_QUOTE_CHARS = 400
_TYPICAL_QUOTES = 12
_EDGE_QUOTES = 4
_SIBLING_QUOTES = 2
_PROMPT = Path(__file__).parent / "prompts" / "name_theme.md"


class ThemeAnswer(BaseModel):
    """A cluster's name and summary as the model gives them."""

    name: str = Field(min_length=3, max_length=80, description="Two to six words, sentence case, no full stop.")
    summary: str = Field(min_length=10, max_length=600, description="One or two sentences on what these customers say.")

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


def naming_prompt(cluster: ClusterTexts, theme: Theme, siblings: Sequence[tuple[ClusterTexts, Theme]]) -> Prompt:
    """What the model sees of one cluster: its quotes from typical to marginal, its terms, and up to four siblings.

    Customer text stands in escaped envelopes, each quote cut to 400 characters. `theme` is the local one.
    """
    file = prompt_file()
    order = central_order(cluster)
    rows = order[:_TYPICAL_QUOTES] + order[_TYPICAL_QUOTES:][-_EDGE_QUOTES:]
    parts = [f"A cluster of {len(cluster.texts)} signals:", "<cluster>", envelope("terms", ", ".join(theme.terms))]
    parts += [envelope("quote", shortened(cluster.texts[row], MAX_QUOTE_CHARS)) for row in rows]
    parts.append("</cluster>")
    for other, other_theme in siblings[:SIBLINGS]:
        parts += ["<sibling>", envelope("terms", ", ".join(other_theme.terms))]
        for row in central_order(other)[:_SIBLING_QUOTES]:
            parts.append(envelope("quote", shortened(other.texts[row], MAX_QUOTE_CHARS)))
        parts.append("</sibling>")
    return Prompt(file.name, file.version, file.instructions, "\n".join(parts), max_tokens=4_000)


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
    """The local theme with the model's name and summary."""
    return Theme(answer.name, " ".join(answer.summary.split()), theme.terms, theme.central_signal_ids)


def siblings_of(
    cluster_id: str, clusters: Mapping[str, ClusterTexts], themes: Mapping[str, Theme], near: Mapping[str, list[str]]
) -> list[tuple[ClusterTexts, Theme]]:
    """The siblings of a cluster in the form `naming_prompt` takes."""
    return [(clusters[other], themes[other]) for other in near[cluster_id]]
