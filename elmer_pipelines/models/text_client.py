"""What every text adapter over an SDK shares: its name, and asking with tries when nothing wraps it.

How a service is spoken to is in `anthropic_text.py` and `openai_text.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.service_client import ServiceClient

if TYPE_CHECKING:
    from pydantic import BaseModel

    from elmer_pipelines.models.protocols import Answer, Prompt, RawAnswer

Client = TypeVar("Client")
ASKS = 2  # an answer that came but does not fit its schema is asked for once more


class TextClient(ServiceClient[Client]):
    """All of a text adapter but `raw` and `parse`, which it has from its service."""

    _model: str

    @property
    def model(self) -> str:
        return self._model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model!r})"

    def answer(self, prompt: Prompt, schema: type[Answer]) -> Answer:
        """One validated answer, asked for once more where it came and was broken. Raises ModelFault."""
        for _ in range(ASKS - 1):
            raw = self._retrying.call(lambda: self.raw(prompt, schema))
            try:
                return self.parse(raw, schema)
            except ModelFault as fault:
                if not fault.retryable:
                    raise
        return self.parse(self._retrying.call(lambda: self.raw(prompt, schema)), schema)

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What the service sent for the prompt, in one attempt: whole, not yet trusted. Raises ModelFault."""
        raise NotImplementedError

    def parse(self, raw: RawAnswer, schema: type[Answer]) -> Answer:
        """The answer inside what was sent. Raises ModelFault."""
        raise NotImplementedError
