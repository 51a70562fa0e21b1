"""Captions: WebVTT and SRT to turns of speech with times. Cues of one speaker become one turn, sentence by sentence."""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.draft import Draft, file_title, unique_names
from elmer_pipelines.documents.guards import broken, clean_value, no_text
from elmer_pipelines.documents.kinds import kind_from_path
from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.plain import date_in_name
from elmer_pipelines.documents.turns import label_of
from elmer_pipelines.documents.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from webvtt.models import Timestamp

    from elmer_pipelines.documents.options import ReadingOptions

_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]{1,10}([^>\n]{1,100})>")
_TAG = re.compile(r"</?[a-zA-Z0-9:.][^<>\n]{0,200}>")
_PAUSE = 8.0  # seconds of silence after which a new turn begins
_LONG_TURN = 600  # characters after which a turn ends with its sentence, so that times stay close to the words
_SENTENCE_END = re.compile(r"[.!?。!?…][\"'”’)]?$")


@dataclass
class _Spoken:
    speaker: str | None
    start: float
    end: float
    words: str
    role: str | None = None


def read_captions(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of a caption file, a segment per turn with its time in seconds."""
    text = decode(path, data)
    form = "webvtt" if text.lstrip().startswith("WEBVTT") else "srt"
    draft = Draft()
    voices = Voices()
    for turn in _turns(_speech(path, text, form)):
        customer = voices.is_customer(turn.speaker, turn.role)
        draft.turn(turn.speaker, turn.words, is_customer=customer, time=turn.start)
    if not draft.segments:
        raise no_text(path)
    return [
        Document(
            address=path,
            kind=kind_from_path(path) or "call",
            format=form,
            title=file_title(path),
            text=draft.text,
            segments=tuple(draft.segments),
            occurred_at=date_in_name(path),
            people=unique_names([segment.speaker for segment in draft.segments]),
        )
    ]


def _speech(path: str, text: str, form: str) -> Iterator[_Spoken]:
    """What is said, cue by cue; a cue with several voices gives several."""
    import webvtt

    try:
        captions = webvtt.from_buffer(io.StringIO(text.lstrip()), format="vtt" if form == "webvtt" else "srt")
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError, ValueError) as error:
        raise broken(path, "captions", error) from error
    last_line = ""
    speaker: str | None = None
    for cue in captions.captions:
        start, end = _seconds(cue.start_time), _seconds(cue.end_time)
        lines = [line for line in cue.raw_text.split("\n") if line.strip()]
        if lines and lines[0] == last_line and len(lines) > 1:
            lines = lines[1:]  # rolling captions show the last line again
        last_line = lines[-1] if lines else ""
        for voice, words in _voices_of("\n".join(lines)):
            role = None
            if voice is None and (label := label_of(words)):
                voice, role, words = label.speaker, label.role, words[label.words :]
                speaker = voice
            elif voice is None:
                voice = speaker
            yield _Spoken(voice, start, end, words, role)


def _seconds(stamp: Timestamp) -> float:
    hours, minutes, seconds, milliseconds = stamp.to_tuple()
    return hours * 3600.0 + minutes * 60.0 + seconds + milliseconds / 1000.0


def _voices_of(raw: str) -> Iterator[tuple[str | None, str]]:
    """The parts of a cue's text by `<v Speaker>` spans, other tags taken out."""
    pieces = _VOICE.split(raw)
    for voice, piece in zip([None, *pieces[1::2]], pieces[0::2], strict=True):
        words = clean_value(html.unescape(_TAG.sub("", piece)))
        if words:
            yield (clean_value(html.unescape(voice)) if voice else None), words


def _turns(spoken: Iterable[_Spoken]) -> Iterator[_Spoken]:
    """Cues of the same speaker joined until the speaker changes, a pause, or a sentence's end in a long turn."""
    turn: _Spoken | None = None
    for cue in spoken:
        if turn is not None and _goes_on(turn, cue):
            turn.words += " " + cue.words
            turn.end = cue.end
            continue
        if turn is not None:
            yield turn
        turn = cue
    if turn is not None:
        yield turn


def _goes_on(turn: _Spoken, cue: _Spoken) -> bool:
    if turn.speaker != cue.speaker or cue.start - turn.end > _PAUSE:
        return False
    enough = _LONG_TURN if turn.speaker else _LONG_TURN // 3
    if len(turn.words) > 4 * _LONG_TURN:
        return False  # speech without any stops
    return len(turn.words) < enough or not _SENTENCE_END.search(turn.words)
