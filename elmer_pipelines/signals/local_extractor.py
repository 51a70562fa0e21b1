"""The extractor that needs no key: a small learned model and rules, said to be just that.

The model knows English feature mentions (local_model); requests, trouble and praise in English and German are found by
rules (local_rules); of other languages only length is known. What a kept sentence means is read in local_reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.errors import SettingsError
from elmer_pipelines.ids import text_hash
from elmer_pipelines.signals import local_features, local_reading, local_rules, sentences
from elmer_pipelines.signals.local_model import ALL, SHIPPED, Judgement, LocalModel, load_weights
from elmer_pipelines.signals.local_reading import frequency_of, interpretation_of, segment_in, severity_of
from elmer_pipelines.signals.local_rules import Cues, Language, cues_of, language_of, pattern, straight
from elmer_pipelines.signals.model import Quote
from elmer_pipelines.signals.sentences import split_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "local/elmer-signals-1"
_BATCH = 2_000  # sentences judged at once: bounds the memory of their letter n-grams to some 20 MB
_MENTION = 1.0  # margin for a plain mention outside reviews, where much is said of work and not of the product
_PRAISE = -0.7
_STRONG_WORDS = 5
_LEAST_WORDS = 3
_OPENING = 1_000  # characters in which an automatic reply says that it is one
_CONTEXT = 20_000  # characters of one speaker's words searched for who they are
_FOREIGN_WORDS, _FOREIGN_LETTERS = 6, 10
_WORDLESS = Judgement(float("-inf"), ())


@dataclass(frozen=True)
class _Candidate:
    document: int
    start: int
    words: str
    cues: Cues
    language: Language
    kind: str
    segment: str | None


class LocalExtractor:
    """An Extractor on this machine: no key, no cost, the same answer every time.

    `model` names one of the weights file's models: `all`, or `without_<group>` for honest evaluation. Raises
    SettingsError where the file can't be read or has no such model.
    """

    def __init__(self, model: str = ALL, weights: Path = SHIPPED) -> None:
        self._file = load_weights(weights)
        if model not in self._file.models:
            raise SettingsError(
                f"{weights.name} has no model {model!r}; it has {', '.join(sorted(self._file.models))}."
            )
        self._model_name = model
        self._model = LocalModel(self._file.models[model])

    @property
    def name(self) -> str:
        return NAME

    @property
    def determinants(self) -> Determinants:
        """The weights, the word vectors' package, and the source of every rule."""
        return Determinants.of(
            model=labelled([NAME, self._model_name], NAME),
            weights=self._file.fingerprint,
            vectors=labelled(_vectors_version()),
            rules=_rules_hash(),
        )

    def extract(self, document: Document) -> list[Quote]:
        """The sentences of the customer's segments that say something of the product, each at its exact place."""
        return self.extract_many([document])[0]

    def extract_many(self, documents: Sequence[Document]) -> list[list[Quote]]:
        """For each document what `extract` gives, many times faster; memory is bounded by the documents given."""
        found: list[list[Quote]] = [[] for _ in documents]
        batch: list[_Candidate] = []
        for index, document in enumerate(documents):
            for candidate in _candidates(index, document):
                batch.append(candidate)
                if len(batch) >= _BATCH:
                    self._settle(batch, found)
                    batch = []
        self._settle(batch, found)
        return found

    def _settle(self, batch: list[_Candidate], found: list[list[Quote]]) -> None:
        english = [candidate for candidate in batch if candidate.language == "en"]
        judged = iter(self._model.judge([candidate.words for candidate in english]))
        for candidate in batch:
            judgement = next(judged) if candidate.language == "en" else _WORDLESS
            if _is_kept(candidate, judgement):
                found[candidate.document].append(_quote(candidate, judgement))


def _candidates(index: int, document: Document) -> Iterator[_Candidate]:
    """Every sentence a customer said, with what the rules see in it."""
    whole = (Segment(0, len(document.text)),)
    said = [segment for segment in document.segments or whole if segment.is_customer]
    if document.kind == "email" and pattern("cues", "any", "auto_reply").search(document.text, 0, _OPENING):
        return
    stated = local_reading.segment_of_metadata(document.metadata)
    speakers: dict[str | None, tuple[str | None, Language]] = {}
    for segment in said:
        if segment.speaker not in speakers:
            own = _words_of_speaker(document, said, segment.speaker)
            speakers[segment.speaker] = (stated or segment_in(straight(own)), language_of(own))
        who, usual = speakers[segment.speaker]
        for start, end in split_sentences(document.text, segment.start, segment.end):
            words = document.text[start:end]
            language = language_of(words, usual)
            yield _Candidate(index, start, words, cues_of(words, language), language, document.kind, who)


def _words_of_speaker(document: Document, said: list[Segment], speaker: str | None) -> str:
    parts, size = [], 0
    for segment in said:
        if segment.speaker == speaker:
            parts.append(document.text[segment.start : min(segment.end, segment.start + _CONTEXT - size)])
            size += len(parts[-1])
            if size >= _CONTEXT:
                break
    return "\n".join(parts)


def _is_kept(candidate: _Candidate, judgement: Judgement) -> bool:
    cues = candidate.cues
    if cues.boilerplate or cues.words == 0 or (cues.small_talk and not (cues.problem or cues.request)):
        return False
    if candidate.language == "other":
        letters = sum(character.isalpha() for character in candidate.words)
        spaced = cues.words >= _FOREIGN_WORDS
        return spaced or (letters >= _FOREIGN_LETTERS and not candidate.words.isascii() and cues.words <= 2)
    if candidate.kind == "review" and candidate.language == "en":
        return judgement.margin >= 0 or (cues.strong and cues.words >= _STRONG_WORDS)
    if not (cues.problem or cues.request or cues.praise) and _introduces(candidate.words):
        return False
    return _says_something(cues, judgement, candidate.language)


def _introduces(words: str) -> bool:
    """Whether somebody says who they are: "I'm the administrator here"."""
    return any(pattern("segment", kind).search(straight(words)) for kind in ("role", "role_de"))


def _says_something(cues: Cues, judgement: Judgement, language: Language) -> bool:
    """Talk is wider than a review: it takes a request, trouble or praise, or a clear mention of a feature."""
    if cues.question:
        return cues.words >= 4 and (cues.request is not None or (cues.problem is not None and cues.words >= 6))
    if cues.problem or cues.request:
        return cues.words >= _LEAST_WORDS
    if cues.praise:
        return cues.words >= 5 and (language == "de" or judgement.margin >= _PRAISE)
    return cues.words >= 6 and cues.personal and judgement.margin >= _MENTION


def _quote(candidate: _Candidate, judgement: Judgement) -> Quote:
    said, cues = straight(candidate.words), candidate.cues
    return Quote(
        words=candidate.words,
        interpretation=interpretation_of(said, cues, judgement.spans),
        severity=severity_of(said, cues),
        frequency=frequency_of(said),
        segment=candidate.segment,
        near=candidate.start,
    )


def _vectors_version() -> str:
    from importlib.metadata import version

    return version("wordllama")


@lru_cache(maxsize=1)
def _rules_hash() -> str:
    """Of the source itself: a version number would one day not be raised."""
    modules = (sentences, local_features, local_rules, local_reading)
    files = [Path(__file__), local_rules.PATTERNS, *(Path(module.__file__) for module in modules if module.__file__)]
    return text_hash("\n".join(file.read_text(encoding="utf-8") for file in files))
