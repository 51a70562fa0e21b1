"""Clients of the loopback server with the real SDKs, which do not wait between tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    from servers.model_server import ModelServer

Provider = Literal["anthropic", "openai"]
KEY = "sk-never-shown-0123456789"
MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-5-mini"}
ENDPOINTS = {"anthropic": "messages", "openai": "completions"}


EAGER = Retrying(sleep=lambda _: None)


def text_model(provider: Provider, server: ModelServer, *, timeout: float = 5.0) -> AnthropicText | OpenAIText:
    """A text model of the provider, as the pipeline builds it."""
    eager = Retrying(sleep=lambda _: None)
    if provider == "anthropic":
        return AnthropicText(MODELS[provider], KEY, server.url, timeout, retrying=eager)
    return OpenAIText(MODELS[provider], KEY, server.openai_url, timeout, retrying=eager)


def embedding_model(server: ModelServer, *, timeout: float = 5.0) -> OpenAIEmbeddings:
    """An embedding model of 64 dimensions."""
    eager = Retrying(sleep=lambda _: None)
    return OpenAIEmbeddings(dimensions=64, api_key=KEY, base_url=server.openai_url, timeout=timeout, retrying=eager)
