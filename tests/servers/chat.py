"""OpenAI's chat protocol and the list of models of the loopback server. What is answered is in `answers.py`."""

from __future__ import annotations

import json
import math
import re
from typing import Any

if __package__:
    from servers.answers import answer
else:
    from answers import answer  # run as a program

Json = dict[str, Any]
THOUGHT = 3  # tokens of every answer that nobody sees
_FINISH = {"truncated": "length", "no_stop_reason": None, "content_filter": "content_filter"}
CATALOGUE = {
    "claude-sonnet-5-5": ("active", None),
    "claude-haiku-5-5": ("active", None),
    "claude-opus-5-5": ("active", None),
    "claude-sonnet-5": ("deprecated", "2027-02-01T00:00:00Z"),
    "claude-opus-4-1": ("retired", "2026-08-05T00:00:00Z"),
    "gpt-5-mini": ("active", None),
    "text-embedding-3-small": ("active", None),
}


def completion(body: Json, name: str) -> Json:
    """The body of a 200 to chat/completions. Raises ValueError on a request that breaks a rule of the protocol."""
    _check(body)
    system = "".join(one["content"] for one in body["messages"] if one["role"] == "system")
    user = body["messages"][-1]["content"]
    form = (body.get("response_format") or {}).get("json_schema") or {}
    schema = form.get("schema") or _told(system)
    said = json.dumps(answer(schema, system, user), ensure_ascii=False) if schema else "I have no schema to answer in."
    message: Json = {"role": "assistant", "content": said, "refusal": None}
    if name in ("truncated", "no_stop_reason"):
        message["content"] = said[: len(said) // 2]
    elif name == "refusal":
        message |= {"content": None, "refusal": "I can't help with that."}
    elif name == "content_filter":
        message["content"] = ""
    elif name == "off_schema":
        message["content"] = json.dumps({"unexpected": True})
    elif name == "fenced":
        message["content"] = f"<think>Which one?</think>Here it is:\n```json\n{said}\n```\nAnything else?"
    elif name not in ("ok", "all_none", "no_choices"):
        raise AssertionError(f"no fault of completions is named {name}")
    choice = {"index": 0, "message": message, "finish_reason": _FINISH.get(name, "stop"), "logprobs": None}
    asked, answered = math.ceil((len(system) + len(user)) / 4), math.ceil(len(said) / 4) + THOUGHT
    usage: Json = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    usage["completion_tokens_details"] = {"reasoning_tokens": THOUGHT}
    whole: Json = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": body["model"]}
    whole |= {"choices": [] if name == "no_choices" else [choice], "usage": usage}
    return dict.fromkeys(whole) if name == "all_none" else whole


def listed(model: str | None) -> Json | None:
    """All models, or the one asked for as both protocols describe it; None where there is none of that name."""
    rows = [
        {"type": "model", "object": "model", "id": one, "display_name": one, "lifecycle": state, "retires_at": end}
        | {"created": 0, "created_at": "2026-01-01T00:00:00Z", "owned_by": "loopback"}
        for one, (state, end) in CATALOGUE.items()
    ]
    if model is None:
        return {"object": "list", "data": rows, "has_more": False, "first_id": None, "last_id": None}
    return next((row for row in rows if row["id"] == model), None)


def _told(system: str) -> Json | None:
    """The schema in the instructions, for servers that know no response_format."""
    found = re.search(r"JSON schema:\n(\{.*\})\s*\Z", system, re.DOTALL)
    return None if found is None else json.loads(found[1])


def _check(body: Json) -> None:
    if not body.get("model") or not body.get("messages") or body["messages"][-1]["role"] != "user":
        raise ValueError("model and messages are required, the last one the user's")
    if {"max_tokens", "max_completion_tokens"} <= body.keys():
        raise ValueError("max_tokens and max_completion_tokens exclude each other")
    form = body.get("response_format")
    if form is None:
        return
    if form["type"] != "json_schema" or not re.fullmatch(r"[\w-]{1,64}", form["json_schema"]["name"]):
        raise ValueError("response_format: a json_schema with a name is meant")
    if form["json_schema"].get("strict"):
        _check_strict(form["json_schema"]["schema"])


def _check_strict(shape: Json) -> None:
    if shape.get("type") == "object" and (
        shape.get("additionalProperties") is not False or set(shape["required"]) != set(shape["properties"])
    ):
        raise ValueError("strict: additionalProperties must be false, and every property required")
    refused = {"default", "minLength", "maxLength"} & shape.keys()
    if refused:
        raise ValueError(f"strict: {sorted(refused)} not permitted")
    inner = [*shape.get("$defs", {}).values(), *shape.get("properties", {}).values(), *shape.get("anyOf", [])]
    for one in (*inner, shape.get("items")):
        if isinstance(one, dict):
            _check_strict(one)
