"""What `elmer doctor` says of keys, names and lifecycles of models, asked of the loopback server."""

from __future__ import annotations

from pathlib import Path

import pytest
from servers.model_server import ModelServer

from elmer_pipelines.console import doctor
from elmer_pipelines.settings import load_settings

KEY = "sk-never-shown-0123456789"


class Examined:
    """The doctor's findings about models under some settings."""

    def __init__(self, server: ModelServer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, patch
        self._set(ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=server.url)
        self._set(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.openai_url)

    def __call__(self, **variables: str | None) -> dict[str, doctor.Finding]:
        self._set(**variables)
        found = {one.name: one for one in doctor._models(load_settings(self._folder))}
        assert KEY not in repr(found)
        return found

    def _set(self, **variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                self._patch.delenv(name)
            else:
                self._patch.setenv(name, value)


@pytest.fixture
def examined(model_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examined:
    return Examined(model_server, tmp_path, monkeypatch)


def test_models_that_answer_are_fine(examined: Examined, model_server: ModelServer) -> None:
    found = examined(ELMER_MODEL_CLASSIFY="openai:gpt-5-mini")
    assert {name: one.state for name, one in found.items()} == dict.fromkeys(
        ("extract", "classify", "generate", "embeddings"), "fine"
    )
    assert found["classify"].detail == "gpt-5-mini: active"
    assert found["embeddings"].detail.startswith("text-embedding-3-small, 1,536")
    assert model_server.count("messages") + model_server.count("completions") == 0  # nothing is spent on text


def test_a_wrong_name_is_told_with_the_right_ones(examined: Examined) -> None:
    found = examined(ELMER_MODEL_EXTRACT="claude-sonet-5-5", ELMER_MODEL_CLASSIFY="openai:gpt-5-minni")
    assert found["extract"].state == found["classify"].state == "broken"
    assert "The key may use claude-haiku-5-5" in found["extract"].detail
    assert "has no model gpt-5-minni; it has gpt-5-mini" in found["classify"].detail
    assert found["generate"].state == "fine"


def test_lifecycles_are_told(examined: Examined) -> None:
    found = examined(
        ELMER_MODEL_EXTRACT="claude-opus-4-1",
        ELMER_MODEL_CLASSIFY="claude-sonnet-5",
        ELMER_MODEL_GENERATE="claude-sonnet-4-20250514",
    )
    assert found["extract"].state == "broken"
    assert found["extract"].detail.endswith("retired on 2026-08-05. Set ELMER_MODEL_EXTRACT to another model.")
    assert (found["classify"].state, found["classify"].detail) == (
        "warning", "claude-sonnet-5: deprecated, retires 2027-02-01"
    )  # fmt: skip
    assert found["generate"].state == "warning"
    assert "instead of claude-sonnet-4-20250514, which is retired" in found["generate"].detail


def test_a_key_the_service_refuses_is_broken(examined: Examined, model_server: ModelServer) -> None:
    model_server.script("models", *["auth"] * 3)
    model_server.script("embeddings", "auth")
    found = examined(ELMER_MODEL_GENERATE="openai:gpt-5-mini")
    assert {one.state for one in found.values()} == {"broken"}
    assert all("Check the API key" in one.detail for one in found.values())


def test_without_keys_the_local_models_are_named(examined: Examined) -> None:
    found = examined(ANTHROPIC_API_KEY=None, OPENAI_API_KEY=None, ELMER_MODEL_GENERATE="openai:gpt-5-mini")
    assert (found["extract"].state, found["classify"].state) == ("off", "off")
    assert found["generate"].state == "broken"
    assert "OPENAI_API_KEY is not set" in found["generate"].detail
    assert "local model" in found["embeddings"].detail
