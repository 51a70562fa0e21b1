"""What can go wrong at a model's service, in one table: any exception of an SDK becomes a ModelFault.

Classes are told apart by name and status so that no SDK is imported for it. When to try again is in `retrying.py`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from elmer_pipelines.errors import ModelFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FINAL_LIMITS = {
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "insufficient_quota",
    "billing_hard_limit_reached",
}
_FINAL_LIMIT_CLASSES = {"EnforcedSpendLimitReachedError", "ContractSpendLimitReachedError"}
_KINDS = {401: "auth", 402: "quota", 403: "permission", 404: "not_found", 413: "too_large", 429: "rate_limit"}
_KINDS[529] = "overloaded"
_STREAM_KINDS = {"overloaded_error": "overloaded", "rate_limit_error": "rate_limit", "timeout_error": "timeout"}
_STREAM_KINDS["api_error"] = "http_500"
_ITEM_KINDS = {name: (kind, True) for name, kind in _STREAM_KINDS.items()} | {
    "authentication_error": ("auth", False),
    "billing_error": ("quota", False),
    "permission_error": ("permission", False),
    "not_found_error": ("not_found", False),
    "request_too_large": ("too_large", False),
}
# A request longer than the model's context is a plain 400: OpenAI has a code for it, the others only words.
_OVERSIZE = re.compile(r"context_length_exceeded|string_above_max_length|prompt is too long|maximum context length")
_NEXT_STEPS = {
    "auth": "Check the API key in .env.local; `elmer doctor` tries it.",
    "permission": "Give the API key access to this model, or choose another model.",
    "not_found": "Check the model's name and the base URL; `elmer doctor` lists what the key may use.",
    "quota": "Raise the spending limit or add credit at the service, then retry the failed records.",
    "rate_limit": "Wait a minute and retry, or lower MAX_CONCURRENT.",
    "overloaded": "The service is overloaded: retry later.",
    "timeout": "Retry later; if it stays, send smaller windows.",
    "connection": "Check the network and the base URL, then retry.",
    "too_large": "Send less text per call: make the windows smaller.",
    "refusal": "Read the record: the model declined to answer about it. Leave it out, or choose another model.",
    "truncated": "Raise the answer's token limit, or make the windows smaller.",
    "schema": "Retry; if it stays, the prompt and its schema disagree.",
    "expired": "The next run sends it again, three times in all; ELMER_BATCH=never asks at once.",
    "bad_payload": "Retry; if it stays, check what answers at the base URL.",
}
# What the SDKs let through when a body is not what they expect (they do not validate answers).
# Before anything of the request can have reached the service.
_NOT_CONNECTED = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
_BODY_ERRORS = (ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError)


def fault(
    kind: str, message: str, *, retryable: bool, retry_after: float | None = None, lost: bool = False
) -> ModelFault:
    """A ModelFault with the next step that belongs to its kind; `lost` as there."""
    step = _NEXT_STEPS.get(kind, "Retry later; if it stays, read the service's message.")
    return ModelFault(kind, message, next_step=step, retryable=retryable, retry_after=retry_after, lost=lost)


def classify(error: Exception, service: str, *, secret: str = "", now: datetime | None = None) -> ModelFault:
    """The ModelFault that says what `error` means; `secret` is cut out of its message. Never raises.

    Unknown exceptions become kind `unknown`, not retryable.
    """
    if isinstance(error, ModelFault):
        return error
    names = {base.__name__ for base in type(error).__mro__}
    if "APIStatusError" in names:
        return _of_status(error, service, names, secret, now or datetime.now(UTC))
    detail = redact(f"{type(error).__name__}: {error}", secret)
    if names & {"APITimeoutError", "TimeoutException", "TimeoutError"}:
        return fault("timeout", f"{service} did not answer in time.", retryable=True, lost=_reached(error))
    if names & {"APIConnectionError", "TransportError", "ConnectionError"}:
        lost = _reached(error)
        said = "broke off the connection" if lost else "can't be reached"
        return fault("connection", f"{service} {said} ({detail}).", retryable=True, lost=lost)
    if isinstance(error, ValidationError):
        return schema_fault(error, service)
    if "APIResponseValidationError" in names or isinstance(error, _BODY_ERRORS):
        return fault("bad_payload", f"{service} sent what is not an answer ({detail}).", retryable=True)
    return fault("unknown", f"The call to {service} failed ({detail}).", retryable=False)


def _reached(error: BaseException | None) -> bool:
    """Whether the request may have come to the service before the connection ended."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or _NOT_CONNECTED & {one.__name__ for one in type(error).__mro__}:
            return False
        error = error.__cause__ or error.__context__
    return True


def unreadable(error: Exception, service: str, body: str) -> ModelFault:
    """The fault of a 200 whose body is not the answer it should be; lost where it may have been one, and is paid for.

    A page of HTML, or a stream's error, is none: nothing was worked.
    """
    found = classify(error, service)
    if not isinstance(error, ModelFault):
        found.lost = body.lstrip().startswith("{")
    return found


def _of_status(error: Any, service: str, names: set[str], secret: str, now: datetime) -> ModelFault:
    status = int(error.status_code)
    code = getattr(error, "error_code", None) or getattr(error, "code", None)
    error_type = getattr(error, "type", None)
    headers: Mapping[str, str] = error.response.headers if getattr(error, "response", None) is not None else {}
    if status == 200:  # an `error` event inside a stream that began well: only its type tells
        kind, retryable = _kind_of_type(error_type)
    elif code in _FINAL_LIMITS or names & _FINAL_LIMIT_CLASSES:
        kind, retryable = "quota", False
    else:
        kind, retryable = _KINDS.get(status, f"http_{status}"), status in (408, 409, 429) or status >= 500
        retryable = _advised(headers, retryable)
    request = getattr(error, "request_id", None)
    labels = ", ".join(str(part) for part in (status, error_type, code, request) if part)
    said = getattr(error, "api_message", None) or _message_of(getattr(error, "body", None))
    if status == 400 and _OVERSIZE.search(f"{code} {said}"):
        kind = "too_large"
    message = f"{service} refused the call ({labels})" + (f": {said}" if said else ".")
    return fault(kind, redact(message, secret), retryable=retryable, retry_after=retry_after(headers, now))


def error_in_answer(answer: object, service: str) -> ModelFault | None:
    """The fault where a 200 holds an error instead of an answer, as gateways send it; None where it does not."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    kind, retryable = _kind_of_type(error.get("type"))
    said = redact(f"{error.get('type')}: {_message_of(answer)}", "")
    return fault(kind, f"{service} sent an error in place of an answer ({said}).", retryable=retryable)


def of_item(
    error_type: object, said: str, service: str, *, status: int | None = None, code: object = None
) -> ModelFault:
    """The fault of one request of a batch: by its HTTP status where there is one, else by its error's type."""
    kind, retryable = _ITEM_KINDS.get(str(error_type), (f"http_{status or 400}", False))
    if status is not None:
        kind = _KINDS.get(status, f"http_{status}")
        retryable = status in (408, 409, 429) or status >= 500
    if code in _FINAL_LIMITS:
        kind, retryable = "quota", False
    if kind == "http_400" and _OVERSIZE.search(f"{code} {said}"):
        kind = "too_large"
    labels = ", ".join(str(part) for part in (status, error_type, code) if part)
    return fault(
        kind, f"{service} refused the request in its batch ({labels}): {redact(said, '')}", retryable=retryable
    )


def _kind_of_type(error_type: object) -> tuple[str, bool]:
    return _STREAM_KINDS.get(str(error_type), "bad_payload"), str(error_type) in _STREAM_KINDS


def _advised(headers: Mapping[str, str], otherwise: bool) -> bool:
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower(), otherwise)


def _message_of(body: object) -> str:
    inner = body.get("error", body) if isinstance(body, dict) else None
    said = inner.get("message") if isinstance(inner, dict) else None
    return said if isinstance(said, str) else ""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the service asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date); None if unclear."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def unknown_model(model: str, service: str, known: Sequence[str]) -> ModelFault:
    """The fault of a name the service does not list, with the names that look most like it."""
    from difflib import get_close_matches

    near = get_close_matches(model, known, n=5, cutoff=0.3) or list(known[:5])
    instead = f"; it has {', '.join(near)}" if near else ""
    return fault("not_found", f"{service} has no model {model}{instead}.", retryable=False)


def schema_fault(error: ValidationError, service: str) -> ModelFault:
    """The fault of an answer that does not fit its schema: places and rules, never the customer's words."""
    places = [
        f"{'.'.join(map(str, e['loc'])) or 'answer'} ({e['type']})" for e in error.errors(include_input=False)[:3]
    ]
    message = f"The answer of {service} does not fit its schema: {', '.join(places)}."
    return fault("schema", message, retryable=True)


def redact(text: str, secret: str) -> str:
    """The text on one line of at most 300 characters, the secret and what looks like a key replaced by [key]."""
    if secret:
        text = text.replace(secret, "[key]").replace(json.dumps(secret)[1:-1], "[key]")
    text = re.sub(r"\bsk-[A-Za-z0-9_\-]{8,}", "[key]", text)
    return re.sub(r"\s+", " ", text)[:300]
