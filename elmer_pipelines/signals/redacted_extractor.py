"""An Extractor that a service works for: it sees the document without personal values; its quotes are brought back.

What counts as personal is in `models/personal.py`; placing the quotes is the caller's, in the original text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants
from elmer_pipelines.models.redaction import Placeholders, Redacted, Redaction

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Document, Segment
    from elmer_pipelines.signals.model import Extractor, Quote


class RedactedExtractor:
    """Hands the inner extractor a redacted document: one numbering for the whole of it, whatever its windows."""

    def __init__(self, extractor: Extractor, redaction: Redaction) -> None:
        self.inner, self.redaction = extractor, redaction

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def determinants(self) -> Determinants:
        return Determinants.of(**self.inner.determinants.parts, redaction=self.redaction.logic)

    def extract(self, document: Document) -> list[Quote]:
        """The quotes in the original's words; interpretations keep placeholders. Raises ModelFault."""
        without, redacted = redacted_document(document, self.redaction)
        return [_restored(quote, redacted) for quote in self.inner.extract(without)]


def redacted_document(document: Document, redaction: Redaction) -> tuple[Document, Redacted]:
    """The document with placeholders in its text, title, speakers and headings, and its text's way back."""
    segments = document.segments
    labels = [label for one in segments for label in (one.speaker, one.heading) if label]
    placeholders = Placeholders()
    placeholders.avoid(document.title, document.text, *labels)
    title = redaction.clean(document.title, placeholders)
    clean = {label: redaction.clean(label, placeholders) for label in dict.fromkeys(labels)}
    redacted = redaction.redact(document.text, placeholders, [at for one in segments for at in (one.start, one.end)])
    if redacted.text == document.text and title == document.title and all(k == v for k, v in clean.items()):
        return document, redacted

    def moved(one: Segment) -> Segment:
        return replace(
            one,
            start=redacted.position(one.start),
            end=redacted.position(one.end),
            speaker=clean.get(one.speaker or "", one.speaker),
            heading=clean.get(one.heading or "", one.heading),
        )

    return replace(document, title=title, text=redacted.text, segments=tuple(moved(one) for one in segments)), redacted


def _restored(quote: Quote, redacted: Redacted) -> Quote:
    near = None if quote.near is None else redacted.source_position(quote.near)
    return replace(quote, words=redacted.restore(quote.words, quote.near), near=near)
