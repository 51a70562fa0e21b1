"""Answers that come event by event (SSE), put together to the body they would have had in one piece.

Long answers are streamed: a service that thinks for minutes shows that it lives, and only silence is a timeout. Read
without the SDKs, which take a stream that breaks off for an answer, and build an object for every few letters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from elmer_pipelines.models import faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from elmer_pipelines.errors import ModelFault

# At 80 tokens a second 10,000 take two minutes, the longest silence that is waited through.
STREAMED_ABOVE = 10_000
_DONE = "[DONE]"


def is_stream(content_type: str | None) -> bool:
    """Whether a body is a stream; gateways that know none send the whole answer at once."""
    return "event-stream" in (content_type or "")


def message(lines: Iterable[str], service: str) -> str:
    """The body of a message of Anthropic's, from the lines of its stream. Raises ModelFault."""
    whole: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in _events(lines, service):
        kind = event.get("type")
        if kind == "message_start":
            whole = dict(event["message"])
        elif kind == "content_block_start":
            blocks[int(event["index"])] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _add(blocks[int(event["index"])], event["delta"])
        elif kind == "message_delta":
            told = {name: count for name, count in (event.get("usage") or {}).items() if count is not None}
            whole |= event["delta"] | {"usage": {**(whole.get("usage") or {}), **told}}
        elif kind == "message_stop":
            return json.dumps({**whole, "content": [blocks[index] for index in sorted(blocks)]})
    raise _broken_off(service)


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("text", "thinking", "signature"):
        if isinstance(delta.get(name), str):
            block[name] = str(block.get(name) or "") + delta[name]


def completion(lines: Iterable[str], service: str) -> str:
    """The body of a completion of OpenAI's protocol, from the lines of its stream. Raises ModelFault."""
    said: dict[str, str] = {}
    whole: dict[str, Any] = {}
    reason: str | None = None
    ended = chosen = False
    for event in _events(lines, service):
        if event.get("done"):
            ended = True
            break
        whole = {**whole, **{name: event[name] for name in ("id", "model", "usage") if event.get(name) is not None}}
        for choice in (event.get("choices") or [])[:1]:
            chosen = True
            reason = choice.get("finish_reason") or reason
            for name, piece in (choice.get("delta") or {}).items():
                if name in ("content", "refusal") and isinstance(piece, str):
                    said[name] = said.get(name, "") + piece
    if not ended and reason is None:
        raise _broken_off(service)
    answer = {"role": "assistant", "content": said.get("content"), "refusal": said.get("refusal")}
    choice = {"index": 0, "message": answer, "finish_reason": reason}
    return json.dumps({**whole, "choices": [choice] if chosen else []})


def _events(lines: Iterable[str], service: str) -> Iterator[dict[str, Any]]:
    """The data of every event; `{"done": true}` for OpenAI's end. Raises ModelFault where one tells of an error."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        event = {"done": True} if data == _DONE else json.loads(data)
        if not isinstance(event, dict):
            raise ValueError("an event that is no object")
        if (told := faults.error_in_answer(event, service)) is not None:
            raise told
        yield event


def _broken_off(service: str) -> ModelFault:
    return faults.fault("connection", f"{service} broke off in the middle of its answer.", retryable=True, lost=True)
