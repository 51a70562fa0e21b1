"""What a configured model name says: whose protocol to speak, and the name to use there. Nothing is called here."""

from __future__ import annotations

from elmer_pipelines.errors import SettingsError

_PROVIDERS = ("anthropic", "openai")


def split_model(name: str) -> tuple[str, str]:
    """The provider (`anthropic` or `openai`) and the model's name there: `openai:MODEL` is OpenAI's protocol.

    A name without such a prefix is Claude's; MODEL may hold colons, as Ollama's do. Raises SettingsError where no
    model is named.
    """
    provider, colon, model = (part.strip() for part in name.partition(":"))
    if not colon or provider.lower() not in _PROVIDERS:
        return "anthropic", name.strip()
    if not model:
        raise SettingsError(f"The setting {name!r} names a provider but no model. Write {provider}:MODEL.")
    return provider.lower(), model
