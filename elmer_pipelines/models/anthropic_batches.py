"""Anthropic's Message Batches over the SDK. What a request is made of is in `anthropic_text.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models import faults
from elmer_pipelines.models.anthropic_text import AnthropicText, received
from elmer_pipelines.models.batches import AnyAnswer, BatchLimits, BatchRequest, BatchSeen, ItemResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from elmer_pipelines.models.protocols import RawAnswer

_SERVICE = "Anthropic"
_PAGE = 100
_UPLOAD_SECONDS = 600.0


class AnthropicBatches:
    """A BatchService; `adapter` lends its client, `key` is cut out of messages."""

    provider = "anthropic"
    limits = BatchLimits(100_000, 256 << 20)
    offered = True

    def __init__(self, adapter: AnthropicText, key: str) -> None:
        self._adapter, self._key = adapter, key

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._adapter.close()

    def submit(self, mark: str, requests: Sequence[BatchRequest]) -> str:
        """Send a batch in one attempt; returns the service's id. Raises ModelFault."""
        sent: Any = [{"custom_id": one.custom_id, "params": one.params} for one in requests]
        try:
            made = self._adapter.connected().messages.batches.create(requests=sent, timeout=_UPLOAD_SECONDS)
            return _id_of(made)
        except Exception as error:  # noqa: BLE001 - the SDK lets any builtin exception through
            raise self._fault(error) from None

    def look_up(self, service_id: str) -> BatchSeen | None:
        """The batch as it stands; None where the service does not know it. Raises ModelFault."""
        try:
            return _seen(self._adapter.connected().messages.batches.retrieve(service_id))
        except Exception as error:  # noqa: BLE001 - as above
            fault = self._fault(error)
            if fault.kind == "not_found":
                return None
            raise fault from None

    def since(self, moment: datetime) -> Iterator[BatchSeen]:
        """The batches made since then, the newest first; the list tells nothing of the requests in them.

        An ended one is known by the ids in its results, so its mark is that of the first. Raises ModelFault.
        """
        try:
            for one in self._adapter.connected().messages.batches.list(limit=_PAGE):
                seen = _seen(one)
                if seen.created_at < moment:
                    return
                yield seen
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None

    def results(self, service_id: str) -> Iterator[ItemResult]:
        """What came of each request, in any order. Raises ModelFault."""
        try:
            for one in self._adapter.connected().messages.batches.results(service_id):
                yield _item(one.custom_id, one.result.to_dict(mode="json", warnings=False))
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None

    def discard(self, service_id: str) -> None:
        """Delete the batch with its requests and results. Raises ModelFault."""
        try:
            self._adapter.connected().messages.batches.delete(service_id)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None

    def answer(self, body: str, model: str, service_id: str) -> RawAnswer:
        """The body of a result as a single request would have brought it. Raises ModelFault."""
        return received(body, model, service_id, {"batch": service_id})

    def verdict(self, raw: RawAnswer) -> str:
        """`ok`, or what is wrong with an answer whatever was asked: the kind of its fault."""
        try:
            self._adapter.parse(raw, AnyAnswer)
        except ModelFault as fault:
            return fault.kind
        return "ok"

    def _fault(self, error: Exception) -> ModelFault:
        return faults.classify(error, _SERVICE, secret=self._key)


def _id_of(made: Any) -> str:
    found = getattr(made, "id", None)
    if not isinstance(found, str) or not found:  # the SDK takes HTML, and any other JSON, for an answer
        raise ValueError("the body describes no batch")
    return found


def _seen(one: Any) -> BatchSeen:
    counts = one.request_counts
    number = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return BatchSeen(_id_of(one), one.created_at, one.processing_status == "ended", int(number))


def _item(custom_id: str, result: dict[str, Any]) -> ItemResult:
    kind = result.get("type")
    if kind == "succeeded":
        return ItemResult(custom_id, json.dumps(result.get("message"), ensure_ascii=False))
    if kind == "errored":
        error = (result.get("error") or {}).get("error") or {}
        return ItemResult(custom_id, fault=faults.of_item(error.get("type"), str(error.get("message") or ""), _SERVICE))
    kind = "expired" if kind == "expired" else "canceled"
    fault = faults.fault("expired", f"{_SERVICE} did not come to it: its batch was {kind}.", retryable=True)
    return ItemResult(custom_id, fault=fault)
