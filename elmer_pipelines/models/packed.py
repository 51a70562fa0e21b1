"""An embedding model on top of requests: texts in, a matrix out. The vectors, once stored, are their own cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack
    from elmer_pipelines.models.protocols import SimilarityScale
    from elmer_pipelines.models.recorded import PackedEmbeddings


class Packed:
    """An EmbeddingModel whose requests go through a chain of wrappers."""

    def __init__(self, inner: PackedEmbeddings) -> None:
        self._inner = inner

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def dimensions(self) -> int:
        return self._inner.dimensions

    @property
    def scale(self) -> SimilarityScale:
        return self._inner.scale

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1. Raises ModelFault."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for done in self.packs(texts):
            vectors[done.span.start : done.span.stop] = done.vectors
        return vectors

    def packs(self, texts: list[str]) -> Iterator[EmbeddedPack]:
        """The vectors request by request, so that each can be stored before the next is paid. Raises ModelFault."""
        return map(self._inner.send, self._inner.requests(texts))
