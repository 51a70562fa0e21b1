"""What every wrapper around a service's model passes through unchanged. What each adds is in its own module."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import PackRequest
    from elmer_pipelines.models.protocols import RawAnswer, SimilarityScale
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel

_Parsed = TypeVar("_Parsed", bound="BaseModel")


class TextLayer:
    """All of a RawTextModel but `raw`, from the one inside."""

    def __init__(self, inner: RawTextModel) -> None:
        self._inner = inner

    @property
    def provider(self) -> str:
        return self._inner.provider

    @property
    def model(self) -> str:
        return self._inner.model

    def parse(self, raw: RawAnswer, schema: type[_Parsed]) -> _Parsed:
        """The answer inside what was sent. Raises ModelFault."""
        return self._inner.parse(raw, schema)


class PackLayer:
    """All of a PackedEmbeddings but `send`, from the one inside."""

    def __init__(self, inner: PackedEmbeddings) -> None:
        self._inner = inner

    @property
    def provider(self) -> str:
        return self._inner.provider

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def service_model(self) -> str:
        return self._inner.service_model

    @property
    def dimensions(self) -> int:
        return self._inner.dimensions

    @property
    def scale(self) -> SimilarityScale:
        return self._inner.scale

    def requests(self, texts: list[str]) -> list[PackRequest]:
        """The texts as requests within the service's limits. Raises ModelFault."""
        return self._inner.requests(texts)
