"""Retired names, and what calls cost."""

from __future__ import annotations

import pytest

from elmer_pipelines.models.aliases import resolve
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("claude-sonnet-4-20250514", "claude-sonnet-5-5"),
        ("claude-sonnet-4-0", "claude-sonnet-5-5"),
        ("claude-3-5-haiku", "claude-haiku-5-5"),
        ("claude-3-5-haiku-latest", "claude-haiku-5-5"),
        ("claude-3-5-haiku-20241022", "claude-haiku-5-5"),
        ("claude-opus-4-0", "claude-opus-5-5"),
    ],
)
def test_a_retired_name_is_replaced_with_a_warning(name: str, replacement: str) -> None:
    model, warning = resolve(name)
    assert model == replacement
    assert warning is not None
    assert name in warning
    assert replacement in warning


@pytest.mark.parametrize("name", ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-4-6"])
def test_a_living_name_stays(name: str) -> None:
    assert resolve(f" {name} ") == (name, None)


def test_every_name_the_sdk_calls_deprecated_is_replaced_by_a_living_one() -> None:
    from anthropic.resources.messages.messages import DEPRECATED_MODELS

    replaced = {name: resolve(name)[0] for name in DEPRECATED_MODELS}
    assert replaced
    assert not set(replaced.values()) & set(DEPRECATED_MODELS)


def test_prices_of_the_models_in_use() -> None:
    # $2 and $10 a million tokens; cached input $0.10, written to the cache $2.50.
    assert cost_usd("claude-sonnet-5-5", "anthropic", Usage(1_000_000, 100_000)) == pytest.approx(3.0)
    cached = Usage(0, 0, cache_read_tokens=1_000_000, cache_write_tokens=1_000_000)
    assert cost_usd("claude-sonnet-5-5", "anthropic", cached) == pytest.approx(2.6)
    assert cost_usd("text-embedding-3-small", "openai", Usage(1_000_000)) == pytest.approx(0.02)


def test_an_unknown_price_is_unknown_and_local_work_is_free() -> None:
    assert cost_usd("claude-of-tomorrow", "anthropic", Usage(10, 10)) is None
    assert cost_usd("claude-sonnet-5-5", "nobody", Usage(10, 10)) is None
    assert cost_usd("anything", "local", Usage(10, 10)) == 0.0
    assert cost_usd("claude-sonnet-5-5", "anthropic", Usage()) == 0.0
