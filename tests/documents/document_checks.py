"""What holds for every document, whatever it was read from."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Document


def check_document(document: Document) -> None:
    """Text safe to store, segments in order, apart, inside and not blank, values that JSON can hold."""
    text = document.text
    assert "\x00" not in text
    assert "\r" not in text
    assert not re.search("[\ud800-\udfff]", text + document.title + document.address + "".join(document.people))
    assert document.title
    assert document.segments
    before = 0
    for segment in document.segments:
        assert before <= segment.start < segment.end <= len(text)
        assert text[segment.start : segment.end].strip()
        before = segment.end
    assert document.occurred_at is None or document.occurred_at.utcoffset() == timedelta(0)
    written = json.dumps(document.content(), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in written
    written.encode()


def said(document: Document) -> list[tuple[str | None, bool, str]]:
    """Who says what: speaker, whether a customer, words."""
    return [(s.speaker, s.is_customer, document.text[s.start : s.end]) for s in document.segments]
