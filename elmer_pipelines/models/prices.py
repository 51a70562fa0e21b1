"""What a call cost, from the price table that genai-prices ships; no network. Budgets are kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elmer_pipelines.models.protocols import Usage


def cost_usd(model: str, provider: str, usage: Usage) -> float | None:
    """US dollars at list price; None when the price of the model is not known, which is not the same as 0.

    `provider` is `anthropic`, `openai` or `local`; what runs here costs 0. The table counts cached tokens as part of
    the input, our `Usage` beside it.
    """
    if provider == "local":
        return 0.0
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    total_input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    counts = {
        "input_tokens": total_input,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    try:
        price = calc_price(
            PricedUsage(**{kind: count for kind, count in counts.items() if count}),
            model_ref=model,
            provider_id=provider,
        )
    except LookupError:
        return None
    return float(price.total_price)
