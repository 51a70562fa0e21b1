"""Files meant to break a reader, each with the outcomes that are right for it: kinds of refusal, or "read"."""

from __future__ import annotations

import base64
import gzip
import io
import random
import struct
import zipfile
from typing import TYPE_CHECKING

from documents.office_files import make_docx, make_pdf, make_xlsx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A file's path, what is in it, or how it is made where that takes long, and what is right to come of it.
Hostile = tuple[str, "bytes | Callable[[], bytes]", set[str]]
_BOMB = 120 << 20


def make_zip(entries: dict[str, bytes | str], *, flags: int = 0) -> bytes:
    """A zip of these entries; `flags` are set in every header (1: encrypted)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    data = bytearray(stream.getvalue())
    if flags:
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(magic)
            while place >= 0:
                struct.pack_into("<H", data, place + offset, flags)
                place = data.find(magic, place + 4)
    return bytes(data)


def _swap(data: bytes, name: str, content: bytes) -> bytes:
    """The archive with one entry replaced."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries: dict[str, bytes | str] = {entry: archive.read(entry) for entry in archive.namelist()}
    return make_zip({**entries, name: content})


_ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">'.encode() for n in range(9)
)
_OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
_DOCX_BODY = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
    b"%s</w:t></w:r></w:p></w:body></w:document>"
)


def _nested_zip(depth: int) -> bytes:
    data = make_zip({"day.json": b"[]"})
    for _ in range(depth):
        data = make_zip({"inner.zip": data})
    return data


def _cyclic_xlsx() -> bytes:
    rows = [["id", "comment"], [1, "=B3"], [2, "=B2"], [3, "The export is slow for all of us"]]
    return make_xlsx(Loop=rows)


def _far_cell_xlsx() -> bytes:
    data = make_xlsx(Far=[["id", "comment"], [1, "The export is slow for all of us"]])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    return _swap(data, "xl/worksheets/sheet1.xml", sheet.replace(b"</sheetData>", far))


def _bomb() -> bytes:
    return make_zip({"general/2026-01-01.json": bytes(_BOMB)})


def archives() -> Iterator[Hostile]:
    """Zips and Office files."""
    docx, xlsx = make_docx("The export is slow."), make_xlsx(A=[["id", "text"], [1, "The export is slow"]])
    yield "bomb.zip", _bomb, {"zip_bomb"}
    yield "bomb.docx", lambda: _swap(docx, "word/document.xml", bytes(_BOMB)), {"zip_bomb"}
    yield "bomb.xlsx", lambda: _swap(xlsx, "xl/sharedStrings.xml", bytes(_BOMB)), {"zip_bomb"}
    yield "nested-bomb.zip", lambda: make_zip({"inner.zip": _bomb()}), {"zip_bomb"}
    yield "matryoshka.zip", _nested_zip(12), {"zip_bomb"}
    yield "up.zip", make_zip({"../../etc/2026-01-01.json": "[]"}), {"unsafe_path"}
    yield "rooted.zip", make_zip({"/etc/2026-01-01.json": "[]"}), {"unsafe_path"}
    yield "windows.zip", make_zip({"..\\..\\2026-01-01.json": "[]"}), {"unsafe_path"}
    yield "drive.zip", make_zip({"C:\\x\\2026-01-01.json": "[]"}), {"unsafe_path"}
    yield "locked.zip", make_zip({"general/2026-01-01.json": "[]"}, flags=1), {"encrypted"}
    yield "locked.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), {"encrypted"}
    yield "old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), {"unknown_format"}
    yield "cut.docx", docx[: len(docx) // 2], {"broken"}
    yield "cut.xlsx", xlsx[:-40], {"broken"}
    yield "empty.zip", make_zip({}), {"no_text"}
    yield "photos.zip", make_zip({"a.jpg": b"\xff\xd8\xff"}), {"unknown_format"}
    yield (
        "entities.docx",
        _swap(docx, "word/document.xml", _ENTITIES + b"]>" + _DOCX_BODY % b"&j;"),
        {"broken", "no_text"},
    )
    yield "outside.docx", _swap(docx, "word/document.xml", _OUTSIDE + _DOCX_BODY % b"&e;"), {"broken", "no_text"}
    yield "cyclic.xlsx", _cyclic_xlsx(), {"read"}
    yield "far-cell.xlsx", _far_cell_xlsx(), {"broken", "timeout"}
    yield "pdf-inside.docx", make_pdf("The export is slow."), {"read"}
    yield "xlsx-inside.csv", xlsx, {"read"}
    yield "bad.json.zip", make_zip({"general/2026-01-01.json": "[{"}), {"broken"}
    yield "deep.zip", make_zip({"general/2026-01-01.json": "[" * 100_000}), {"broken"}


def pages() -> Iterator[Hostile]:
    """PDF, HTML, mails."""
    loop = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R]/Count 1>>endobj\n"
    yield "locked.pdf", make_pdf("Secret.", password="open sesame"), {"encrypted"}
    yield "cut.pdf", make_pdf("The export is slow.")[:400], {"broken", "no_text"}
    yield "head-only.pdf", b"%PDF-1.7\n", {"broken", "no_text"}
    yield "loop.pdf", loop + b"trailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF", {"broken", "no_text", "timeout"}
    yield "no-picture-text.pdf", make_pdf(""), {"no_text"}
    yield "text.pdf", b"I am no PDF at all.", {"broken"}
    yield "deep.html", b"<div>" * 20_000 + b"The export is slow" + b"</div>" * 20_000, {"read"}
    yield "script.html", b"<html><script>alert('export')</script><p>The export is slow.</p></html>", {"read"}
    yield "only-script.html", b"<html><script>alert('export is slow')</script></html>", {"no_text"}
    yield "unclosed.html", b"<html><body><!-- <p>The export", {"no_text", "read"}
    yield "html.csv", b"<!DOCTYPE html><html><body><p>Please sign in to export.</p></body></html>", {"read"}
    parts = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(3000))
    yield "deep.eml", ("From: a@b.c\n" + parts).encode(), {"broken", "no_text"}
    yield "no-headers.eml", b"\n\njust text about the export\n", {"broken"}
    yield "bad-charset.eml", b"From: a@b.c\nContent-Type: text/plain; charset=nonsense\n\nSlow \xfcber\n", {"read"}
    noise = base64.b64encode(bytes(range(256))).decode()
    head = "From: =?utf-8?b?////?= <a@b.c>\nContent-Transfer-Encoding: base64\n\n"
    yield "bad-header.eml", (head + noise).encode(), {"read", "broken", "binary"}


def texts() -> Iterator[Hostile]:
    """Text formats."""
    noise = random.Random(7).randbytes(20_000)
    yield "empty.txt", b"", {"empty"}
    yield "blank.md", b" \n\t\n\xef\xbb\xbf ", {"no_text"}
    yield "noise.txt", noise, {"binary"}
    yield "noise.csv", noise, {"binary"}
    yield "noise.xyz", noise, {"unknown_format"}
    yield "picture.txt", b"\x89PNG\r\n\x1a\n" + noise, {"binary"}
    yield "packed.csv", gzip.compress(b"id,text\n1,slow"), {"binary"}
    yield "program.md", b"\x7fELF" + noise, {"binary"}
    yield "nul.txt", b"The export\x00 is slow\x00\x00.", {"binary"}
    yield "escaped-nul.json", b'[{"text": "The export\\u0000 is slow"}]', {"read"}
    yield "surrogates.json", b'[{"id": "\\ud800x", "text": "The export \\udfff is \\ud83d slow"}]', {"read"}
    yield "deep.json", b"[" * 200_000 + b"]" * 200_000, {"broken"}
    yield "deep-object.json", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, {"broken"}
    yield "cut.json", b'[{"text": "The export', {"broken"}
    yield "huge-number.json", b'[{"id": ' + b"9" * 6000 + b', "text": "The export is slow"}]', {"broken", "read"}
    yield "nan.json", b'[{"text": "The export is slow", "rating": NaN}, {"text": "b c d", "rating": 1e999}]', {"read"}
    yield "bad-line.jsonl", b'{"text": "The export is slow"}\n{"text": \n', {"broken"}
    yield "numbers.json", b"[1, 2, 3]", {"no_text"}
    yield "open-quote.csv", b'id,text\n1,"The export is slow\n2,and never, ends\n3,x', {"broken"}
    yield "ragged.csv", b"id,text\n1,The export is slow,extra,more\n2\n3,Search is slow too\n", {"read"}
    yield "numbers.csv", b"a,b\n1,2\n3,4\n", {"no_text"}
    yield "formula.csv", b"id,text\n1,\"=cmd|' /C calc'!A0 is what they typed\"\n", {"read"}
    yield "no-cues.vtt", b"WEBVTT\n\nNOTE nothing\n", {"no_text"}
    yield "not-captions.vtt", b"Hello, this is prose.", {"broken", "no_text"}
    yield "bad-times.srt", b"1\n99:99:99,999 --> xx\nThe export\n", {"broken", "no_text"}
    bomb = "---\na: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\n---\nThe export is slow.\n"
    yield "yaml-bomb.md", bomb.encode(), {"read"}
    tagged = "---\ntitle: !!python/object/apply:os.system ['true']\n---\nThe export is slow.\n"
    yield "yaml-code.md", tagged.encode(), {"read"}
    yield "marks.txt", "\u202eThe export\u202c is s\u200blow \u2066now\u2069 e\u0301".encode(), {"read"}
    yield "lone-cr.txt", b"The export\ris slow\r\nand more", {"read"}
    yield "many-brackets.vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"<v " * 50_000, {"read", "no_text"}
    yield "many-colons.txt", (("A" * 39 + ":") * 30_000).encode(), {"read"}
    yield "many-spaces.md", b"# " + b" " * 200_000 + b"x\n" + b"- " * 50_000, {"read"}


def all_hostile() -> list[Hostile]:
    """Every hostile file but the large ones."""
    return [*archives(), *pages(), *texts()]
