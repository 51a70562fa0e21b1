"""The sample workspace is what it says: many formats, two languages, one broken file, and needs told by many people."""

from __future__ import annotations

import pytest

from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.reading import Reader, ReadingOptions
from elmer_pipelines.documents.sources import fetch, list_sources
from elmer_pipelines.documents.workspace_file import read_workspace_file
from elmer_pipelines.errors import UnreadableDocument
from elmer_pipelines.settings import PROJECT
from elmer_pipelines.signals.local_extractor import LocalExtractor
from elmer_pipelines.signals.local_rules import language_of
from elmer_pipelines.signals.placing import place

ROOT = str(PROJECT / "examples")


@pytest.fixture(scope="module")
def read() -> tuple[list[Document], list[str]]:
    """Every document of the sample, and the files that can't be read."""
    options = ReadingOptions.of(read_workspace_file(ROOT))
    documents: list[Document] = []
    broken: list[str] = []
    with Reader(options) as reader:
        for source in list_sources(ROOT):
            try:
                documents += reader.read(source.path, fetch(ROOT, source, options.max_bytes))
            except UnreadableDocument:
                broken.append(source.path)
    return documents, broken


def test_forty_files_in_many_formats_one_of_them_broken(read: tuple[list[Document], list[str]]) -> None:
    documents, broken = read
    assert len(broken) == 1
    assert len(list_sources(ROOT)) >= 40
    assert len({document.format for document in documents}) >= 8
    assert {document.kind for document in documents} >= {
        "interview",
        "call",
        "ticket",
        "chat",
        "review",
        "email",
        "note",
    }
    assert all(document.occurred_at for document in documents)


def test_two_languages(read: tuple[list[Document], list[str]]) -> None:
    languages = [language_of(document.text) for document in read[0]]
    assert languages.count("de") >= 10
    assert languages.count("en") >= 60


def test_hundreds_of_signals_all_at_their_place(read: tuple[list[Document], list[str]]) -> None:
    documents, _ = read
    found = 0
    for document, quotes in zip(documents, LocalExtractor().extract_many(documents), strict=True):
        placed, rejected = place(document.text, quotes)
        assert rejected == []
        assert all(document.text[one.start : one.end] == one.verbatim for one in placed)
        found += len(placed)
    assert 250 <= found <= 600
