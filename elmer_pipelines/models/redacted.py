"""Models that are services, wrapped so that no personal value reaches them: the outermost link of either chain.

What is inside (cache, ledger, budget) sees redacted texts only, so their fingerprints cover what was really sent.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from elmer_pipelines.models.protocols import reject
from elmer_pipelines.models.redaction import Placeholders, Redaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from elmer_pipelines.models.protocols import Answer, EmbeddingModel, Prompt, SimilarityScale, TextModel

_TAG = re.compile(r"(</?[a-z][a-z0-9_]*(?: [a-z][a-z0-9_]*=\"[^\"<>]*\")*>)")
_ATTRIBUTE = re.compile(r" ([a-z][a-z0-9_]*)=\"([^\"<>]*)\"")
_OURS = frozenset({"id", "n", "role", "kind", "severity", "frequency", "date"})  # never a customer's words


class RedactedText:
    """A TextModel that sends materials without personal values; numbering begins anew with each call.

    What comes back keeps its placeholders. Where quotes must be placed, the document is redacted as a whole first
    (`signals/redacted_extractor.py`), and where a text is cut, before it is cut: half an address is no address.
    """

    def __init__(self, model: TextModel, redaction: Redaction) -> None:
        self._model, self.redaction = model, redaction

    @property
    def model(self) -> str:
        return self._model.model

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        """One validated answer. Raises ModelFault."""
        return self._model.answer(self._clean(prompt), schema)

    def reject(self, prompt: Prompt, schema: type[BaseModel]) -> None:
        """The answer was of no use."""
        reject(self._model, self._clean(prompt), schema)

    def _clean(self, prompt: Prompt) -> Prompt:
        return replace(prompt, material=redacted_material(prompt.material, self.redaction))


class RedactedEmbeddings:
    """An EmbeddingModel that sends texts without personal values; vectors stay under the original's hash."""

    def __init__(self, embedder: EmbeddingModel, redaction: Redaction) -> None:
        self._embedder, self.redaction = embedder, redaction

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def scale(self) -> SimilarityScale:
        return self._embedder.scale

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1. Raises ModelFault."""
        return self._embedder.embed([self.redaction.clean(text) for text in texts])


def redaction_of(model: object) -> Redaction | None:
    """What is kept back from this model; None where it gets texts as they are."""
    return model.redaction if isinstance(model, RedactedText | RedactedEmbeddings) else None


def unredacted(model: TextModel) -> TextModel:
    """The model inside, which would get texts as they are: to read stored answers by, never to be asked."""
    return model._model if isinstance(model, RedactedText) else model


def redacted_material(material: str, redaction: Redaction) -> str:
    """The material with placeholders, its envelopes as they were: texts and attributes are unescaped to be searched."""
    placeholders = Placeholders()
    placeholders.avoid(html.unescape(material))

    def attribute(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name in _OURS:
            return found.group()
        clean = redaction.clean(html.unescape(value), placeholders)
        return f' {name}="{html.escape(clean)}"'.replace("&#x27;", "&#39;")

    parts = _TAG.split(material)
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = _ATTRIBUTE.sub(attribute, part)
        elif part.strip():
            clean = redaction.clean(html.unescape(part), placeholders)
            parts[number] = html.escape(clean, quote=False)
    return "".join(parts)
