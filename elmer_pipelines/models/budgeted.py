"""Nothing is sent before its worst case is reserved (I7). Where reservations are kept is not known here."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from elmer_pipelines.errors import ModelFault
from elmer_pipelines.models.layers import PackLayer, TextLayer
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.models.recorded import json_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from elmer_pipelines.models.openai_embeddings import EmbeddedPack, PackRequest
    from elmer_pipelines.models.protocols import Prompt, RawAnswer
    from elmer_pipelines.models.recorded import PackedEmbeddings, RawTextModel

    Price = Callable[[str, str, Usage], float | None]

BATCH_SHARE = 0.5  # both services ask half the list price for batches
_BYTES_PER_TOKEN = 3  # English has about four characters a token, Chinese about one character, of three bytes


class Purse(Protocol):
    """Keeps what may still be spent; safe to be used by many threads."""

    def reserve(self, worst_usd: float) -> int:
        """Set the amount aside, waiting where what others reserved may come back. Raises ModelFault `budget`."""
        ...

    def release(self, reservation: int) -> None:
        """The attempt is over: the next line of this thread in the ledger takes the reservation's place."""
        ...

    def cancel(self, reservation: int) -> None:
        """Nothing was sent, so no line will come: the amount is free again."""
        ...


def tokens_at_most(text: str) -> int:
    """An estimate of a text's tokens that is rarely passed: a token for every three bytes of UTF-8."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / _BYTES_PER_TOKEN)


def worst_usage(prompt: Prompt, schema: type[BaseModel]) -> Usage:
    """The tokens of a call at the most: the shared prefix written to the service's cache, an answer of full length."""
    return Usage(
        input_tokens=tokens_at_most(prompt.material),
        output_tokens=prompt.max_tokens,
        cache_write_tokens=tokens_at_most(prompt.instructions + json.dumps(json_schema(schema))),
    )


def worst_case_usd(price: Price, model: str, provider: str, usage: Usage, *, batch: bool = False) -> float:
    """What a call costs at the most, in US dollars. Raises ModelFault `unknown_price`: a budget can't hold it."""
    listed = price(model, provider, usage)
    if listed is None:
        raise ModelFault(
            "unknown_price",
            f"The price of {model} is not known, and a budget is set: nothing was sent.",
            next_step="Choose a model with a known price, or unset the budget (ELMER_BUDGET_USD, workspace.toml).",
            retryable=False,
        )
    return listed * (BATCH_SHARE if batch else 1.0)


@contextmanager
def _held(purse: Purse, worst_usd: float) -> Iterator[None]:
    """The amount is set aside inside the block. Raises ModelFault `budget`."""
    held = purse.reserve(worst_usd)
    end = purse.release
    try:
        yield
    except ModelFault as fault:
        end = purse.cancel if fault.unsent else purse.release
        raise
    finally:
        end(held)


class Budgeted(TextLayer):
    """A RawTextModel that reserves the worst case of every attempt first."""

    def __init__(self, inner: RawTextModel, purse: Purse, *, price: Price = cost_usd) -> None:
        super().__init__(inner)
        self._purse, self._price = purse, price

    def raw(self, prompt: Prompt, schema: type[BaseModel]) -> RawAnswer:
        """What came. Raises ModelFault, also `budget` and `unknown_price`, where nothing was sent."""
        usage = worst_usage(prompt, schema)
        with _held(self._purse, worst_case_usd(self._price, self.model, self.provider, usage)):
            return self._inner.raw(prompt, schema)


class BudgetedPacks(PackLayer):
    """A PackedEmbeddings that reserves the cost of every request first."""

    def __init__(self, inner: PackedEmbeddings, purse: Purse, *, price: Price = cost_usd) -> None:
        super().__init__(inner)
        self._purse, self._price = purse, price

    def send(self, request: PackRequest) -> EmbeddedPack:
        """The vectors of one request. Raises ModelFault, also `budget` and `unknown_price`."""
        usage = Usage(input_tokens=request.tokens)
        with _held(self._purse, worst_case_usd(self._price, self.service_model, self.provider, usage)):
            return self._inner.send(request)
