"""What a file really is, by its name checked against its content, and which reader takes it.

`read_here` does the reading in this process; reading.py decides which process that is.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from elmer_pipelines.documents import captions, mail, office, plain, slack, structured, tables
from elmer_pipelines.documents.guards import broken, check_archive, check_lengths, check_size, encrypted, no_text
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Callable

    from elmer_pipelines.documents.model import Document
    from elmer_pipelines.documents.options import ReadingOptions

_READERS: dict[str, Callable[[str, bytes, ReadingOptions], list[Document]]] = {
    "text": plain.read_plain,
    "captions": captions.read_captions,
    "table": tables.read_delimited,
    "xlsx": tables.read_spreadsheet,
    "json": structured.read_json,
    "jsonl": structured.read_json_lines,
    "slack": slack.read_slack_export,
    "pdf": office.read_pdf,
    "docx": office.read_docx,
    "pptx": office.read_pptx,
    "html": office.read_html,
    "eml": mail.read_mail,
}
_EXTENSIONS = {
    "md": "text", "markdown": "text", "txt": "text", "text": "text", "rst": "text", "log": "text", "": "text",
    "vtt": "captions", "srt": "captions", "csv": "table", "tsv": "table", "tab": "table",
    "xlsx": "xlsx", "xlsm": "xlsx", "json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "zip": "zip",
    "pdf": "pdf", "docx": "docx", "docm": "docx", "pptx": "pptx", "pptm": "pptx",
    "html": "html", "htm": "html", "xhtml": "html", "eml": "eml",
}  # fmt: skip
_BINARY_MAGIC = {
    b"\x89PNG": "a picture (PNG)", b"\xff\xd8\xff": "a picture (JPEG)", b"GIF8": "a picture (GIF)",
    b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive", b"Rar!": "a RAR archive",
    b"\x7fELF": "a program", b"MZ\x90": "a program", b"ID3": "a sound recording", b"RIFF": "a recording",
    b"OggS": "a recording", b"BZh9": "a bzip2 archive", b"\xfd7zXZ": "an xz archive", b"SQLite format 3": "a database",
}  # fmt: skip
_ZIP, _PDF, _OLE = b"PK\x03\x04", b"%PDF-", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EMPTY_ZIP = b"PK\x05\x06"
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,200}(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_FORMATS_READ = "Markdown, text, VTT, SRT, CSV, TSV, XLSX, JSON, JSONL, Slack export zip, PDF, DOCX, PPTX, HTML, EML"
_LARGE = 1 << 20  # bytes from which a cheap format, too, can take seconds and hundreds of megabytes
_LARGE_MAIL = 32 << 10  # bytes; the HTML parser for mails is quadratic on tags that never close


def is_risky(path: str, data: bytes) -> bool:
    """Whether parsing may crash, hang or eat the memory: then it happens in the worker."""
    binary = data.startswith((_ZIP, _EMPTY_ZIP, _OLE)) or _PDF in data[:1024]
    large = _LARGE_MAIL if _claimed(path) == "eml" else _LARGE
    return binary or len(data) > large or _claimed(path) == "html" or bool(_HTML.match(data))


def _claimed(path: str) -> str | None:
    name = path.rsplit("/", 1)[-1].lower()
    return _EXTENSIONS.get(name.rsplit(".", 1)[1] if "." in name else "")


def read_here(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """The documents of one file, read in this process.

    Raises UnreadableDocument, whatever goes wrong inside a parser.
    """
    check_size(path, len(data), options.max_bytes)
    form = identify(path, data, options)
    try:
        documents = _READERS[form](path, data, options)
    except UnreadableDocument:
        raise
    except RecursionError as error:
        raise broken(path, form, "nested too deeply") from error
    except MemoryError as error:
        raise too_much_memory(path) from error
    except Exception as error:
        raise broken(path, form, f"{type(error).__name__}: {error}") from error
    if not documents:
        raise no_text(path)
    check_lengths(documents, options.max_characters)
    return documents


def too_much_memory(path: str) -> UnreadableDocument:
    """The error for a file whose reading passes the worker's memory."""
    return UnreadableDocument(
        "broken", f"{path} needs more memory to read than is allowed.", next_step="Split the file, or save it again."
    )


def identify(path: str, data: bytes, options: ReadingOptions) -> str:
    """The name of the reader for these bytes.

    Raises UnreadableDocument: binary, encrypted, unknown_format, zip_bomb, unsafe_path, broken, no_text.
    """
    claimed = _claimed(path)
    if data.startswith((_ZIP, _EMPTY_ZIP)):
        check_archive(path, data, options)
        return _inside_zip(path, data)
    if _PDF in data[:1024] and (claimed == "pdf" or data.startswith(_PDF)):
        return "pdf"
    if data.startswith(_OLE):
        raise _old_office(path, data)
    for magic, what in _BINARY_MAGIC.items():
        if data.startswith(magic):
            raise UnreadableDocument("binary", f"{path} is {what}.", next_step=f"Remove it; read are {_FORMATS_READ}.")
    if not data.strip(b" \t\r\n\x0b\x0c\xef\xbb\xbf"):
        raise no_text(path, "It holds white space only; export it again, or remove it.")
    if claimed is None:
        raise UnreadableDocument(
            "unknown_format",
            f"{path} is of no known format.",
            next_step=f"Remove or convert it; read are {_FORMATS_READ}.",
        )
    return _among_texts(path, data, claimed)


def _among_texts(path: str, data: bytes, claimed: str) -> str:
    if claimed in ("pdf", "docx", "pptx", "xlsx", "zip"):
        extension = path.rsplit(".", 1)[-1]
        raise broken(path, extension.upper(), f"its content is not that of a .{extension} file")
    if claimed in ("text", "table", "json") and _HTML.match(data):
        return "html"
    if claimed == "text" and data.lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT"):
        return "captions"
    return claimed


def _inside_zip(path: str, data: bytes) -> str:
    """The Office format or export a checked archive holds, whatever its extension says."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    if "[Content_Types].xml" in names:
        for folder, form in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if any(name.startswith(folder) for name in names):
                return form
    if any(slack.DAY_FILE.fullmatch(name) for name in names):
        return "slack"
    if not names:
        raise no_text(path, "The archive is empty; remove it.")
    raise UnreadableDocument(
        "unknown_format",
        f"{path} is a zip archive, but neither an Office file nor a Slack export.",
        next_step="Unpack it and put its files into the folder.",
    )


def _old_office(path: str, data: bytes) -> UnreadableDocument:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return encrypted(path, "an Office file")
    return UnreadableDocument(
        "unknown_format",
        f"{path} is of an old Office format (before 2007) or a saved Outlook message.",
        next_step="Save it as DOCX, PPTX, XLSX or EML.",
    )
