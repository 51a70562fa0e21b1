"""Message batches of the loopback server, as both services have them: Anthropic's and, with files, OpenAI's.

Requests are answered when a test says `end()`; results come in another order than requests. No socket is opened here.
"""

from __future__ import annotations

import email
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Answer = Callable[[str, Json, str], Json]  # endpoint, body, name of a fault or `ok`
Answered = tuple[int, bytes, bool]  # status, body, whether to drop the connection instead
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ENDPOINTS = {"/v1/chat/completions": "completions", "/v1/embeddings": "embeddings"}


@dataclass
class Batch:
    """One batch: its requests by custom id, and what came of them once it ended."""

    id: str
    provider: str
    requests: dict[str, Json]
    created: datetime
    endpoint: str = "messages"
    file: str = ""
    metadata: Json = field(default_factory=dict)
    ended: bool = False
    refused: str = ""
    results: list[Json] = field(default_factory=list)
    asked_for: int = 0


class Batches:
    """All batches of a server. `fate` decides what becomes of a request: `ok`, a fault of messages or completions,
    `expired`, `canceled`, or `errored:TYPE`.

    `script` names what comes of the next creations: `ok`, `lost` (made, but the answer never arrives), `drop` (not made
    either), `auth`, `overloaded`, `invalid`, or `refused:WHY` (OpenAI's validation, after it was made). A new batch is
    answered with 404 `unknown_for` times. `bodies` are the creations as they came, `deleted` the ids of what was
    deleted, `gone` what somebody else deleted just before; a server that `keeps` refuses that.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}
        self.script: deque[str] = deque()
        self.all: dict[str, Batch] = {}
        self.bodies: list[Json] = []
        self.fate: Callable[[str, Json], str] = lambda custom_id, params: "ok"
        self.unknown_for = 0
        self.deleted: set[str] = set()
        self.gone: set[str] = set()
        self.keeps = False
        self.url = ""

    def requests(self) -> list[Json]:
        """The bodies of every request of every batch."""
        with self._lock:
            return [params for one in self.all.values() for params in one.requests.values()]

    def end(self) -> None:
        """Work every batch that is under way."""
        with self._lock:
            for one in self.all.values():
                if not one.ended:
                    one.results = [self._result(one, *request) for request in reversed(one.requests.items())]
                    one.ended = True

    def _result(self, batch: Batch, custom_id: str, params: Json) -> Json:
        fate = self.fate(custom_id, params)
        if batch.provider == "anthropic":
            return {"custom_id": custom_id, "result": self._message(params, fate)}
        if fate in ("expired", "canceled"):
            code = "batch_expired" if fate == "expired" else "batch_cancelled"
            return {"custom_id": custom_id, "response": None, "error": {"code": code, "message": "not looked at"}}
        if fate.startswith("errored:"):
            error = {"type": fate.partition(":")[2], "message": "scripted", "code": None}
            return {"custom_id": custom_id, "response": {"status_code": 400, "body": {"error": error}}, "error": None}
        body = self._answer(batch.endpoint, params, fate)
        return {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}

    def _message(self, params: Json, fate: str) -> Json:
        if fate in ("expired", "canceled"):
            return {"type": fate}
        if fate.startswith("errored:"):
            error = {"type": fate.partition(":")[2], "message": "scripted"}
            return {"type": "errored", "error": {"type": "error", "error": error, "request_id": "req_1"}}
        return {"type": "succeeded", "message": self._answer("messages", params, fate)}

    def post(self, path: str, content_type: str, raw: bytes) -> Answered | None:
        """The answer to a POST; None where the path is not ours."""
        if path == "/v1/messages/batches":
            return self._made("anthropic", json.loads(raw))
        if path == "/v1/files":
            return self._uploaded(content_type, raw)
        if path == "/v1/batches":
            return self._made("openai", json.loads(raw))
        return None

    def delete(self, path: str) -> Answered | None:
        """The answer to a DELETE; None where the path is not ours."""
        found = re.fullmatch(r"/v1/(messages/batches|files)/([^/]+)", urlsplit(path).path)
        if found is None:
            return None
        name = found[2]
        with self._lock:
            if self.keeps:
                return _error(403, "permission_error", "this key may not delete")
            one = self.all.get(name.removesuffix("-out").removesuffix("-err"))
            if name in self.deleted | self.gone or (one is None and name not in self._files):
                return _error(404, "not_found_error", f"nothing is called {name}")
            if one is not None and not one.ended:
                return _error(400, "invalid_request_error", "it has not ended")
            self.deleted.add(name)
            body = {"id": name, "type": "message_batch_deleted", "object": "file", "deleted": True}
            return 200, json.dumps(body).encode(), False

    def _uploaded(self, content_type: str, raw: bytes) -> Answered:
        whole = email.message_from_bytes(f"content-type: {content_type}\r\n\r\n".encode() + raw)
        parts = {str(part.get_param("name", header="content-disposition")): part for part in whole.get_payload()}  # type: ignore[union-attr, arg-type]
        if parts["purpose"].get_payload() != "batch":
            return _error(400, "invalid_request_error", "purpose: batch is meant")
        content = parts["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        with self._lock:
            name = f"file-{len(self._files) + 1}"
            self._files[name] = content
        return (
            200,
            json.dumps({"id": name, "object": "file", "bytes": len(content), "purpose": "batch"}).encode(),
            False,
        )

    def _made(self, provider: str, body: Json) -> Answered:
        with self._lock:
            self.bodies.append(body)
            name = self.script.popleft() if self.script else "ok"
            if name == "drop":
                return 0, b"", True
            if name in ("auth", "overloaded", "invalid"):
                status = {"auth": 401, "overloaded": 529, "invalid": 400}[name]
                kind = {"auth": "authentication_error", "overloaded": "overloaded_error"}.get(
                    name, "invalid_request_error"
                )
                return _error(status, kind, f"scripted {name}")
            made = self._anthropic(body) if provider == "anthropic" else self._openai(body)
            if isinstance(made, str):
                return _error(400, "invalid_request_error", made)
            made.refused = name.partition(":")[2]
            made.ended = bool(made.refused)
            self.all[made.id] = made
            return 200, json.dumps(self._shown(made)).encode(), name == "lost"

    def _anthropic(self, body: Json) -> Batch | str:
        ids = [one["custom_id"] for one in body["requests"]]
        if not ids or len(ids) > 100_000 or len(set(ids)) < len(ids) or not all(map(_ID.fullmatch, ids)):
            return "requests: 1 to 100,000, with ids of their own, of 64 letters, digits, - and _"
        requests = {one["custom_id"]: one["params"] for one in body["requests"]}
        return Batch(f"msgbatch_{len(self.all) + 1:03}", "anthropic", requests, datetime.now(UTC))

    def _openai(self, body: Json) -> Batch | str:
        lines = [json.loads(line) for line in self._files[body["input_file_id"]].splitlines()]
        if body["completion_window"] != "24h" or body["endpoint"] not in _ENDPOINTS or len(lines) > 50_000:
            return "completion_window, endpoint: not as documented, or more than 50,000 requests"
        if {(one["method"], one["url"]) for one in lines} != {("POST", body["endpoint"])}:
            return "method and url: those of the batch"
        requests = {one["custom_id"]: one["body"] for one in lines}
        made = Batch(f"batch_{len(self.all) + 1:03}", "openai", requests, datetime.now(UTC))
        made.endpoint, made.metadata = _ENDPOINTS[body["endpoint"]], body.get("metadata") or {}
        made.file = body["input_file_id"]
        return made

    def get(self, path: str) -> Answered | None:
        """The answer to a GET; None where the path is not ours."""
        parsed = urlsplit(path)
        found = re.fullmatch(r"/v1/(messages/batches|batches|files)(?:/([^/]+))?(/results|/content)?", parsed.path)
        if found is None:
            return None
        kind, name, part = found.groups()
        with self._lock:
            if name in self.deleted:
                return _error(404, "not_found_error", f"{name} was deleted")
            if kind == "files":
                batch = self.all[str(name).removesuffix("-out").removesuffix("-err")]
                return 200, self._lines(batch, errors=str(name).endswith("-err")), False
            provider = "anthropic" if kind == "messages/batches" else "openai"
            if name is None:
                return 200, json.dumps(self._page(provider, parse_qs(parsed.query))).encode(), False
            one = self.all.get(name)
            if one is None or one.asked_for < self.unknown_for:
                if one is not None:
                    one.asked_for += 1
                return _error(404, "not_found_error", f"no batch {name}")
            if part:
                return 200, self._lines(one, errors=None), False
            return 200, json.dumps(self._shown(one)).encode(), False

    def _lines(self, batch: Batch, errors: bool | None) -> bytes:
        def chosen(one: Json) -> bool:
            response = one.get("response")
            return errors is None or errors == (response is None or response["status_code"] != 200)

        return "".join(json.dumps(one) + "\n" for one in batch.results if chosen(one)).encode()

    def _page(self, provider: str, query: dict[str, list[str]]) -> Json:
        mine = [one for one in reversed(self.all.values()) if one.provider == provider and one.id not in self.deleted]
        after = (query.get("after_id") or query.get("after") or [""])[0]
        ids = [one.id for one in mine]
        begin = ids.index(after) + 1 if after in ids else 0
        limit = int((query.get("limit") or ["20"])[0])
        page = mine[begin : begin + limit]
        return {
            "object": "list", "data": [self._shown(one) for one in page], "has_more": begin + limit < len(mine),
            "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
        }  # fmt: skip

    def _shown(self, one: Batch) -> Json:
        return self._shown_anthropic(one) if one.provider == "anthropic" else self._shown_openai(one)

    def _shown_anthropic(self, one: Batch) -> Json:
        kinds = [result["result"]["type"] for result in one.results]
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        counts["processing"] = len(one.requests) - len(kinds)
        return {
            "id": one.id, "type": "message_batch", "processing_status": "ended" if one.ended else "in_progress",
            "request_counts": counts, "created_at": one.created.isoformat(), "cancel_initiated_at": None,
            "expires_at": (one.created + timedelta(days=1)).isoformat(), "archived_at": None,
            "ended_at": datetime.now(UTC).isoformat() if one.ended else None,
            "results_url": f"{self.url}/v1/messages/batches/{one.id}/results" if one.ended else None,
        }  # fmt: skip

    def _shown_openai(self, one: Batch) -> Json:
        done = sum((result.get("response") or {}).get("status_code") == 200 for result in one.results)
        failed = len(one.results) - done
        status = "failed" if one.refused else "completed" if one.ended else "in_progress"
        errors = {"object": "list", "data": [{"code": "invalid", "message": one.refused}]} if one.refused else None
        return {
            "id": one.id, "object": "batch", "endpoint": "x", "input_file_id": one.file, "completion_window": "24h",
            "status": status, "errors": errors, "metadata": one.metadata, "created_at": int(one.created.timestamp()),
            "request_counts": {"total": len(one.requests), "completed": done, "failed": failed},
            "output_file_id": f"{one.id}-out" if done else None, "error_file_id": f"{one.id}-err" if failed else None,
            "completed_at": int(time.time()) if one.ended else None,
        }  # fmt: skip


def _error(status: int, kind: str, message: str) -> Answered:
    error = {"type": kind, "message": message, "code": None, "param": None}
    return status, json.dumps({"type": "error", "error": error, "request_id": "req_loopback"}).encode(), False
