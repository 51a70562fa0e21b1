"""Attempts again where that can help. When and how often is in `retrying.py`, what a fault means in `faults.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.models.layers import PackLayer, TextLayer
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel


class Retried(TextLayer):
    """A RawTextModel whose `raw` is several attempts of the one inside."""

    def __init__(self, inner: RawTextModel, retrying: Retrying | None = None) -> None:
        super().__init__(inner)
        self._retrying = retrying or Retrying()

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """The first answer that came. Raises the last ModelFault."""
        return self._retrying.call(lambda: self._inner.raw(prompt, schema))


class RetriedPacks(PackLayer):
    """A PackedEmbeddings whose `send` is several attempts of the one inside."""

    def __init__(self, inner: PackedEmbeddings, retrying: Retrying | None = None) -> None:
        super().__init__(inner)
        self._retrying = retrying or Retrying()

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The first answer that came. Raises the last ModelFault."""
        return self._retrying.call(lambda: self._inner.send(request))
