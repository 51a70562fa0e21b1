"""Claude over the Messages API with structured output. No prompt and no cache here: see `chains.py`."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models import faults, streams
from elmer_pipelines.models.protocols import Answer, Prompt, RawAnswer, Usage
from elmer_pipelines.models.text_client import TextClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import anthropic
    import httpx2

    from elmer_pipelines.models.retrying import Retrying

_SERVICE = "Anthropic"


class AnthropicText(TextClient["anthropic.Anthropic"]):
    """A TextModel on one Claude model; one client, built on first use, safe for many threads.

    `base_url` has no `/v1`; None leaves it to the SDK. `timeout` is in seconds per read. Raises SettingsError on an
    empty key. `raw` and `parse` are the two halves of `answer`, for whoever stores what came before using it.
    """

    provider = "anthropic"

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
            no_key="ANTHROPIC_API_KEY is empty. Set it in .env.local, or unset it to use local models.",
        )
        self._model = model

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What the service sent for the prompt, in one attempt: whole, not yet trusted. Raises ModelFault."""
        try:
            body, headers = self._sent(self.request(prompt, schema), prompt.max_tokens > streams.STREAMED_ABOVE)
        except Exception as error:  # noqa: BLE001 - the SDK lets any builtin exception through
            # `from None`: a cause printed in a traceback could show the key the service echoed.
            raise faults.classify(error, _SERVICE, secret=self._key) from None
        limits = {name: value for name, value in headers.items() if "ratelimit" in name}
        return received(body, self._model, headers.get("request-id"), {"limits": limits})

    def _sent(self, request: dict[str, Any], streamed: bool) -> tuple[str, Mapping[str, str]]:
        """The body and the headers of the answer; a stream put together."""
        messages = self.connected().messages
        if not streamed:
            whole = messages.with_raw_response.create(**request)
            return whole.text(), whole.headers
        with messages.with_streaming_response.create(**request, stream=True) as coming:
            if streams.is_stream(coming.headers.get("content-type")):
                return streams.message(coming.iter_lines(), _SERVICE), coming.headers
            return coming.text(), coming.headers

    def request(self, prompt: Prompt, schema: type[BaseModel]) -> dict[str, Any]:
        """What is sent for the prompt; the instructions, which many requests share, come first and may be cached."""
        return {
            "model": self._model,
            "max_tokens": prompt.max_tokens,
            "system": [{"type": "text", "text": prompt.instructions, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": prompt.material}],
            "output_config": {"effort": prompt.effort, "format": {"type": "json_schema", "schema": _shape(schema)}},
        }

    def parse(self, raw: RawAnswer, schema: type[Answer]) -> Answer:
        """The answer inside what was sent. Raises ModelFault: refusal, truncated, schema, bad_payload."""
        try:
            message = _message(raw.body)
        except (ValueError, RecursionError) as error:
            raise faults.classify(error, _SERVICE) from None
        reason = message.get("stop_reason")
        if reason == "refusal":
            category = (message.get("stop_details") or {}).get("category") or "no category given"
            raise faults.fault("refusal", f"{raw.model} declined to answer ({category}).", retryable=False)
        if reason in ("max_tokens", "model_context_window_exceeded", None):
            why = reason or "it broke off without a reason"
            raise faults.fault("truncated", f"The answer of {raw.model} is cut off ({why}).", retryable=reason is None)
        text = "".join(str(block.get("text", "")) for block in message["content"] if block.get("type") == "text")
        try:
            return schema.model_validate_json(text)
        except ValidationError as error:
            raise faults.schema_fault(error, raw.model) from None

    def lifecycle(self) -> tuple[str, datetime | None]:
        """`active`, `deprecated` or `retired`, and when the model retires; costs nothing. Raises ModelFault."""
        try:
            info = self.connected().models.retrieve(self._model)
            if getattr(info, "id", None) is None:  # the SDK takes HTML, and any other JSON, for an answer
                raise ValueError("the body describes no model")
        except Exception as error:  # noqa: BLE001 - as above
            raise faults.classify(error, _SERVICE, secret=self._key) from None
        return str(getattr(info, "lifecycle", None) or "active"), getattr(info, "retires_at", None)

    def known_models(self) -> list[str]:
        """The names the key may use now, sorted. Raises ModelFault."""
        try:
            return sorted(str(one.id) for one in self.connected().models.list(lifecycle=["active"]))
        except Exception as error:  # noqa: BLE001 - as above
            raise faults.classify(error, _SERVICE, secret=self._key) from None

    def _sdk(self) -> Callable[..., anthropic.Anthropic]:
        import anthropic

        return anthropic.Anthropic


@lru_cache(maxsize=64)
def _shape(schema: type[BaseModel]) -> dict[str, Any]:
    import anthropic

    return anthropic.transform_schema(schema)


def received(body: str, model: str, request_id: str | None, extra: dict[str, Any]) -> RawAnswer:
    """A message as it came, with its usage read. Raises ModelFault; `lost` where it may have been an answer."""
    try:
        return RawAnswer(body, _usage(_message(body)["usage"]), model, request_id, extra)
    except (ValueError, RecursionError, ModelFault) as error:
        raise faults.unreadable(error, _SERVICE, body) from None


def _message(body: str) -> dict[str, Any]:
    """The message in a body, read without the SDK, which would accept `{}` and turn HTML into a string."""
    message = json.loads(body)
    if (fault := faults.error_in_answer(message, _SERVICE)) is not None:
        raise fault
    if not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
        raise ValueError("the body is no message with usage")
    blocks = message.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ValueError("the message has no content")
    return message


def _usage(counted: dict[str, Any]) -> Usage:
    def count(name: str, among: dict[str, Any] = counted) -> int:
        value = among.get(name) or 0
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"usage.{name} is no count")
        return value

    details = counted.get("output_tokens_details")

    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
        thinking_tokens=count("thinking_tokens", details) if isinstance(details, dict) else 0,
    )
