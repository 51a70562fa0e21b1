"""Every setting, read once from the environment and `.env.local`, frozen; secrets never print.

What each one means to a person is in `.env.example`, which a test holds equal to this file.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from elmer_pipelines.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
ENV_FILE = ".env.local"
_OWN_PREFIX = "ELMER_"
WORKSPACE_ID = r"^[a-z0-9][a-z0-9_-]{0,62}$"


def _blank_is_unset(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Secret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset)]
Word = Annotated[str | None, BeforeValidator(_blank_is_unset)]


def _named(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """One installation's settings. Field names are this program's; the variables are their aliases."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8", hide_input_in_errors=True)

    _folder: Path = PrivateAttr(PROJECT)

    database_url: Secret = Field(None, validation_alias=_named("DATABASE_URL"))
    anthropic_api_key: Secret = Field(None, validation_alias=_named("ANTHROPIC_API_KEY"))
    anthropic_base_url: Word = Field(None, validation_alias=_named("ANTHROPIC_BASE_URL"))
    openai_api_key: Secret = Field(None, validation_alias=_named("OPENAI_API_KEY"))
    openai_base_url: Word = Field(None, validation_alias=_named("OPENAI_BASE_URL"))

    model_extract: str = Field("claude-sonnet-5-5", validation_alias=_named("ELMER_MODEL_EXTRACT"), min_length=1)
    model_classify: str = Field("claude-haiku-5-5", validation_alias=_named("ELMER_MODEL_CLASSIFY"), min_length=1)
    model_generate: str = Field("claude-sonnet-5-5", validation_alias=_named("ELMER_MODEL_GENERATE"), min_length=1)
    model_embed: str = Field("text-embedding-3-small", validation_alias=_named("ELMER_MODEL_EMBED"), min_length=1)
    budget_usd: Annotated[float | None, BeforeValidator(_blank_is_unset)] = Field(
        None, validation_alias=_named("ELMER_BUDGET_USD"), ge=0
    )
    batch: Literal["auto", "always", "never"] = Field("auto", validation_alias=_named("ELMER_BATCH"))

    home: Path = Field(Path(".elmer"), validation_alias=_named("ELMER_HOME"))
    context_path: str = Field("elmer-docs/", validation_alias=_named("ELMER_CONTEXT_PATH"), min_length=1)
    prototypes_path: str = Field("prototypes/", validation_alias=_named("ELMER_PROTOTYPES_PATH"), min_length=1)

    default_workspace_id: str = Field("default", validation_alias=_named("DEFAULT_WORKSPACE_ID"), pattern=WORKSPACE_ID)
    worker_id: str = Field(default_factory=socket.gethostname, validation_alias=_named("WORKER_ID"), min_length=1)
    poll_interval_ms: int = Field(5_000, validation_alias=_named("POLL_INTERVAL"), ge=500, le=3_600_000)
    max_concurrent: int = Field(1, validation_alias=_named("MAX_CONCURRENT"), ge=1, le=64)

    auth_secret: Secret = Field(None, validation_alias=_named("AUTH_SECRET"))
    auth_url: Word = Field(None, validation_alias=_named("AUTH_URL"))
    cron_secret: Secret = Field(None, validation_alias=_named("CRON_SECRET"))

    skillsmp_api_key: Secret = Field(None, validation_alias=_named("SKILLSMP_API_KEY", "SKILLMP_API_KEY"))
    linear_api_key: Secret = Field(None, validation_alias=_named("LINEAR_API_KEY"))
    notion_api_key: Secret = Field(None, validation_alias=_named("NOTION_API_KEY"))
    slack_bot_token: Secret = Field(None, validation_alias=_named("SLACK_BOT_TOKEN"))
    slack_signing_secret: Secret = Field(None, validation_alias=_named("SLACK_SIGNING_SECRET"))
    pylon_webhook_secret: Secret = Field(None, validation_alias=_named("PYLON_WEBHOOK_SECRET"))
    posthog_key: Secret = Field(None, validation_alias=_named("POSTHOG_KEY", "NEXT_PUBLIC_POSTHOG_KEY"))
    posthog_host: Word = Field(None, validation_alias=_named("POSTHOG_HOST", "NEXT_PUBLIC_POSTHOG_HOST"))
    chromatic_project_token: Secret = Field(None, validation_alias=_named("CHROMATIC_PROJECT_TOKEN"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the file; no secrets folder."""
        return init_settings, env_settings, dotenv_settings

    @classmethod
    def variables(cls) -> dict[str, tuple[str, ...]]:
        """Field name to the variables that set it, the first being the one to write."""
        return {
            name: tuple(str(choice) for choice in field.validation_alias.choices)
            for name, field in cls.model_fields.items()
            if isinstance(field.validation_alias, AliasChoices)
        }

    def source_of(self, field: str) -> str:
        """Where the value came from: `environment`, `.env.local` or `default`."""
        if field not in self.model_fields_set:
            return "default"
        return "environment" if any(name in os.environ for name in self.variables()[field]) else ENV_FILE

    @property
    def home_folder(self) -> Path:
        """ELMER_HOME, absolute."""
        return (self._folder / self.home.expanduser()).absolute()

    def place(self, path: str) -> str:
        """A path of the settings made absolute: URLs as they are, relative ones inside ELMER_HOME."""
        if "://" in path:
            return path
        return str((self.home_folder / Path(path).expanduser()).absolute())


def load_settings(folder: Path | None = None) -> Settings:
    """The settings of the installation in `folder` (default: the checkout); a relative ELMER_HOME lies in it.

    Raises SettingsError that names every unknown `ELMER_…` variable and every malformed value, never the value.
    """
    folder = folder or PROJECT
    file = folder / ENV_FILE
    _refuse_unknown(file)
    try:
        settings = Settings(_env_file=file if file.exists() else None)
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise SettingsError(f"Settings are malformed: {problems}. See .env.example.") from error
    settings._folder = folder
    return settings


def _refuse_unknown(file: Path) -> None:
    from dotenv import dotenv_values

    known = {name for names in Settings.variables().values() for name in names}
    written = set(dotenv_values(file)) if file.exists() else set()
    unknown = sorted(
        name for name in {*os.environ, *written} if name not in known and (name in written or _looks_ours(name))
    )
    if unknown:
        raise SettingsError(f"Unknown settings: {', '.join(unknown)}. .env.example lists every one there is.")


def _looks_ours(name: str) -> bool:
    return name.startswith(_OWN_PREFIX)
