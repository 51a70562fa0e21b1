"""PDF, DOCX, PPTX and HTML through markitdown's converters (no plugins). Runs in the worker: see isolation.py.

Archives have been checked by guards.py before they come here.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.decoding import decode
from elmer_pipelines.documents.guards import broken, clean_text, clean_value, encrypted
from elmer_pipelines.documents.plain import text_document

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Document
    from elmer_pipelines.documents.options import ReadingOptions

# text as people wrote it: no escapes, no marks of emphasis, no addresses behind links
_AS_WRITTEN: dict[str, Any] = {
    "escape_asterisks": False,
    "escape_underscores": False,
    "escape_misc": False,
    "strong_em_symbol": "",
    "strip": ["a", "img"],
}
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_-]{2,40})", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style|template|noscript)\b", re.IGNORECASE)
_SLIDE = re.compile(r"[ \t]*<!-- Slide number: \d+ -->[ \t]*")
_PICTURE = re.compile(r"^!\[[^\]\n]*\]\([^)\n]*\)[ \t]*$", re.MULTILINE)
_PAGE_NUMBER = re.compile(r"^[ \t]*(?:Page[ \t]+)?\d{1,4}(?:[ \t]*(?:/|of)[ \t]*\d{1,4})?[ \t]*$", re.MULTILINE)
_STARTS_ANEW = re.compile(r"[ \t]*(?:[-*•‣▪●|#>]|\d{1,3}[.)][ \t]|[\[(]?\d{1,2}:\d\d|[^\n:]{1,40}[:：](?:[ \t]|$))")
_OUR_UNDERLINE = re.compile(r"</?u>")


def read_html(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of an HTML file, scripts and other hidden parts dropped."""
    from markitdown.converters import HtmlConverter

    found = _META_CHARSET.search(data[:4096])
    try:
        source = clean_text(data.decode(found[1].decode("ascii"))) if found else decode(path, data)
    except (LookupError, UnicodeDecodeError):
        source = decode(path, data)
    result = HtmlConverter().convert_string(_without_hidden(source), **_AS_WRITTEN)
    title = clean_value(result.title)[:300] if result.title else None
    return [text_document(path, _tidy(result.markdown), form="html", title=title)]


def _without_hidden(source: str) -> str:
    """The page without what a browser does not show; an element that is never closed hides the rest of the page."""
    kept: list[str] = []
    at = 0
    while found := _HIDDEN.search(source, at):
        kept.append(source[at : found.start()])
        end = re.compile(rf"</{found.group(1)}\s*>", re.IGNORECASE).search(source, found.end())
        if end is None:
            return "".join(kept)
        at = end.end()
    return "".join([*kept, source[at:]])


def read_docx(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of a Word file."""
    from markitdown import StreamInfo
    from markitdown.converters import DocxConverter

    converter: Any = DocxConverter  # its constructor has no annotations
    result = converter().convert(io.BytesIO(data), StreamInfo(extension=".docx"), **_AS_WRITTEN)
    return [_office_document(path, _tidy(result.markdown), "docx", data)]


def read_pptx(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of a presentation: slides in order with their notes."""
    from markitdown import StreamInfo
    from markitdown.converters import PptxConverter

    converter: Any = PptxConverter  # its constructor has no annotations
    result = converter().convert(io.BytesIO(data), StreamInfo(extension=".pptx"), **_AS_WRITTEN)
    text = _PICTURE.sub("", _SLIDE.sub("", result.markdown.replace("\v", "\n")))
    return [_office_document(path, _tidy(text), "pptx", data)]


def read_pdf(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """One document of a PDF: lines joined to paragraphs, page numbers dropped."""
    from markitdown import StreamInfo
    from markitdown.converters import PdfConverter
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect
    from pdfminer.psexceptions import PSException

    try:
        result = PdfConverter().convert(io.BytesIO(data), StreamInfo(extension=".pdf"))
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise encrypted(path, "a PDF") from error
    except PSException as error:
        raise broken(path, "a PDF", error or type(error).__name__) from error
    pages = [_PAGE_NUMBER.sub("", page) for page in clean_text(result.markdown).split("\f")]
    return [text_document(path, _tidy("\n\n".join(_unwrapped(page) for page in pages)), form="pdf")]


def _unwrapped(page: str) -> str:
    """Lines broken by the page's width joined by spaces; every other line is a paragraph of its own."""
    lines = page.split("\n")
    full = 0.6 * max((len(line) for line in lines), default=0)
    paragraphs: list[str] = []
    before = ""
    for line in lines:
        goes_on = before.strip() and len(before) >= full and not _STARTS_ANEW.match(line)
        in_table = before.startswith("|") and line.startswith("|")
        if line.strip() and goes_on and not before.startswith("|"):
            paragraphs[-1] = f"{paragraphs[-1].rstrip()} {line.strip()}"
        elif line.strip() and in_table:
            paragraphs[-1] += "\n" + line.rstrip()
        elif line.strip():
            paragraphs.append(line.rstrip())
        before = line
    return "\n\n".join(paragraphs)


def _tidy(text: str) -> str:
    text = _OUR_UNDERLINE.sub("", clean_text(text)).replace("\f", "\n\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip(" \t") for line in text.split("\n"))).strip()


def _office_document(path: str, text: str, form: str, data: bytes) -> Document:
    """A document with what the file's core properties say of its author and day; templates keep old titles."""
    return text_document(path, text, form=form, metadata=_core_properties(data))


def _core_properties(data: bytes) -> dict[str, Any]:
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            root: Any = fromstring(archive.read("docProps/core.xml"))
    except (KeyError, ParseError, ValueError):
        return {}
    values = {element.tag.rsplit("}", 1)[-1]: clean_value(element.text or "")[:200] for element in root}
    return {name: values[name] for name in ("title", "creator", "created", "modified") if values.get(name)}
