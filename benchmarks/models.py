"""What the machinery around a service's models costs: time over ideal, use of the allowance, requests, cached calls.

The server is the tests' own, in a process of its own; PostgreSQL is real. Every time is set against the ideal of the
same run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result import Result
from elmer_pipelines.accounts import SharedAllowance
from elmer_pipelines.ledger import Ledger
from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.chains import text_chain
from elmer_pipelines.models.limited import Limiter
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.prompts import envelope
from elmer_pipelines.models.protocols import Prompt
from elmer_pipelines.models.recorded import CallContext
from elmer_pipelines.signals.claude_extractor import FoundSignals
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.models.cached import Cached

_SERVER = Path(__file__).parent.parent / "tests" / "servers" / "model_server.py"
_CALLS, _LATENCY_S = 1_000, 0.3
_AT_ONCE = (8, 32, 128)
_PER_MINUTE, _BURST, _LIMITED_CALLS = 600, 60, 210
_EMBEDDINGS = 10_000
_WORDS = "The export loses a third of the rows every month and accounting complains to me about it. "


def run() -> list[Result]:
    """Ratios in one run: time over calls x latency / C, allowance used, requests for vectors, ms a cached call."""
    folder = Path(tempfile.mkdtemp(prefix="elmer-bench-"))
    folder.chmod(0o755)
    own = EmbeddedServer(folder, fast=True)
    try:
        own.start()
        database = Database(own.url())
        database.migrate()
        with database.begin() as connection:
            workspaces.register(connection, "bench", "Bench", str(folder))
        try:
            return [*_unlimited(database), _cached(database), *_limited(database), _requests()]
        finally:
            database.close()
    finally:
        own.stop()
        own.remove()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """The tests' server in a process of its own; its URL."""
    process = subprocess.Popen([sys.executable, str(_SERVER), *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def counters(url: str) -> dict[str, Any]:
    """What the server counted so far."""
    with urllib.request.urlopen(f"{url}/counters") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _prompt(name: str, number: int) -> Prompt:
    return Prompt("bench", 1, "Find signals.", envelope("turn", f"{_WORDS}{name} {number}.", n="1", role="customer"))


def _ask(model: Cached, name: str, calls: int, at_once: int) -> float:
    """Seconds for so many different questions on so many threads."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(lambda number: model.answer(_prompt(name, number), FoundSignals), range(calls)):
            pass
    return time.perf_counter() - began


def _unlimited(database: Database) -> list[Result]:
    import anthropic  # noqa: F401 - two seconds that belong to no call

    rows = []
    with serving("--latency-s", str(_LATENCY_S)) as url:
        for at_once in _AT_ONCE:
            calls = _CALLS if at_once > _AT_ONCE[0] else _CALLS // 4
            adapter = AnthropicText("claude-haiku-5-5", "key", url)
            rows.append(_bare(adapter, at_once))
            limiter = Limiter(SharedAllowance(database, f"unlimited {at_once}", adapter.model), most=at_once)
            ledger = Ledger(database, CallContext("bench", "signals"))
            seconds = _ask(text_chain(adapter, ledger, ledger.context, limiter=limiter), str(at_once), calls, at_once)
            adapter.close()
            on = f"{calls:,} calls of {_LATENCY_S} s, C = {at_once}"
            rows.append(Result("time over ideal", on, seconds / (calls * _LATENCY_S / at_once), "x"))
    return rows


def _bare(adapter: AnthropicText, at_once: int) -> Result:
    """What this machine and the SDK make of it without our wrappers."""
    calls = _CALLS // 4
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(lambda number: adapter.raw(_prompt("bare", number), FoundSignals), range(calls)):
            pass
    seconds = time.perf_counter() - began
    on = f"{calls:,} calls of {_LATENCY_S} s, C = {at_once}"
    return Result("the SDK alone, time over ideal", on, seconds / (calls * _LATENCY_S / at_once), "x")


def _cached(database: Database) -> Result:
    """All of the last round again, from the cache."""
    adapter = AnthropicText("claude-haiku-5-5", "key", "http://127.0.0.1:9")  # nobody answers there
    ledger = Ledger(database, CallContext("bench", "signals"))
    model = text_chain(adapter, ledger, ledger.context)
    model.answer(_prompt(str(_AT_ONCE[-1]), 0), FoundSignals)
    seconds = _ask(model, str(_AT_ONCE[-1]), _CALLS, 1)
    ledger.flush()
    return Result("cached call", f"{_CALLS:,}, one after the other", seconds / _CALLS * 1_000, "ms a call")


def _limited(database: Database) -> list[Result]:
    options = ("--latency-s", str(_LATENCY_S), "--requests-per-minute", str(_PER_MINUTE), "--burst", str(_BURST))
    with serving(*options) as url:
        adapter = AnthropicText("claude-haiku-5-5", "key", url)
        limiter = Limiter(SharedAllowance(database, "limited", adapter.model))
        ledger = Ledger(database, CallContext("bench", "signals"))
        _ask(text_chain(adapter, ledger, ledger.context, limiter=limiter), "limited", _LIMITED_CALLS, 64)
        counted = counters(url)
        adapter.close()
    on = f"{_LIMITED_CALLS} calls at {_PER_MINUTE} a minute"
    served = counted["asked"] - counted["refused"]
    return [
        Result("share of the allowance used", on, served / counted["allowed"], ""),
        Result("share of requests refused", on, counted["refused"] / counted["asked"], ""),
    ]


def _requests() -> Result:
    adapter = OpenAIEmbeddings(api_key="key", base_url="http://127.0.0.1:9/v1")
    texts = [f"{_WORDS}Number {number}." for number in range(_EMBEDDINGS)]
    return Result("requests for vectors", f"{_EMBEDDINGS:,} signals", len(adapter.requests(texts)), "requests")
