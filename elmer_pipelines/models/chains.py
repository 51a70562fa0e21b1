"""The wrappers put together, in the one order there is: what a step is given instead of a bare adapter.

Cached, batched, retried, metered, budgeted, limited, guarded, adapter, from the outside in; each is told only what it
needs. What keeps requests for batches is not known here (`batching/asking.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.models.breaker import Guarded, GuardedPacks
from elmer_pipelines.models.budgeted import Budgeted, BudgetedPacks
from elmer_pipelines.models.cached import Cached
from elmer_pipelines.models.limited import Limited, LimitedPacks
from elmer_pipelines.models.metered import Metered, MeteredPacks
from elmer_pipelines.models.packed import Packed
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.retried import Retried, RetriedPacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from elmer_pipelines.models.breaker import Breaker
    from elmer_pipelines.models.budgeted import Purse
    from elmer_pipelines.models.limited import Limiter
    from elmer_pipelines.models.metered import Price
    from elmer_pipelines.models.recorded import CallContext, Journal, PackedEmbeddings, RawTextModel
    from elmer_pipelines.models.retrying import Retrying


def text_chain(
    adapter: RawTextModel,
    journal: Journal,
    context: CallContext,
    *,
    retrying: Retrying | None = None,
    purse: Purse | None = None,
    limiter: Limiter | None = None,
    breaker: Breaker | None = None,
    price: Price = cost_usd,
    behind_cache: Callable[[RawTextModel], RawTextModel] | None = None,
) -> Cached:
    """A TextModel for one step; without a purse there is no budget, without a limiter no waiting, and without a
    breaker a dead key is tried for every record.

    `behind_cache` wraps what is asked where no answer is stored: there requests can be kept for a message batch, which
    neither tries, ledger, limiter nor breaker see.
    """
    inner = adapter if breaker is None else Guarded(adapter, breaker, context.run_id or object())
    if limiter is not None:
        inner = Limited(inner, limiter)
    if purse is not None:
        inner = Budgeted(inner, purse, price=price)
    asked: RawTextModel = Retried(Metered(inner, journal, context, price=price), retrying)
    return Cached(asked if behind_cache is None else behind_cache(asked), journal, context)


def embedding_chain(
    adapter: PackedEmbeddings,
    journal: Journal,
    context: CallContext,
    *,
    retrying: Retrying | None = None,
    purse: Purse | None = None,
    limiter: Limiter | None = None,
    breaker: Breaker | None = None,
    price: Price = cost_usd,
    behind_cache: Callable[[PackedEmbeddings], PackedEmbeddings] | None = None,
) -> Packed:
    """An EmbeddingModel for one step; as above. Its cache is the table of vectors."""
    inner = adapter if breaker is None else GuardedPacks(adapter, breaker, context.run_id or object())
    if limiter is not None:
        inner = LimitedPacks(inner, limiter)
    if purse is not None:
        inner = BudgetedPacks(inner, purse, price=price)
    asked: PackedEmbeddings = RetriedPacks(MeteredPacks(inner, journal, context, price=price), retrying)
    return Packed(asked if behind_cache is None else behind_cache(asked))
