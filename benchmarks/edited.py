"""Calls to models after one of 10,000 documents is edited, up to the vectors; over those of the first run.

The server is the tests' own, in a process of its own; the steps, PostgreSQL and the SDKs are real.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.models import counters, serving
from benchmarks.result import Result
from elmer_pipelines.pipeline import Pipeline
from elmer_pipelines.settings import load_settings
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

DOCUMENTS = 10_000
_STEPS = ("documents", "signals", "signal_embeddings")


def run(documents: int = DOCUMENTS) -> list[Result]:
    """Calls of a first run, after an edit, and of a run with nothing to do; and the ratio of the first two."""
    folder = Path(tempfile.mkdtemp(prefix="elmer-bench-"))
    folder.chmod(0o755)
    own = EmbeddedServer(folder / "database", fast=True)
    try:
        own.start()
        with serving() as url, patch.dict(os.environ, _environment(folder, url)):
            database = Database(own.url())
            database.migrate()
            pipeline = Pipeline(load_settings(folder), database)
            try:
                return _measured(pipeline, folder / "acme", url, documents)
            finally:
                pipeline.close()
    finally:
        own.stop()
        own.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, url: str) -> dict[str, str]:
    return {
        "ELMER_HOME": str(folder / "home"),
        "ELMER_BATCH": "never",  # what is counted is one call after the other
        "ANTHROPIC_API_KEY": "key",
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": f"{url}/v1",
    }


def _measured(pipeline: Pipeline, place: Path, url: str, documents: int) -> list[Result]:
    place.mkdir()
    with pipeline.database.begin() as connection:
        workspaces.register(connection, "acme", "Acme", str(place))
    began = time.perf_counter()
    first = _calls(pipeline, place, url, documents, "every week")
    seconds = time.perf_counter() - began
    edited = _calls(pipeline, place, url, documents, "every single day")
    again = _calls(pipeline, place, url, documents, "every single day")
    on = f"{documents:,} documents"
    return [
        Result("calls of the first run", on, first, "calls"),
        Result("the first run, documents to vectors", on, seconds, "s"),
        Result("calls after one document is edited", on, edited, "calls"),
        Result("calls after an edit over those of the first run", on, edited / first, ""),
        Result("calls of a run with nothing to do", on, again, "calls"),
    ]


def _calls(pipeline: Pipeline, place: Path, url: str, documents: int, often: str) -> int:
    """Calls the server saw in a run over the documents, of which the one in the middle says `often`."""
    rows = [
        f"{number},The export of report {number} fails {often if number == documents // 2 else 'every week'}."
        for number in range(documents)
    ]
    (place / "tickets.csv").write_text("\n".join(["id,text", *rows]) + "\n")
    before = counters(url)["asked"]
    for step in _STEPS:
        result = pipeline.run(step, "acme")
        if result.failed or "stopped_by" in result.counts:
            raise RuntimeError(f"the step {step} did not end well: {result}")
    return int(counters(url)["asked"] - before)
