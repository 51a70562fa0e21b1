"""docker-compose.yml: what it promises about the database, ports, secrets and health; what is in .env.example."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(set(SERVICES) - {"postgres"})
LASTING = sorted(set(SERVICES) - {"migrate"})


def test_services_are_the_ones_documented() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "code", "web", "daemon", "jupyter"}
    described = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    assert [name for name in SERVICES if f"| `{name}` |" not in described] == []


def test_database_is_the_one_people_know() -> None:
    postgres = SERVICES["postgres"]
    assert postgres["container_name"] == "elmer-postgres"
    assert postgres["image"].startswith("pgvector/pgvector:pg18")
    assert postgres["environment"] == {
        "POSTGRES_DB": "orchestrator",
        "POSTGRES_USER": "elmer",
        "POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:-elmer_local_dev}",
    }
    assert postgres["ports"] == ["127.0.0.1:5432:5432"]
    assert postgres["healthcheck"]["test"][1] == "pg_isready"


def test_database_keeps_its_data_where_version_18_puts_it() -> None:
    (mount,) = SERVICES["postgres"]["volumes"]
    volume, path = mount.split(":")
    assert volume in COMPOSE["volumes"]
    assert path == "/var/lib/postgresql"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_code_location_is_not_published() -> None:
    assert "ports" not in SERVICES["code"]


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_is_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_every_service_of_ours_comes_from_the_one_image(name: str) -> None:
    service = SERVICES[name]
    assert service["build"] == {"context": ".", "dockerfile": "deploy/Dockerfile"}
    assert service["image"] == SERVICES["code"]["image"]
    assert "entrypoint" not in service


@pytest.mark.parametrize("name", OURS)
def test_documents_are_mounted_read_only_and_state_in_a_volume(name: str) -> None:
    mounts = SERVICES[name]["volumes"]
    assert [mount.endswith(":ro") for mount in mounts if ":/documents" in mount] == [True]
    (home,) = [mount for mount in mounts if ":/documents" not in mount]
    volume, path = home.split(":")
    assert volume in COMPOSE["volumes"]
    assert path == SERVICES[name]["environment"]["ELMER_HOME"]


@pytest.mark.parametrize("name", OURS)
def test_every_service_of_ours_uses_the_database_of_this_file(name: str) -> None:
    given = SERVICES["postgres"]["environment"]
    assert SERVICES[name]["environment"]["DATABASE_URL"] == (
        f"postgresql://{given['POSTGRES_USER']}:{given['POSTGRES_PASSWORD']}@postgres:5432/{given['POSTGRES_DB']}"
    )


def test_nothing_starts_before_the_schemas_are_up_to_date() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    waits = {name: SERVICES[name]["depends_on"] for name in OURS if name != "migrate"}
    assert waits["code"] == waits["jupyter"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert waits["web"] == waits["daemon"] == {"code": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_a_command_line(name: str) -> None:
    service = SERVICES[name]
    lines = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
    assert [part for part in lines if re.search(r"\$|password|token|secret|key|postgresql:", part, re.IGNORECASE)] == []


def test_every_variable_is_explained_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    assert re.findall(r"\$(?!\{[A-Z_]+:-)", text) == [], "a variable without a default"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    section = example[example.index("--- Docker Compose only") :]
    assert dict(re.findall(r"^#([A-Z_]+)=(.*)$", section, flags=re.MULTILINE)) == used


def test_image_is_built_from_the_lock_and_does_not_run_as_root() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.11-slim$", text, flags=re.MULTILINE)
    assert len(re.findall(r"install .*--require-hashes -r requirements", text)) == 2
    assert re.findall(r"^USER (.+)$", text, flags=re.MULTILINE) == ["elmer"]
    for copied in re.findall(r"^COPY (.+) \S+$", text, flags=re.MULTILINE):
        assert [name for name in copied.split() if not (ROOT / name).exists()] == []


def test_secrets_and_local_state_stay_out_of_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env*", ".elmer", ".venv", ".git"} <= set(ignored)
