"""The child process that parses risky files: limits its own memory and time, reads one request after another.

The parent's side is isolation.py. A request is a line of JSON and the file's bytes; an answer is a length and JSON.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.formats import read_here
from elmer_pipelines.documents.options import ReadingOptions, TableOptions
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Document

_GRACE = 30  # seconds past the time limit after which a worker whose parent has died ends itself


def main() -> None:
    """Answer requests from standard input until it closes."""
    answers = os.fdopen(os.dup(1), "wb")
    _be_quiet()
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        answer = _answer(request, data)
        answers.write(len(answer).to_bytes(8, "big") + answer)
        answers.flush()


def _be_quiet() -> None:
    """Parsers warn and print; that is for nobody's eyes."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def _answer(request: dict[str, Any], data: bytes) -> bytes:
    options = decode_options(request["options"])
    hard = options.worker_memory * 5 // 4  # the parent stops us at worker_memory; this is for what outruns it
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(int(options.timeout) + _GRACE)
    try:
        documents = read_here(request["path"], data, options)
        return json.dumps({"documents": [encode_document(document) for document in documents]}).encode()
    except UnreadableDocument as error:
        return json.dumps({"kind": error.kind, "message": str(error), "next_step": error.next_step}).encode()
    finally:
        signal.alarm(0)


def encode_document(document: Document) -> dict[str, Any]:
    """A document as JSON values, with its address."""
    return {"address": document.address, **document.content()}


def decode_options(value: dict[str, Any]) -> ReadingOptions:
    """The inverse of `dataclasses.asdict`, after a passage through JSON."""
    return ReadingOptions(**{**value, "tables": tuple(TableOptions(**table) for table in value["tables"])})


if __name__ == "__main__":
    main()
