"""The loopback server's answers as streams of events, as both protocols send them. What is said is in `answers.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_PIECE = 24  # characters of an event: about six tokens


def of(endpoint: str, body: Json) -> list[bytes]:
    """The events of an answer, one after the other."""
    return list(_message(body) if endpoint == "messages" else _completion(body))


def error(endpoint: str, kind: str) -> bytes:
    """An event that tells of an error."""
    told = {"type": kind, "message": kind.replace("_", " ")}
    return _event("error", {"type": "error", "error": told}) if endpoint == "messages" else _data({"error": told})


def _event(name: str, data: Json) -> bytes:
    return f"event: {name}\n".encode() + _data({"type": name, **data})


def _data(data: Json) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _pieces(said: str) -> Iterator[str]:
    return (said[start : start + _PIECE] for start in range(0, len(said), _PIECE))


def _message(body: Json) -> Iterator[bytes]:
    usage = {**body["usage"], "output_tokens": 1, "output_tokens_details": None}
    yield _event("message_start", {"message": {**body, "content": [], "stop_reason": None, "usage": usage}})
    yield _event("ping", {})
    for index, block in enumerate(body["content"]):
        thinks = block["type"] == "thinking"
        empty = {"type": "thinking", "thinking": "", "signature": ""} if thinks else {"type": "text", "text": ""}
        yield _event("content_block_start", {"index": index, "content_block": empty})
        if thinks:
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield _event("content_block_delta", {"index": index, "delta": delta})
        for piece in () if thinks else _pieces(block["text"]):
            yield _event("content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": piece}})
        yield _event("content_block_stop", {"index": index})
    delta = {name: body[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    counted = {name: count for name, count in body["usage"].items() if name.startswith("output")}
    yield _event("message_delta", {"delta": delta, "usage": counted})
    yield _event("message_stop", {})


def _completion(body: Json) -> Iterator[bytes]:
    common = {"id": body["id"], "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
    for choice in body["choices"]:
        message = choice["message"]
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{name: piece} for name in ("content", "refusal") for piece in _pieces(message[name] or "")]
        for delta in deltas:
            yield _data({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None})
        end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield _data({**common, "choices": [end], "usage": None})
    yield _data({**common, "choices": [], "usage": body["usage"]})
    yield b"data: [DONE]\n\n"
