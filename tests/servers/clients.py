"""Clients of the loopback server with the real SDKs, which do not wait between tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from elmer_pipelines.models.anthropic_text import AnthropicText
from elmer_pipelines.models.openai_embeddings import OpenAIEmbeddings
from elmer_pipelines.models.openai_text import OpenAIText
from elmer_pipelines.models.retrying import Retrying

if TYPE_CHECKING:
    import pytest

    from servers.model_server import ModelServer

Provider = Literal["anthropic", "openai"]
KEY = "sk-never-shown-0123456789"
MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-5-mini"}
ENDPOINTS = {"anthropic": "messages", "openai": "completions"}
PATIENT = 30.0  # seconds: so many that a busy machine is no silent service
SILENT = {"hang", "stall", "slow"}

EAGER = Retrying(sleep=lambda _: None)


def patience(request: pytest.FixtureRequest, silence: float) -> float:
    """The timeout for a test whose parameter `name` is a fault: `silence`, in seconds, where the fault is one."""
    return silence if request.node.callspec.params.get("name") in SILENT else PATIENT


def text_model(provider: Provider, server: ModelServer, *, timeout: float = PATIENT) -> AnthropicText | OpenAIText:
    """A text model of the provider, as the pipeline builds it."""
    eager = Retrying(sleep=lambda _: None)
    if provider == "anthropic":
        return AnthropicText(MODELS[provider], KEY, server.url, timeout, retrying=eager)
    return OpenAIText(MODELS[provider], KEY, server.openai_url, timeout, retrying=eager)


def embedding_model(server: ModelServer, *, timeout: float = PATIENT) -> OpenAIEmbeddings:
    """An embedding model of 64 dimensions."""
    eager = Retrying(sleep=lambda _: None)
    return OpenAIEmbeddings(dimensions=64, api_key=KEY, base_url=server.openai_url, timeout=timeout, retrying=eager)
