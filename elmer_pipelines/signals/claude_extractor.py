"""Signals found by a text model: one question per window of a document. Where quotes belong is in `placing.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.errors import ModelFault, Waiting
from elmer_pipelines.models.prompts import envelope, load_prompt
from elmer_pipelines.models.protocols import Prompt, TextModel
from elmer_pipelines.signals.model import Frequency, Quote, Severity
from elmer_pipelines.signals.windows import Window, cut, windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from elmer_pipelines.documents.model import Document, Segment

PROMPT_FILE = Path(__file__).parent / "prompts" / "extract_signals.md"
WINDOW_CHARS = 24_000
MAX_ANSWER_TOKENS = 16_000  # thinking counts too; a window of 24,000 characters full of signals needs about 6,000
_RENDERING = 1  # raise when `material` changes: answers to another question are not comparable
_SPLIT = {"truncated", "too_large"}
_LEAST_WINDOW = 2_000  # characters: below this a cut-off answer is not the window's fault


class FoundSignal(BaseModel):
    """One signal as the model gives it."""

    quote: str
    turn: int | None = Field(description="The number n of the turn the quote is from.")
    interpretation: str | None
    severity: Severity | None
    frequency: Frequency | None
    segment: str | None


class FoundSignals(BaseModel):
    """All signals of one window."""

    signals: list[FoundSignal]


class ClaudeExtractor:
    """An Extractor that asks a text model, window by window.

    A window whose answer is cut off, or that is more than the model takes, is asked again in halves. `max_chars` and
    `overlap_segments` shape the windows.
    """

    def __init__(self, text_model: TextModel, *, max_chars: int = WINDOW_CHARS, overlap_segments: int = 2) -> None:
        self._text_model = text_model
        self._max_chars = max_chars
        self._overlap = overlap_segments
        self._prompt = load_prompt(PROMPT_FILE)

    @property
    def name(self) -> str:
        return self._text_model.model

    @property
    def determinants(self) -> Determinants:
        return Determinants.of(
            prompt=self._prompt.determinant,
            model=labelled(self._text_model.model),
            schema=FoundSignals.model_json_schema(),
            windows=labelled([self._max_chars, self._overlap]),
            answer_tokens=labelled(MAX_ANSWER_TOKENS),
            rendering=labelled(_RENDERING),
        )

    def prompts(self, document: Document) -> list[Prompt]:
        """What `extract` asks first, window by window; an answer that is cut off leads to more."""
        asked = (list(turns_of(document, window)) for window in windows(document, self._max_chars, self._overlap))
        return [self._asking(document, turns) for turns in asked if _speaks(turns)]

    def _asking(self, document: Document, turns: list[Segment]) -> Prompt:
        return Prompt(
            name=self._prompt.name,
            version=self._prompt.version,
            instructions=self._prompt.instructions,
            material=material(document, turns),
            max_tokens=MAX_ANSWER_TOKENS,
        )

    def extract(self, document: Document) -> list[Quote]:
        """The quotes of one document, window by window; overlaps may give one twice. Raises ModelFault, Waiting."""
        return self._of_windows(document, windows(document, self._max_chars, self._overlap))

    def _of_windows(self, document: Document, parts: Iterable[Window]) -> list[Quote]:
        """Every window is asked about before one that waits is told of, so that all wait in the same batch."""
        found: list[Quote] = []
        waiting: Waiting | None = None
        for part in parts:
            try:
                found.extend(self._of_window(document, part))
            except Waiting as one:
                waiting = one
        if waiting is not None:
            raise waiting
        return found

    def _of_window(self, document: Document, window: Window) -> list[Quote]:
        turns = list(turns_of(document, window))
        if not _speaks(turns):
            return []
        try:
            answer = self._text_model.answer(self._asking(document, turns), FoundSignals)
        except ModelFault as fault:
            if fault.kind not in _SPLIT or window.end - window.start < _LEAST_WINDOW:
                raise
            return self._of_windows(document, _smaller(document, window, turns))
        return [_as_quote(signal, document, window, turns) for signal in answer.signals]


def _speaks(turns: list[Segment]) -> bool:
    """Whether a customer says anything: windows of ours alone are not asked about."""
    return any(turn.is_customer for turn in turns)


def turns_of(document: Document, window: Window) -> Iterator[Segment]:
    """The segments inside the window, cut at its edges; the whole window where the document has none."""
    from dataclasses import replace

    from elmer_pipelines.documents.model import Segment

    for segment in document.segments or (Segment(0, len(document.text)),):
        start, end = max(segment.start, window.start), min(segment.end, window.end)
        if document.text[start:end].strip():
            yield replace(segment, start=start, end=end)


def _smaller(document: Document, window: Window, turns: list[Segment]) -> list[Window]:
    """The window in two between turns, or a single long turn in two or three between sentences."""
    middle = len(turns) // 2
    if middle:
        return [Window(window.start, turns[middle - 1].end), Window(turns[middle].start, window.end)]
    half = (window.end - window.start) // 2 + 1
    return [Window(*piece) for piece in cut(document.text, window.start, window.end, half)]


def material(document: Document, turns: list[Segment]) -> str:
    """The turns as the model sees them: what customers wrote only inside envelopes (I10)."""
    lines = [envelope("about", "", kind=document.kind, title=document.title)]
    for number, turn in enumerate(turns, start=1):
        labels = {"n": str(number), "role": "customer" if turn.is_customer else "us"}
        if turn.speaker:
            labels["speaker"] = turn.speaker
        if turn.heading:
            labels["context"] = turn.heading
        lines.append(envelope("turn", document.text[turn.start : turn.end], **labels))
    return "\n".join(lines)


def _as_quote(signal: FoundSignal, document: Document, window: Window, turns: list[Segment]) -> Quote:
    near = window.start
    if signal.turn is not None and 1 <= signal.turn <= len(turns):
        turn = turns[signal.turn - 1]
        near = turn.start + max(0, document.text[turn.start : turn.end].find(signal.quote.strip()))
    return Quote(
        words=signal.quote.replace("\0", ""),
        interpretation=_said(signal.interpretation),
        severity=signal.severity,
        frequency=signal.frequency,
        segment=_said(signal.segment),
        near=near,
    )


def _said(text: str | None) -> str | None:
    """What the model said, if anything; PostgreSQL can't keep a NUL, which JSON can hold."""
    return (text or "").replace("\0", "").strip() or None
