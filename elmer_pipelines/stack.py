"""Dagster's web server, daemon and code location as child processes, from the first to the last of them.

Nothing here knows assets; it starts `dagster dev` and sees that nothing of it outlives this process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elmer_pipelines.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

DEFAULT_PORT = 3000
_STOP_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def dev_command(port: int) -> list[str]:
    """The command that starts Dagster's UI, daemon and code location on loopback."""
    workspace = str(PROJECT / "workspace.yaml")
    return [sys.executable, "-m", "dagster", "dev", "-w", workspace, "-h", "127.0.0.1", "-p", str(port)]


def free_port(wanted: int = DEFAULT_PORT) -> int:
    """`wanted` where nobody listens there on loopback, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def run_stack(environment: Mapping[str, str], port: int) -> int:
    """Run the stack until it ends or this process gets SIGINT or SIGTERM; returns the exit code, 0 when stopped.

    The children form a session of their own, are asked to stop, and are killed after 15 seconds.
    """
    child = subprocess.Popen(
        dev_command(port),
        env={**os.environ, **environment, "PYTHONWARNINGS": "ignore"},
        cwd=PROJECT,  # what workspace.yaml is relative to; and nobody's own folder shadows a module
        start_new_session=True,
        preexec_fn=_as_child,
    )
    with _stopping(child) as stopped:
        code = child.wait()
    _kill_group(child.pid)
    return 0 if stopped else code


def _as_child() -> None:
    """Signals as by default (a shell's `&` ignores SIGINT, which Dagster needs), and an end with the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _stopping(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Inside the block SIGINT and SIGTERM stop the child: politely, then, 15 seconds later, for good."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if received:
            return
        received.append(number)
        child.send_signal(signal.SIGINT)
        signal.setitimer(signal.ITIMER_REAL, _STOP_SECONDS)

    def give_up(_: int, __: FrameType | None) -> None:
        _kill_group(child.pid)

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGALRM: give_up}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield received
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill_group(group: int) -> None:
    """Kill what is left of the session's first process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
