"""The parent's side of the worker: starts it when first needed, replaces it after a crash or time-out, ends it.

What the worker does is in worker.py. Its environment holds none of ours, so no key can leak into a parser.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from elmer_pipelines.documents.formats import too_much_memory
from elmer_pipelines.documents.model import Document, Segment
from elmer_pipelines.errors import UnreadableDocument

if TYPE_CHECKING:
    from elmer_pipelines.documents.options import ReadingOptions

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
_BETWEEN_LOOKS = 0.05  # seconds
_START_ALLOWANCE = 20.0  # seconds a first request may take longer: imports on a busy machine


class Worker:
    """One child process, used by one thread at a time; others wait."""

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: str, data: bytes) -> list[Document]:
        """The documents of one file.

        Raises UnreadableDocument, also when the worker ran out of time (timeout) or died over the file (broken).
        """
        with self._lock:
            fresh = self._process is None or self._process.poll() is not None
            process = self._start() if fresh else self._process
            assert process is not None
            watch = self._ask(process, path, data, self._options.timeout + (_START_ALLOWANCE if fresh else 0))
        if watch.stopped == "memory":
            raise too_much_memory(path)
        if watch.stopped == "time":
            raise UnreadableDocument(
                "timeout",
                f"{path} took longer than {self._options.timeout:g} s to read.",
                next_step="Save it again in a simpler form, or split it.",
            )
        if watch.answer is None:
            raise _crash(path, process.returncode)
        return _decoded(watch.answer)

    def close(self) -> None:
        """End the worker at once, also in the middle of a file; a later read starts a new one."""
        running = self._process
        if running is not None:
            running.kill()
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        self._end()
        search = os.pathsep.join(dict.fromkeys([_PACKAGE_PARENT, *(p for p in sys.path if p)]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "elmer_pipelines.documents.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": search, "PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a Ctrl-C is the parent's to handle
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close_quietly(pipe)

    def _ask(self, process: subprocess.Popen[bytes], path: str, data: bytes, seconds: float) -> Watch:
        """The watch over one file, with its answer unless the worker was stopped or died over it."""
        watch = Watch(process, seconds, self._options.worker_memory)
        with watch:
            watch.answer = self._exchange(process, path, data)
        if watch.answer is None or watch.stopped:
            self._end()
        if watch.answer is not None:
            watch.stopped = None  # it was killed only after its answer was whole
        return watch

    def _exchange(self, process: subprocess.Popen[bytes], path: str, data: bytes) -> dict[str, Any] | None:
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"path": path, "size": len(data), "options": asdict(self._options)}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.write(data)
            process.stdin.flush()
        except BrokenPipeError:
            return None
        size = process.stdout.read(8)
        answer = process.stdout.read(int.from_bytes(size, "big")) if len(size) == 8 else b""
        if not answer or len(answer) < int.from_bytes(size, "big"):
            return None
        value: dict[str, Any] = json.loads(answer)
        return value


class Watch:
    """Kills a worker that passes its time or its memory over one file; `stopped` says which it was.

    The limit the kernel holds is higher: near that one, allocators can spend minutes asking again instead of failing.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float, memory: int) -> None:
        self.answer: dict[str, Any] | None = None
        self.stopped: Literal["memory", "time"] | None = None
        self._process = process
        self._deadline = time.monotonic() + seconds
        self._memory = memory
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_BETWEEN_LOOKS):
            if time.monotonic() > self._deadline:
                self._stop("time")
            elif _data_size(self._process.pid) > self._memory:
                self._stop("memory")

    def _stop(self, why: Literal["memory", "time"]) -> None:
        self.stopped = why
        self._over.set()
        self._process.kill()


def _data_size(pid: int) -> int:
    """Bytes in the data segment of a process, as RLIMIT_DATA counts them; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[5]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


def _close_quietly(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was left in the buffer was meant for the process that is gone


def _crash(path: str, code: int | None) -> UnreadableDocument:
    # aborted by an allocator, killed by the system when memory ran out, or a library that could not be loaded for it
    if code in (-6, -9, 127):
        return too_much_memory(path)
    return UnreadableDocument(
        "broken", f"{path} made its parser crash (exit code {code}).", next_step="Save the file again, or remove it."
    )


def _decoded(answer: dict[str, Any]) -> list[Document]:
    if "kind" in answer:
        raise UnreadableDocument(answer["kind"], answer["message"], next_step=answer["next_step"])
    return [_document(value) for value in answer["documents"]]


def _document(value: dict[str, Any]) -> Document:
    at = value["occurred_at"]
    return Document(
        **{
            **value,
            "segments": tuple(Segment.from_json(segment) for segment in value["segments"]),
            "occurred_at": datetime.fromisoformat(at) if at else None,
            "people": tuple(value["people"]),
        }
    )
