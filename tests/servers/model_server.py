"""A loopback server that speaks the Anthropic Messages and the OpenAI protocols, with scripted faults.

What it says is in `answers.py`, what it allows in `allowing.py`. `python model_server.py PORT` runs it alone, to try
the API path without a key; `--help` tells how it can be slow or strict.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import re
import socket
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

if __package__:
    from servers import chat, streams
    from servers import vectors as vectors_of
    from servers.allowing import Allowing
    from servers.answers import answer
    from servers.batches import Answered, Batches
else:
    import chat
    import streams
    import vectors as vectors_of
    from allowing import Allowing
    from answers import answer  # run as a program
    from batches import Answered, Batches

Json = dict[str, Any]
_LEAST_CACHED = 1_024  # tokens
THOUGHT = chat.THOUGHT
RETIRED = ("claude-sonnet-4-", "claude-3", "claude-opus-4-0", "claude-opus-4-2025")


@dataclass(frozen=True)
class Call:
    """One request as it came, with its endpoint: `messages`, `completions`, `embeddings` or `models`."""

    endpoint: str
    headers: dict[str, str]
    body: Json
    prefixes: set[str] = field(default_factory=set, compare=False, repr=False)  # those the service has in its cache


class Refused(Exception):
    """The request breaks a rule of the protocol; becomes an error answer."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


@dataclass
class Reply:
    """A status, headers and a body; `drop` closes the connection instead, `broken` (`cut`, `stall`) halfway.

    `slow` sends an eighth of the body every tenth of a second.
    """

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    drop: bool = False
    broken: str = ""


class ModelServer:
    """A running server on a free port of the loopback; `calls` is every request that came.

    `script(endpoint, *names)` decides about the next requests in turn (`ok` answers as usual), `choose` about those for
    which nothing is scripted. Names for all:
    auth, billing, permission, not_found, quota, quota:CODE, rate_limit, rate_limit:SECONDS, overloaded, http_500,
    invalid, slow_request, conflict, unprocessable, unavailable, gateway_timeout, too_large, oversize, no_model,
    malformed, html, empty_object, error_in_200, error_event, hang, drop, cut, stall. For messages and completions:
    truncated, no_stop_reason, refusal, off_schema, all_none, and of those asked for as streams stream_end,
    stream_error, slow, whole; for messages also context_full, paused; for completions also content_filter, no_choices,
    fenced, without:PARAMETER.
    For embeddings: reversed, short, wrong_size, not_finite, zero, bad_base64, same_index, floats.

    `batches` are message batches. Instructions of 1,024 tokens and more that a request marks are written to the
    service's cache once and read from it after that, as its usage tells.

    Every request is answered `latency_s` seconds late. With `requests_per_minute` there is an allowance that comes back
    evenly, of which at most `burst` (default: a minute's worth) are kept; headers tell of it, and who asks for more is
    refused with 429. GET /counters gives `counters()`.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        latency_s: float = 0.0,
        requests_per_minute: float | None = None,
        burst: float | None = None,
        remember: bool = True,
    ) -> None:
        self.calls: list[Call] = []
        self._latency_s = latency_s
        self._remember = remember
        self._allowing = Allowing(requests_per_minute, burst) if requests_per_minute else None
        self._asked = self._refused = self._in_flight = self._most = 0
        self._scripts: dict[str, deque[str]] = {name: deque() for name in _ENDPOINTS}
        self._lock = threading.Lock()
        self.choose: Callable[[Call], str] = lambda call: "ok"
        self.released = threading.Event()
        self.pause_s = 0.1  # between two pieces of a slow answer
        self._prefixes: set[str] = set()
        self.batches = Batches(lambda endpoint, body, name: _body(Call(endpoint, {}, body, self._prefixes), name))
        self._http = _Http(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="model-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for anthropic."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """The base URL for openai."""
        return self.url + "/v1"

    def start(self) -> ModelServer:
        self.batches.url = self.url
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer nobody any more, end all threads, close all sockets."""
        self.released.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join(5)

    def script(self, endpoint: str, *names: str) -> None:
        with self._lock:
            self._scripts[endpoint].extend(names)

    def count(self, endpoint: str | None = None) -> int:
        """Requests so far, of one endpoint or all."""
        with self._lock:
            return sum(endpoint in (None, call.endpoint) for call in self.calls)

    def counters(self) -> dict[str, float]:
        """Requests asked and refused for their rate, the most that were in flight at once, and what would be allowed.

        `allowed` is what the allowance has been since the first request: what was kept then, and what came since.
        """
        with self._lock:
            found: dict[str, float] = {"asked": self._asked, "refused": self._refused, "in_flight_max": self._most}
            return found | ({"allowed": self._allowing.so_far()} if self._allowing else {})

    def reset(self) -> None:
        """Forget calls, scripts and counts."""
        with self._lock:
            self._asked = self._refused = self._most = 0
            self.calls.clear()
            for script in self._scripts.values():
                script.clear()

    def reply(self, call: Call) -> Reply:
        with self._lock:
            if self._remember:
                self.calls.append(call)
            self._asked += 1
            self._in_flight += 1
            self._most = max(self._most, self._in_flight)
            script = self._scripts[call.endpoint]
            name = script.popleft() if script else None
            allowed, limits = self._allowing.ask(call.endpoint) if self._allowing else (True, {})
            self._refused += not allowed
        try:
            reply = self._answered(call, name) if allowed else _scripted("rate_limit:1", call, self.released)
            reply.headers |= limits
            return reply
        finally:
            with self._lock:
                self._in_flight -= 1

    def _answered(self, call: Call, name: str | None) -> Reply:
        if self._latency_s:
            self.released.wait(self._latency_s)
        try:
            _check_key(call)
            call = replace(call, prefixes=self._prefixes)
            return _scripted(name or self.choose(call), call, self.released)
        except Refused as refused:
            return _error(call.endpoint, refused.status, refused.kind, refused.message)


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 1_024

    def __init__(self, address: tuple[str, int], owner: ModelServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the headers to be acknowledged
    wbufsize = 1 << 16
    server: _Http

    def log_message(self, format: str, *args: object) -> None:
        return None

    def do_GET(self) -> None:
        if self.path == "/counters":
            self._send(Reply(json.dumps(self.server.owner.counters()).encode()))
            return
        if self._of_batches(self.server.owner.batches.get(self.path)):
            return
        found = re.fullmatch(r"/v1/models(?:/([^/?]+))?/?(?:\?.*)?", self.path)
        if found is None:
            self._send(Reply(b'{"error": {"message": "no such endpoint"}}', 404))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.owner.reply(Call("models", headers, {"id": found[1]})))

    def do_DELETE(self) -> None:
        if not self._of_batches(self.server.owner.batches.delete(self.path)):
            self._send(Reply(b'{"error": {"message": "no such endpoint"}}', 404))

    def do_POST(self) -> None:
        raw = self.rfile.read(length := int(self.headers.get("content-length", "0")))
        if len(raw) < length:
            self.close_connection = True  # the client was killed while it asked
            return
        kind = self.headers.get("content-type", "")
        if self._of_batches(self.server.owner.batches.post(self.path.split("?")[0], kind, raw)):
            return
        endpoint = self.path.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        if endpoint not in _ENDPOINTS:
            self._send(Reply(b'{"error": {"message": "no such endpoint"}}', 404))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.owner.reply(Call(endpoint, headers, json.loads(raw))))

    def _of_batches(self, answered: Answered | None) -> bool:
        if answered is not None:
            status, body, drop = answered
            self._send(Reply(body, status, drop=drop))
        return answered is not None

    def _send(self, reply: Reply) -> None:
        if reply.drop:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.broken == "slow":
            step = len(reply.body) // 8 + 1
            for start in range(0, len(reply.body), step):
                self.wfile.write(reply.body[start : start + step])
                self.wfile.flush()
                self.server.owner.released.wait(self.server.owner.pause_s)
            return
        if reply.broken:
            self.close_connection = True
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.wfile.flush()
            if reply.broken == "stall":
                self.server.owner.released.wait(30)
            return
        self.wfile.write(reply.body)
        self.wfile.flush()


def _check_key(call: Call) -> None:
    if not re.fullmatch(r"Bearer \S+", call.headers.get("authorization", "")):
        raise Refused(401, "authentication_error", "no bearer token")
    if call.endpoint == "messages" and not call.headers.get("anthropic-version"):
        raise Refused(400, "invalid_request_error", "anthropic-version: header is required")


def _error(endpoint: str, status: int, kind: str, message: str, code: str = "", **headers: str) -> Reply:
    error: Json = {"type": kind, "message": message}
    if endpoint in ("embeddings", "completions"):
        error |= {"code": code or None, "param": None}
        body: Json = {"error": error}
    else:
        error |= {"details": {"error_code": code}} if code else {}
        body = {"type": "error", "error": error, "request_id": "req_loopback"}
    named = {"request-id": "req_loopback", "x-request-id": "req_loopback"}
    return Reply(json.dumps(body).encode(), status, {"content-type": "application/json", **named, **headers})


_ENDPOINTS = ("messages", "completions", "embeddings", "models")
_ENDINGS = ("stream_end", "stream_error", "slow", "whole")  # of streams only: the others end well
_STATUS_FAULTS = {
    "auth": (401, "authentication_error", ""),
    "billing": (402, "billing_error", ""),
    "permission": (403, "permission_error", ""),
    "not_found": (404, "not_found_error", ""),
    "overloaded": (529, "overloaded_error", ""),
    "http_500": (500, "api_error", ""),
    "invalid": (400, "invalid_request_error", ""),
    "too_large": (413, "invalid_request_error", ""),
    "slow_request": (408, "timeout_error", ""),
    "conflict": (409, "conflict_error", ""),
    "unprocessable": (422, "invalid_request_error", ""),
    "unavailable": (503, "api_error", ""),
    "gateway_timeout": (504, "timeout_error", ""),
}


def _scripted(name: str, call: Call, released: threading.Event) -> Reply:
    name, _, argument = name.partition(":")
    if name in _STATUS_FAULTS:
        status, kind, code = _STATUS_FAULTS[name]
        # A careless service repeats the key it was sent: no client may pass that on.
        return _error(call.endpoint, status, kind, f"scripted {name}, key {call.headers['authorization'][7:]}", code)
    if name == "quota":
        code = argument or ("enforced_spend_limit_reached" if call.endpoint == "messages" else "insufficient_quota")
        return _error(call.endpoint, 429, "rate_limit_error", "spend limit", code)
    if name == "rate_limit":
        waiting = {"retry-after": argument} if argument else {}
        return _error(call.endpoint, 429, "rate_limit_error", "too many requests", "rate_limit_exceeded", **waiting)
    if name == "oversize":
        openai = call.endpoint != "messages"
        said = "maximum context length is 8192 tokens" if openai else "prompt is too long: 9 tokens > 8 maximum"
        return _error(call.endpoint, 400, "invalid_request_error", said, "context_length_exceeded" if openai else "")
    if name == "no_model":
        said = f"model: {call.body['model']}"
        return _error(call.endpoint, 404, "not_found_error", said, "model_not_found")
    if name == "without" and argument in call.body:
        said = f"Unrecognized request argument supplied: {argument}"
        return _error(call.endpoint, 400, "invalid_request_error", said)
    if name == "malformed":
        return Reply(b'{"id": "msg_1", "content": [{"type"')
    if name == "html":
        return Reply(b"<html><body>Sign in to the hotel's network</body></html>", headers={"content-type": "text/html"})
    if name == "empty_object":
        return Reply(b"{}")
    if name in ("error_in_200", "error_event"):
        told: Json = {"type": "overloaded_error", "message": "Overloaded", "code": None}
        said = json.dumps({"type": "error", "error": told})
        if name == "error_event":
            return Reply(f"event: error\ndata: {said}\n\n".encode(), headers={"content-type": "text/event-stream"})
        return Reply(said.encode())
    if name in ("cut", "stall"):
        return replace(_scripted("ok", call, released), broken=name)
    if name in ("hang", "drop"):
        if name == "hang":
            released.wait(30)
        return Reply(b"", drop=True)
    ending, name = (name, "ok") if name in _ENDINGS else ("", name)
    body = _body(call, name)
    headers = {"content-type": "application/json", "request-id": "req_loopback", "x-request-id": "req_loopback"}
    headers["anthropic-ratelimit-requests-remaining"] = "999"
    if call.body.get("stream") and name != "all_none" and ending != "whole":
        return _streamed(call, body, ending, headers)
    return Reply(json.dumps(body).encode(), headers=headers)


def _streamed(call: Call, body: Json, ending: str, headers: dict[str, str]) -> Reply:
    """The answer as events; cut short without a word, or by an error, where the script says so."""
    events = streams.of(call.endpoint, body)
    if ending in ("stream_end", "stream_error"):
        events = events[: len(events) // 2]
    if ending == "stream_error":
        events.append(streams.error(call.endpoint, "overloaded_error"))
    headers = {**headers, "content-type": "text/event-stream; charset=utf-8"}
    return Reply(b"".join(events), headers=headers, broken="slow" if ending == "slow" else "")


def _body(call: Call, name: str) -> Json:
    if call.endpoint == "models":
        found = chat.listed(call.body["id"])
        if found is None:
            raise Refused(404, "not_found_error", f"model: {call.body['id']}")
        return found
    try:
        if call.endpoint == "completions":
            return chat.completion(call.body, "ok" if name == "without" else name)
        return (
            _messages(call.body, name, call.prefixes) if call.endpoint == "messages" else _embeddings(call.body, name)
        )
    except ValueError as error:
        raise Refused(400, "invalid_request_error", str(error)) from error


def _messages(body: Json, name: str, prefixes: set[str]) -> Json:
    _check_messages(body)
    system = body.get("system") or ""
    cached = _from_cache(system, prefixes)
    system = system if isinstance(system, str) else "".join(block["text"] for block in system)
    content = body["messages"][-1]["content"]
    user = content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
    schema = (body.get("output_config") or {}).get("format", {}).get("schema")
    said = json.dumps(answer(schema, system, user), ensure_ascii=False) if schema else "I have no schema to answer in."
    reasons = {"truncated": "max_tokens", "no_stop_reason": None, "refusal": "refusal"}
    reasons |= {"context_full": "model_context_window_exceeded", "paused": "pause_turn"}
    if name in ("truncated", "no_stop_reason", "context_full", "paused"):
        said = said[: len(said) // 2]
    elif name == "refusal":
        said = "I can't help with that."
    elif name == "off_schema":
        said = json.dumps({"unexpected": True})
    elif name not in ("ok", "all_none"):
        raise AssertionError(f"no fault of messages is named {name}")
    whole = {
        "id": f"msg_{zlib.crc32(user.encode()):08x}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "thinking", "thinking": "", "signature": "loopback"}, {"type": "text", "text": said}],
        "stop_reason": reasons.get(name, "end_turn"),
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "general_harms"} if name == "refusal" else None,
        "usage": {
            "input_tokens": math.ceil((len(system) + len(user)) / 4) - sum(cached.values()),
            "output_tokens": math.ceil(len(said) / 4) + THOUGHT,
            "output_tokens_details": {"thinking_tokens": THOUGHT},
            **cached,
        },
    }
    return dict.fromkeys(whole) if name == "all_none" else whole


def _from_cache(system: str | list[Json], prefixes: set[str]) -> dict[str, int]:
    """The tokens of marked instructions that were written to the cache or read from it: none of short ones."""
    blocks = [] if isinstance(system, str) else system
    prefix = "".join(block["text"] for block in blocks if block.get("cache_control"))
    tokens = len(prefix) // 4 if len(prefix) // 4 >= _LEAST_CACHED else 0
    read = prefix in prefixes
    prefixes.add(prefix)
    return {"cache_creation_input_tokens": 0 if read else tokens, "cache_read_input_tokens": tokens if read else 0}


def _check_messages(body: Json) -> None:
    model = str(body.get("model", ""))
    if model.startswith(RETIRED) and not model.startswith("claude-sonnet-4-6"):
        raise Refused(404, "not_found_error", f"model: {model}")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1 or not body.get("messages"):
        raise Refused(400, "invalid_request_error", "max_tokens and messages: field required")
    unknown = {"temperature", "top_p", "top_k"} & body.keys()
    if unknown or (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise Refused(400, "invalid_request_error", f"not supported: {sorted(unknown) or 'tool_choice'}")
    if body["messages"][-1]["role"] != "user":
        raise Refused(400, "invalid_request_error", "prefilling assistant messages is not supported")
    shapes = [(body.get("output_config") or {}).get("format", {}).get("schema") or {}]
    while shapes:
        shape = shapes.pop()
        if shape.get("type") == "object" and shape.get("additionalProperties") is not False:
            raise Refused(400, "invalid_request_error", "schema: additionalProperties must be false")
        shapes += [*shape.get("$defs", {}).values(), *shape.get("properties", {}).values()]
        shapes += [*shape.get("anyOf", []), *([shape["items"]] if isinstance(shape.get("items"), dict) else [])]


def _embeddings(body: Json, name: str) -> Json:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    dimensions = int(body.get("dimensions") or 1536)
    tokens = vectors_of.count_tokens(texts)
    vectors = [vectors_of.embedding(text, dimensions) for text in texts]
    as_floats = body.get("encoding_format") != "base64" or name in ("floats", "not_finite")
    if name in ("wrong_size", "not_finite", "zero"):
        vectors[0] = {"wrong_size": vectors[0][:-1], "zero": vectors[0] * 0, "not_finite": vectors[0] * np.nan}[name]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [float(x) for x in vector] if as_floats else base64.b64encode(vector.tobytes()).decode(),
        }
        for index, vector in enumerate(vectors)
    ]
    if name == "reversed":
        data.reverse()
    elif name == "short":
        data.pop()
    elif name == "same_index":
        data[-1]["index"] = 0
    elif name == "bad_base64":
        data[0]["embedding"] = "!!!not base64!!!"
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--requests-per-minute", type=float)
    parser.add_argument("--burst", type=float)
    alone = ModelServer(**vars(parser.parse_args()), remember=False).start()
    print(f"ANTHROPIC_BASE_URL={alone.url}\nOPENAI_BASE_URL={alone.openai_url}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        alone.stop()
