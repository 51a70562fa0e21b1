"""Each Python service of docker-compose.yml starts as it is written there, on the embedded server, and gets healthy.

Changed are only the addresses a container network would give: ports, and the names `postgres` and `code`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from sqlalchemy import create_engine, text

from elmer_pipelines.store.database import application_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elmer_pipelines.store.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HEALTHY_WITHIN = 90  # seconds; a quiet machine needs ten
LISTENING = {"code": "4000", "web": "3000", "jupyter": "8888"}  # the services' ports, as compose writes them
TOKEN = "a token of this test"


class Stack:
    """The services as processes of this machine instead of containers."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder, self.database_url = folder, database_url
        self.ports = {port: free_port() for port in LISTENING.values()}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "workspace.yaml").write_text(self.local((ROOT / "deploy" / "workspace.yaml").read_text()))

    def local(self, part: str) -> str:
        """One word of a command line, or a file, with this machine's addresses."""
        for port, ours in self.ports.items():
            part = re.sub(rf"\b{port}\b", str(ours), part)
        part = part.replace("0.0.0.0", "127.0.0.1").replace("host: code", "host: 127.0.0.1")
        return part.replace("deploy/workspace.yaml", str(self.folder / "workspace.yaml"))

    def environment(self, name: str) -> dict[str, str]:
        """What the container would have: the service's own variables and the image's, nothing of this shell."""
        given = {key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for key, value in SERVICES[name]["environment"].items()}
        assert given["DATABASE_URL"].startswith("postgresql://elmer:")
        given |= {"DATABASE_URL": self.database_url, "ELMER_HOME": str(self.folder / "home")}
        if "JUPYTER_TOKEN" in given:
            given["JUPYTER_TOKEN"] = TOKEN
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
        return {"PATH": path, "HOME": str(self.folder), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", **given}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Run the image's entry point with the service's command."""
        dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
        (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, flags=re.MULTILINE)
        command = [self.local(part) for part in (*json.loads(entry), *SERVICES[name]["command"])]
        if "jupyter" in command and os.geteuid() == 0:
            command.append("--allow-root")  # the image has a user of its own
        # A shell that starts the tests in the background ignores SIGINT for all of them; a container does not.
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                ["env", "--default-signal=INT,QUIT", *command],
                cwd=ROOT, env=self.environment(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self.running[name]

    def log(self, name: str) -> str:
        """What the service has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_until_healthy(self, name: str) -> None:
        """Run the service's own health check until it passes; fail with its log when it has ended or takes too long.

        The checks load Dagster, so none is run before somebody listens: it would slow what it waits for.
        """
        deadline = time.monotonic() + HEALTHY_WITHIN
        while not (self._listens(name) and self._passes(name)):
            assert self.running[name].poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(0.3)

    def _listens(self, name: str) -> bool:
        """Whether the service's port is open; the daemon has none."""
        if name not in LISTENING:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[LISTENING[name]])) == 0

    def _passes(self, name: str) -> bool:
        check = [self.local(part) for part in SERVICES[name]["healthcheck"]["test"][1:]]
        done = subprocess.run(check, cwd=ROOT, env=self.environment(name), capture_output=True, check=False)
        return done.returncode == 0

    def stop(self) -> dict[str, int]:
        """End every service as `docker compose stop` would; returns the exit codes."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        return {name: self._ended(process) for name, process in self.running.items()}

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(30)
        finally:
            with_children(process.pid)


def with_children(group: int) -> None:
    """Kill what is left of a service's process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_stack(folder: Path, database_url: str) -> Iterator[Stack]:
    stack = Stack(folder, database_url)
    try:
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def empty_database(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database nobody has migrated."""
    engine = create_engine(application_url(server.url()), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE of_compose"))
    try:
        yield server.url("of_compose")
    finally:
        with engine.connect() as connection:
            connection.execute(text("DROP DATABASE of_compose WITH (FORCE)"))
        engine.dispose()


def ask(port: int, path: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"token {token}"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", data, headers), timeout=30) as answer:
        return json.load(answer)


def test_every_service_starts_as_written(tmp_path: Path, empty_database: str) -> None:
    with running_stack(tmp_path, empty_database) as stack:
        assert stack.start("migrate").wait(HEALTHY_WITHIN) == 0, stack.log("migrate")
        stack.start("jupyter")
        stack.start("code")
        stack.wait_until_healthy("code")
        stack.start("web")
        stack.start("daemon")
        for name in ("web", "jupyter", "daemon"):
            stack.wait_until_healthy(name)
        check_locations(stack.ports["3000"])
        check_jupyter(stack.ports["8888"])
        started = set(stack.running)
        codes = stack.stop()
    assert started == set(SERVICES) - {"postgres"}
    assert {name: code for name, code in codes.items() if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM)} == {}


def check_locations(port: int) -> None:
    """The web server sees the code location, and it loaded."""
    outcome = "locationOrLoadError{__typename ...on PythonError{message}}"
    query = f"{{workspaceOrError{{... on Workspace{{locationEntries{{name {outcome}}}}}}}}}"
    entries = ask(port, "/graphql", {"query": query})["data"]["workspaceOrError"]["locationEntries"]
    assert entries == [{"name": "elmer", "locationOrLoadError": {"__typename": "RepositoryLocation"}}]


def check_jupyter(port: int) -> None:
    """JupyterLab lets nobody in without the token."""
    with pytest.raises(HTTPError, match="403") as refused:
        ask(port, "/api/contents")
    refused.value.close()
    assert ask(port, "/api/contents", token=TOKEN)["type"] == "directory"


def start_script(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/start.py with a home of the test's own and a database that is not asked for anything."""
    given = {"PATH": os.defpath, "ELMER_HOME": str(folder), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    return subprocess.run(
        [sys.executable, "deploy/start.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, env=given | variables,
    )  # fmt: skip


def test_blank_token_does_not_open_jupyter(tmp_path: Path) -> None:
    """Compose hands on an empty variable; with it JupyterLab would ask for nothing at all."""
    shows = "import os; print('JUPYTER_TOKEN' in os.environ, os.environ['DAGSTER_HOME'])"
    shown = start_script(tmp_path, sys.executable, "-c", shows, JUPYTER_TOKEN=" ")
    assert shown.stdout.split() == ["False", str(tmp_path / "dagster")]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ([], {}, "which command"),
        (["no-such-command"], {}, "no-such-command can't be started"),
        (["true"], {"ELMER_HOMES": "x"}, "ELMER_HOMES"),
        (["--migrate", "true"], {}, "can't be reached|could not|connection"),
    ],
)
def test_start_script_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], said: str
) -> None:
    refused = start_script(tmp_path, *arguments, **variables)
    assert refused.returncode in {1, 2}
    assert re.search(said, refused.stderr)
    assert "Traceback" not in refused.stderr
