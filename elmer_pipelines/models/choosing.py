"""Which models an installation uses: the services where there is a key, else the ones of this machine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.models.aliases import resolve
from elmer_pipelines.models.naming import split_model

if TYPE_CHECKING:
    from elmer_pipelines.models.anthropic_batches import AnthropicBatches
    from elmer_pipelines.models.anthropic_text import AnthropicText
    from elmer_pipelines.models.local_embeddings import LocalEmbeddings
    from elmer_pipelines.models.openai_batches import OpenAIBatches
    from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
    from elmer_pipelines.models.openai_text import OpenAIText
    from elmer_pipelines.settings import Settings

Purpose = Literal["extract", "classify", "generate"]
_log = logging.getLogger(__name__)


def is_local(model: str) -> bool:
    """Whether a model's name is of one that runs on this machine."""
    return model.startswith("local/")


def model_name(settings: Settings, purpose: Purpose) -> str:
    """The model set for a purpose, without its provider; a retired Claude is replaced, and the log says so."""
    provider, name = split_model(getattr(settings, f"model_{purpose}"))
    if provider == "openai":
        return name
    name, warning = resolve(name)
    if warning:
        _log.warning("%s", warning)
    return name


def text_model(settings: Settings, purpose: Purpose) -> AnthropicText | OpenAIText | None:
    """The model set for a purpose; None for a Claude without ANTHROPIC_API_KEY.

    Raises SettingsError for `openai:MODEL` without OPENAI_API_KEY: who names one does not mean the local models.
    """
    if split_model(getattr(settings, f"model_{purpose}"))[0] == "openai":
        return _openai_text(settings, purpose)
    if settings.anthropic_api_key is None:
        return None
    from elmer_pipelines.models.anthropic_text import AnthropicText

    key = settings.anthropic_api_key.get_secret_value()
    return AnthropicText(model_name(settings, purpose), key, settings.anthropic_base_url)


def _openai_text(settings: Settings, purpose: Purpose) -> OpenAIText:
    from elmer_pipelines.models.openai_text import OpenAIText

    if settings.openai_api_key is None:
        raise SettingsError(
            f"ELMER_MODEL_{purpose.upper()} is a model of OpenAI's protocol, but OPENAI_API_KEY is not set. "
            "Set it (any word, for a server that wants none), or name a Claude."
        )
    key = settings.openai_api_key.get_secret_value()
    return OpenAIText(model_name(settings, purpose), key, settings.openai_base_url)


def batch_services(settings: Settings) -> dict[str, AnthropicBatches | OpenAIBatches]:
    """The services of message batches there are keys for: `anthropic`, `openai`, and `openai embeddings`.

    Other servers that speak OpenAI's protocol rarely have batches: there they are not `offered`.
    """
    from urllib.parse import urlsplit

    from elmer_pipelines.models.anthropic_batches import AnthropicBatches
    from elmer_pipelines.models.anthropic_text import AnthropicText
    from elmer_pipelines.models.openai_batches import OpenAIBatches
    from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
    from elmer_pipelines.models.openai_text import OpenAIText

    found: dict[str, AnthropicBatches | OpenAIBatches] = {}
    if settings.anthropic_api_key is not None:
        key, url = settings.anthropic_api_key.get_secret_value(), settings.anthropic_base_url
        found["anthropic"] = AnthropicBatches(AnthropicText("batches", key, url), key)
    if settings.openai_api_key is not None:
        key, url = settings.openai_api_key.get_secret_value(), settings.openai_base_url
        offered = url is None or (urlsplit(url).hostname or "").endswith("openai.com")
        found["openai"] = OpenAIBatches(OpenAIText("batches", key, url), key, offered=offered)
        vectors = OpenAIEmbeddings("batches", api_key=key, base_url=url)
        found["openai embeddings"] = OpenAIBatches(vectors, key, offered=offered)
    return found


def account(settings: Settings, provider: str) -> str:
    """The name under which the allowance of the key in use is kept; not the key."""
    from elmer_pipelines.models.allowances import account_of

    key = settings.anthropic_api_key if provider == "anthropic" else settings.openai_api_key
    url = settings.anthropic_base_url if provider == "anthropic" else settings.openai_base_url
    return account_of(provider, url, key.get_secret_value() if key else "")


def embedding_model(settings: Settings) -> OpenAIEmbeddings | LocalEmbeddings:
    """OpenAI's model with OPENAI_API_KEY, else the one whose weights ship with a package."""
    if settings.openai_api_key is None:
        from elmer_pipelines.models.local_embeddings import LocalEmbeddings

        return LocalEmbeddings()
    from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings

    key = settings.openai_api_key.get_secret_value()
    return OpenAIEmbeddings(settings.model_embed, api_key=key, base_url=settings.openai_base_url)
