"""Settings: what is refused and how it is said, where values come from, and that `.env.example` is complete."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from elmer_pipelines.errors import SettingsError
from elmer_pipelines.settings import ENV_FILE, Settings, load_settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "JUPYTER_TOKEN", "DOCUMENTS_FOLDER"}
VARIABLES = Settings.variables()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests do not count."""
    known = {name for names in VARIABLES.values() for name in names}
    for name in list(os.environ):
        if name in known or name.startswith("ELMER_"):
            monkeypatch.delenv(name)


def written_in_example() -> dict[str, str]:
    """Each `#NAME=value` line of .env.example."""
    found = re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(found) == len(dict(found)), "a variable is listed twice"
    return dict(found)


def test_defaults_without_anything_set(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.database_url is None
    assert settings.home == Path(".elmer")
    assert (settings.poll_interval_ms, settings.max_concurrent, settings.budget_usd) == (5_000, 1, None)
    assert settings.source_of("home") == "default"


def test_unknown_variable_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMER_MODEL_EXTRAKT", "the-value-itself")
    with pytest.raises(SettingsError, match="ELMER_MODEL_EXTRAKT") as refused:
        load_settings(tmp_path)
    assert "the-value-itself" not in str(refused.value)


def test_unknown_line_of_the_file_is_refused_even_without_our_prefix(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_text("OPENAI_API_KEYS=sk-very-secret\n")
    with pytest.raises(SettingsError, match="OPENAI_API_KEYS") as refused:
        load_settings(tmp_path)
    assert "sk-very-secret" not in str(refused.value)


def test_somebody_elses_variable_is_none_of_our_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_SOMETHING_ELSE", "x")
    assert load_settings(tmp_path).auth_secret is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_CONCURRENT", "many-78431"),
        ("MAX_CONCURRENT", "0"),
        ("POLL_INTERVAL", "-78431"),
        ("ELMER_BUDGET_USD", "-78431"),
        ("ELMER_BUDGET_USD", "lots-78431"),
        ("ELMER_BATCH", "sometimes-78431"),
        ("DEFAULT_WORKSPACE_ID", "../78431"),
        ("ELMER_MODEL_EMBED", ""),
    ],
)
def test_malformed_value_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings(tmp_path)
    assert ".env.example" in str(refused.value)
    assert "78431" not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "variable"), [(field, name) for field, names in VARIABLES.items() for name in names[1:]]
)
def test_second_names_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, variable: str) -> None:
    monkeypatch.setenv(variable, "given")
    settings = load_settings(tmp_path)
    value = getattr(settings, field)
    assert (value if isinstance(value, str) else value.get_secret_value()) == "given"
    assert settings.source_of(field) == "environment"


def test_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ENV_FILE).write_text("MAX_CONCURRENT=3\nWORKER_ID=grüße\n", encoding="utf-8")
    monkeypatch.setenv("MAX_CONCURRENT", "7")
    settings = load_settings(tmp_path)
    assert (settings.max_concurrent, settings.worker_id) == (7, "grüße")
    assert settings.source_of("max_concurrent") == "environment"
    assert settings.source_of("worker_id") == ENV_FILE


def test_file_of_the_checkout_is_the_default_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    checkout.mkdir()
    elsewhere.mkdir()
    (checkout / ENV_FILE).write_text("MAX_CONCURRENT=5\n")
    monkeypatch.setattr("elmer_pipelines.settings.PROJECT", checkout)
    monkeypatch.chdir(elsewhere)
    assert load_settings().max_concurrent == 5
    assert load_settings().home_folder == checkout / ".elmer"


@pytest.mark.parametrize("blank", ["", "   "])
def test_blank_secret_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    for name in ("DATABASE_URL", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ELMER_BUDGET_USD"):
        monkeypatch.setenv(name, blank)
    settings = load_settings(tmp_path)
    read = [settings.database_url, settings.anthropic_api_key, settings.openai_base_url, settings.budget_usd]
    assert read == [None] * 4


def test_secrets_do_not_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [field for field, info in Settings.model_fields.items() if "Secret" in str(info.annotation)]
    assert len(secrets) > 10
    for field in secrets:
        monkeypatch.setenv(VARIABLES[field][0], "hush-78431")
    settings = load_settings(tmp_path)
    assert "78431" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.max_concurrent = 2  # type: ignore[misc]


def test_places_are_made_absolute_inside_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMER_HOME", str(tmp_path / "home"))
    settings = load_settings(tmp_path)
    assert settings.place("elmer-docs/") == str(tmp_path / "home" / "elmer-docs")
    assert settings.place("/elsewhere") == "/elsewhere"
    assert settings.place("s3://bucket/key") == "s3://bucket/key"


def test_example_lists_exactly_what_there_is() -> None:
    assert set(written_in_example()) - COMPOSE_ONLY == {names[0] for names in VARIABLES.values()}


def test_example_mentions_every_second_name() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert [name for names in VARIABLES.values() for name in names[1:] if name not in text] == []


def test_defaults_of_the_example_are_the_defaults(tmp_path: Path) -> None:
    lines = {name: value for name, value in written_in_example().items() if name not in COMPOSE_ONLY}
    folder, empty = tmp_path / "copied", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    (folder / ENV_FILE).write_text("".join(f"{name}={value}\n" for name, value in lines.items() if value))
    assert load_settings(folder).model_dump() == load_settings(empty).model_dump()


def test_example_copied_as_it_is_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(EXAMPLE.read_bytes())
    assert load_settings(tmp_path).model_fields_set == set()
