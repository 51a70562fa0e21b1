"""Text models over OpenAI's chat protocol: OpenAI, and any server that speaks it (Ollama, vLLM, gateways).

No prompt and no cache here: see `chains.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models import faults, streams
from elmer_pipelines.models.protocols import Answer, Prompt, RawAnswer, Usage
from elmer_pipelines.models.text_client import TextClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import httpx2
    import openai

    from elmer_pipelines.models.retrying import Retrying

# Rules that strict schemas may not have; what comes back is validated here against all of them.
_UNENFORCED = {"default", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "format", "pattern"}
_UNENFORCED |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)  # how some open models show their thinking
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """Which optional parts of the protocol a server takes; learned from its refusals, which cost nothing."""

    limit: str = "max_completion_tokens"
    effort: bool = True
    schema: bool = True
    stream: bool = True

    def without(self, refusal: str) -> Dialect | None:
        """The dialect that leaves out what a refusal names; None where it is about something else."""
        if self.limit in refusal and self.limit != "max_tokens":
            return replace(self, limit="max_tokens")
        if self.effort and "reasoning_effort" in refusal:
            return replace(self, effort=False)
        if self.schema and ("response_format" in refusal or "json_schema" in refusal):
            return replace(self, schema=False)
        if self.stream and "stream" in refusal:
            return replace(self, stream=False)
        return None


class OpenAIText(TextClient["openai.OpenAI"]):
    """A TextModel on one model behind OpenAI's chat protocol; one client, built on first use, safe for many threads.

    `base_url` includes `/v1`; None leaves it to the SDK. `timeout` is in seconds per read. Servers other than OpenAI
    are told the schema in words too, as not all enforce it. Raises SettingsError on an empty key. `raw` and `parse`
    are the two halves of `answer`, for whoever stores what came before using it.
    """

    provider = "openai"

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str | None = None,
        timeout: float = 120.0,
        http_client: httpx2.Client | None = None,
        *,
        retrying: Retrying | None = None,
    ) -> None:
        super().__init__(
            api_key,
            base_url,
            timeout,
            http_client,
            retrying,
            no_key="OPENAI_API_KEY is empty. Set it in .env.local, or choose a model of another provider.",
        )
        self._model = model
        host = urlsplit(base_url or "").netloc.rpartition("@")[2]
        self._is_openai = not host or host.endswith("openai.com")
        self._service = "OpenAI" if self._is_openai else host
        self._dialect = Dialect()

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What the service sent for the prompt, in one attempt: whole, not yet trusted. Raises ModelFault."""
        name, shape = schema.__name__, strict_schema(schema)
        while True:
            dialect = self._dialect
            streamed = dialect.stream and prompt.max_tokens > streams.STREAMED_ABOVE
            try:
                body, headers = self._sent(self._request(prompt, name, shape, dialect), streamed)
            except Exception as error:  # noqa: BLE001 - the SDK lets any builtin exception through
                fault = faults.classify(error, self._service, secret=self._key)
                plainer = dialect.without(_named(error)) if fault.kind in ("http_400", "http_422") else None
                if plainer is None:  # `from None`: a traceback of the cause could show the key the service echoed
                    raise fault from None
                self._dialect = plainer
                continue
            limits = {name: value for name, value in headers.items() if "ratelimit" in name}
            return received(body, self._model, headers.get("x-request-id"), {"limits": limits}, self._service)

    def request(self, prompt: Prompt, schema: type[BaseModel]) -> dict[str, Any]:
        """What is sent for the prompt in one piece, in the dialect learned so far."""
        return self._request(prompt, schema.__name__, strict_schema(schema), self._dialect)

    def _sent(self, request: dict[str, Any], streamed: bool) -> tuple[str, Mapping[str, str]]:
        """The body and the headers of the answer; a stream put together."""
        completions = self.connected().chat.completions
        if not streamed:
            whole = completions.with_raw_response.create(**request)
            return whole.text, whole.headers
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        with completions.with_streaming_response.create(**request) as coming:
            if streams.is_stream(coming.headers.get("content-type")):
                return streams.completion(coming.iter_lines(), self._service), coming.headers
            return coming.text(), coming.headers

    def _request(self, prompt: Prompt, name: str, shape: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
        instructions = prompt.instructions
        if not dialect.schema or not self._is_openai:
            rule = "Answer with one JSON object and nothing else. It fits this JSON schema:"
            instructions = f"{instructions}\n\n{rule}\n{json.dumps(shape, ensure_ascii=False)}"
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": instructions},
                {"role": "user", "content": prompt.material},
            ],
            dialect.limit: prompt.max_tokens,
        }
        if dialect.effort:
            request["reasoning_effort"] = prompt.effort
        if dialect.schema:
            form = {"name": name[:64], "schema": shape, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        return request

    def parse(self, raw: RawAnswer, schema: type[Answer]) -> Answer:
        """The answer inside what was sent. Raises ModelFault: refusal, truncated, schema, bad_payload."""
        try:
            _, message, reason = _choice(raw.body)
        except (ValueError, RecursionError) as error:
            raise faults.classify(error, self._service) from None
        if message.get("refusal") or reason == "content_filter":
            why = "its content filter" if reason == "content_filter" else "the model's own judgement"
            raise faults.fault("refusal", f"{raw.model} declined to answer ({why}).", retryable=False)
        if reason in ("length", None):
            why = reason or "it broke off without a reason"
            raise faults.fault("truncated", f"The answer of {raw.model} is cut off ({why}).", retryable=reason is None)
        try:
            return schema.model_validate_json(_json_in(str(message.get("content") or "")))
        except ValidationError as error:
            raise faults.schema_fault(error, raw.model) from None

    def lifecycle(self) -> tuple[str, datetime | None]:
        """`active` where the server lists the model; costs nothing. Raises ModelFault that names what it has instead.

        The protocol knows no dates of retirement: the second value is always None.
        """
        try:
            listed = sorted(str(one.id) for one in self.connected().models.list())
        except Exception as error:  # noqa: BLE001 - as above
            raise faults.classify(error, self._service, secret=self._key) from None
        if self._model in listed or f"{self._model}:latest" in listed:
            return "active", None
        raise faults.unknown_model(self._model, self._service, listed)

    def _sdk(self) -> Callable[..., openai.OpenAI]:
        import openai

        return openai.OpenAI


def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema as strict mode takes it: closed objects, every property required, no rules it can't enforce."""
    import openai

    shape: Any = openai.pydantic_function_tool(schema)["function"]["parameters"]
    _loosen(shape)
    return dict(shape)


def _loosen(shape: dict[str, Any]) -> None:
    for rule in _UNENFORCED & shape.keys():
        del shape[rule]
    inner = [*shape.get("$defs", {}).values(), *shape.get("properties", {}).values(), *shape.get("anyOf", [])]
    for one in (*inner, shape.get("items")):
        if isinstance(one, dict):
            _loosen(one)


def received(
    body: str, model: str, request_id: str | None, extra: dict[str, Any], service: str = "OpenAI"
) -> RawAnswer:
    """A completion as it came, with its usage read. Raises ModelFault; `lost` where it may have been an answer."""
    try:
        return RawAnswer(body, _usage(_choice(body)[0]), model, request_id, extra)
    except (ValueError, RecursionError, ModelFault) as error:
        raise faults.unreadable(error, service, body) from None


def _named(error: Exception) -> str:
    """What a refusal says, and the parameter it is about."""
    return f"{getattr(error, 'param', '')} {getattr(error, 'body', '')} {error}"


def _choice(body: str) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Usage, message and reason to stop in a body, read without the SDK, which does not check them."""
    answer = json.loads(body)
    if (fault := faults.error_in_answer(answer, "The service")) is not None:
        raise fault
    if not isinstance(answer, dict) or not isinstance(answer.get("usage"), dict):
        raise ValueError("the body is no completion with usage")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("the completion has no choice")
    message, reason = choices[0].get("message"), choices[0].get("finish_reason")
    if not isinstance(message, dict) or not (reason is None or isinstance(reason, str)):
        raise ValueError("the completion has no message")
    return answer["usage"], message, reason


def _usage(counted: dict[str, Any]) -> Usage:
    """Tokens by kind: here the service counts cached and written tokens as part of the prompt, we beside it."""
    details = counted.get("prompt_tokens_details") or {}
    prompt, answer = _count(counted, "prompt_tokens"), _count(counted, "completion_tokens")
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    thought = _count(counted.get("completion_tokens_details") or {}, "reasoning_tokens")
    return Usage(max(0, prompt - cached - written), answer, cached, written, thought)


def _count(counted: dict[str, Any], name: str) -> int:
    value = counted.get(name) or 0
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"usage.{name} is no count")
    return value


def _json_in(text: str) -> str:
    """The JSON of an answer that may come after thoughts or between fences, as of servers that enforce no schema."""
    text = _THOUGHTS.sub("", text).strip()
    fenced = None if text.startswith("{") else _FENCED.search(text)
    return fenced[1] if fenced else text
