"""Small real files of the Office formats, made when a test asks for them."""

from __future__ import annotations

import io
from typing import Any

import docx
import openpyxl
import pptx
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate


def make_pdf(*paragraphs: str, password: str | None = None) -> bytes:
    """A PDF with a paragraph each; `\\f` alone begins a new page."""
    stream, style = io.BytesIO(), getSampleStyleSheet()["Normal"]
    lock = StandardEncryption(password, canPrint=0) if password else None
    pieces: list[Any] = [PageBreak() if text == "\f" else Paragraph(text, style) for text in paragraphs]
    SimpleDocTemplate(stream, encrypt=lock).build(pieces)
    return stream.getvalue()


def make_docx(*paragraphs: str, heading: str = "Interview notes") -> bytes:
    """A Word file: a heading, then paragraphs; words between `**` are bold."""
    document = docx.Document()
    document.add_heading(heading, 1)
    for text in paragraphs:
        paragraph = document.add_paragraph()
        for number, run in enumerate(text.split("**")):
            paragraph.add_run(run).bold = number % 2 == 1
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def make_pptx(title: str, body: str, notes: str) -> bytes:
    """A presentation of one slide with notes."""
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = title
    slide.placeholders[1].text = body
    slide.notes_slide.notes_text_frame.text = notes
    stream = io.BytesIO()
    show.save(stream)
    return stream.getvalue()


def make_xlsx(**sheets: list[list[Any]]) -> bytes:
    """A workbook with these rows on these sheets."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
