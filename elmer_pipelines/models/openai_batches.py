"""OpenAI's Batch API over the SDK: requests go up as a file, results come back in two, one of answers, one of errors.

What a request is made of is in `openai_text.py` and `openai_embeddings.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models import faults
from elmer_pipelines.models.batches import AnyAnswer, BatchLimits, BatchRequest, BatchSeen, ItemResult
from elmer_pipelines.models.openai_text import OpenAIText, received

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
    from elmer_pipelines.models.protocols import RawAnswer

_SERVICE = "OpenAI"
_PAGE = 100
_UPLOAD_SECONDS = 600.0
_MARK = "elmer_batch"
_ENDED = {"completed", "failed", "expired", "cancelled"}
Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]


class OpenAIBatches:
    """A BatchService for one endpoint; `adapter` lends its client, `key` is cut out of messages.

    Each text to embed is a request of its own: the limits of requests and of texts in a batch are the same 50,000.
    """

    provider = "openai"
    limits = BatchLimits(50_000, 200 << 20)

    def __init__(self, adapter: OpenAIText | OpenAIEmbeddings, key: str, *, offered: bool) -> None:
        self._adapter, self._key, self.offered = adapter, key, offered
        self._endpoint: Endpoint = "/v1/chat/completions" if isinstance(adapter, OpenAIText) else "/v1/embeddings"

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._adapter.close()

    def submit(self, mark: str, requests: Sequence[BatchRequest]) -> str:
        """Upload the requests and have them worked; returns the batch's id. Raises ModelFault.

        What is left of an upload whose batch was never made costs nothing.
        """
        lines = (
            {"custom_id": one.custom_id, "method": "POST", "url": self._endpoint, "body": one.params}
            for one in requests
        )
        file = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "surrogatepass")
        try:
            client = self._adapter.connected()
            upload = client.files.create(file=(f"{mark}.jsonl", file), purpose="batch", timeout=_UPLOAD_SECONDS)
            made = client.batches.create(
                input_file_id=upload.id, endpoint=self._endpoint, completion_window="24h", metadata={_MARK: mark}
            )
            return _id_of(made)
        except Exception as error:  # noqa: BLE001 - the SDK lets any builtin exception through
            raise self._fault(error) from None

    def look_up(self, service_id: str) -> BatchSeen | None:
        """The batch as it stands; None where the service does not know it. Raises ModelFault."""
        try:
            return _seen(self._adapter.connected().batches.retrieve(service_id))
        except Exception as error:  # noqa: BLE001 - as above
            fault = self._fault(error)
            if fault.kind == "not_found":
                return None
            raise fault from None

    def since(self, moment: datetime) -> Iterator[BatchSeen]:
        """The batches made since then, the newest first, each with its mark. Raises ModelFault."""
        try:
            for one in self._adapter.connected().batches.list(limit=_PAGE):
                seen = _seen(one)
                if seen.created_at < moment:
                    return
                yield seen
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None

    def results(self, service_id: str) -> Iterator[ItemResult]:
        """What came of each request that was looked at: answers, then errors. Raises ModelFault."""
        try:
            client = self._adapter.connected()
            batch = client.batches.retrieve(service_id)
            for file in (batch.output_file_id, batch.error_file_id):
                if file:
                    with client.files.with_streaming_response.content(file) as response:
                        yield from (_item(json.loads(line)) for line in response.iter_lines() if line.strip())
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None

    def discard(self, service_id: str) -> None:
        """Delete the batch's files: what was uploaded, answers and errors. Raises ModelFault.

        The service has no way to delete the batch itself, which holds no words. A file that is gone keeps no other.
        """
        try:
            batch = self._adapter.connected().batches.retrieve(service_id)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._fault(error) from None
        for file in (batch.output_file_id, batch.error_file_id, batch.input_file_id):
            if file:
                self._delete(file)

    def _delete(self, file: str) -> None:
        try:
            self._adapter.connected().files.delete(file)
        except Exception as error:  # noqa: BLE001 - as above
            fault = self._fault(error)
            if fault.kind != "not_found":
                raise fault from None

    def answer(self, body: str, model: str, service_id: str) -> RawAnswer:
        """The body of a result as a single request would have brought it. Raises ModelFault."""
        return received(body, model, service_id, {"batch": service_id})

    def verdict(self, raw: RawAnswer) -> str:
        """`ok`, or what is wrong with an answer whatever was asked: the kind of its fault."""
        try:
            if isinstance(self._adapter, OpenAIText):
                self._adapter.parse(raw, AnyAnswer)
        except ModelFault as fault:
            return fault.kind
        return "ok"

    def _fault(self, error: Exception) -> ModelFault:
        return faults.classify(error, _SERVICE, secret=self._key)


def _id_of(made: Any) -> str:
    found = getattr(made, "id", None)
    if not isinstance(found, str) or not found:
        raise ValueError("the body describes no batch")
    return found


def _seen(one: Any) -> BatchSeen:
    counts = one.request_counts
    mark = (one.metadata or {}).get(_MARK, "")
    fault = None
    if one.status == "failed":
        said = "; ".join(str(error.message) for error in (one.errors.data if one.errors else None) or [])
        fault = faults.of_item("invalid_request_error", said or "no reason was given", _SERVICE)
    created = datetime.fromtimestamp(one.created_at, UTC)
    number = counts.total if counts is not None and counts.total else None
    return BatchSeen(_id_of(one), created, one.status in _ENDED, number, mark, fault)


def _item(line: dict[str, Any]) -> ItemResult:
    custom_id, response, error = str(line["custom_id"]), line.get("response") or {}, line.get("error") or {}
    status, body = response.get("status_code"), response.get("body")
    if error.get("code") in ("batch_expired", "batch_cancelled"):
        fault = faults.fault("expired", f"{_SERVICE} did not come to it ({error['code']}).", retryable=True)
        return ItemResult(custom_id, fault=fault)
    if status == 200:
        return ItemResult(custom_id, json.dumps(body, ensure_ascii=False))
    told = (body or {}).get("error") or error if isinstance(body, dict) or body is None else {}
    code, said = told.get("code"), str(told.get("message") or "")
    return ItemResult(custom_id, fault=faults.of_item(told.get("type"), said, _SERVICE, status=status, code=code))
