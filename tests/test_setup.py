"""scripts/setup and scripts/clean on a small copy of the project: what they refuse, skip, start over and leave alone.

No package is downloaded: a Python that only pretends stands in for the interpreter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COPIED = ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt", "pyproject.toml"]
# What the scripts ask of a Python and of the environment made by it; every call is noted in `calls`.
PRETENDER = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
  *"import ensurepip"*) [ -e "$CALLS.apt" ] || exit "${NO_ENSUREPIP:-0}" ;;
  "-c import sys; print"*) echo 3.11 ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/uv" ;;
  "pip install "*requirements*) exit "${UV_FAILS:-0}" ;;
  "-m pip config"*) exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, in a folder with a space in its name."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in COPIED:
        shutil.copy(ROOT / name, folder / name)
    (folder / "python").write_text(PRETENDER)
    (folder / "python").chmod(0o755)
    (folder / "calls").touch()
    return folder


def setup(checkout: Path, kind: str = "run", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/setup; PATH has the standard tools and no package manager worth asking."""
    tools = checkout / "tools"
    if not tools.exists():
        tools.mkdir()
        for name in ("bash", "cat", "cp", "dirname", "env", "flock", "id", "mkdir", "rm", "sha256sum", "touch"):
            (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    given = {"PATH": str(tools), "PYTHON": str(checkout / "python"), "CALLS": str(checkout / "calls")}
    return subprocess.run(
        [checkout / "scripts" / "setup", kind],
        cwd="/", env=given | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def installs(checkout: Path) -> list[str]:
    return [call for call in calls(checkout) if "pip install" in call]


def test_installs_by_hash_and_compiles(checkout: Path) -> None:
    done = setup(checkout)
    assert done.returncode == 0, done.stderr
    bootstrap, locked, own = installs(checkout)
    assert "--require-hashes -r requirements-uv.txt" in bootstrap
    assert "--require-hashes -r requirements.txt" in locked
    assert "--compile-bytecode" in locked
    assert "--no-deps --no-build-isolation" in own
    assert not (checkout / ".venv" / ".elmer-unfinished").exists()


def test_second_time_nothing_is_called(checkout: Path) -> None:
    setup(checkout)
    before = calls(checkout)
    again = setup(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert calls(checkout) == before


def test_tests_packages_come_on_top(checkout: Path) -> None:
    setup(checkout)
    setup(checkout, "dev")
    assert [call for call in calls(checkout) if call.startswith("-m venv")] == ["-m venv .venv"]
    assert any("-r requirements-dev.txt" in call for call in installs(checkout))


def test_a_changed_lock_is_installed_without_starting_over(checkout: Path) -> None:
    setup(checkout)
    with (checkout / "requirements.txt").open("a") as lock:
        lock.write("# another version\n")
    before = len(installs(checkout))
    setup(checkout)
    assert len(installs(checkout)) == before + 3
    assert [call for call in calls(checkout) if call.startswith("-m venv")] == ["-m venv .venv"]


def test_a_moved_checkout_is_installed_again(checkout: Path) -> None:
    setup(checkout)
    moved = checkout.rename(checkout.with_name("elsewhere"))
    before = len(installs(moved))
    setup(moved)
    assert len(installs(moved)) == before + 3


def test_an_interrupted_one_starts_over(checkout: Path) -> None:
    failed = setup(checkout, UV_FAILS="7")
    assert failed.returncode == 7
    assert (checkout / ".venv" / ".elmer-unfinished").exists()
    (checkout / ".venv" / "half a package").touch()
    assert setup(checkout).returncode == 0
    assert not (checkout / ".venv" / "half a package").exists()


def test_without_ensurepip_it_says_what_to_install(checkout: Path) -> None:
    refused = setup(checkout, NO_ENSUREPIP="1")
    assert refused.returncode == 1
    assert "apt-get install python3.11-venv" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_with_apt_it_installs_what_is_missing(checkout: Path) -> None:
    setup(checkout, "nothing yet")  # makes the folder of tools
    for name, script in {"apt-get": 'echo "$*" >>"$CALLS.apt"', "sudo": '[ "$1" = -n ] && shift; exec "$@"'}.items():
        (checkout / "tools" / name).write_text(f"#!/bin/bash\n{script}\n")
        (checkout / "tools" / name).chmod(0o755)
    (checkout / "tools" / "true").symlink_to(shutil.which("true") or pytest.fail("true is missing"))
    assert setup(checkout, NO_ENSUREPIP="1").returncode == 0
    update, install = (checkout / "calls.apt").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("python3.11-venv")


def test_without_python_it_says_which(checkout: Path) -> None:
    refused = setup(checkout, PYTHON="no-such-python")
    assert refused.returncode == 1
    assert "Python 3.11" in refused.stderr


def test_unknown_kind_is_refused(checkout: Path) -> None:
    assert setup(checkout, "everything").returncode == 2


def test_clean_removes_what_was_made_and_nothing_else(checkout: Path) -> None:
    made = [".venv/bin", ".elmer/postgres/data", "assets/__pycache__", ".ruff_cache"]
    kept = ["notes/mine.md", ".env.local", "elsewhere/data"]
    for name in made:
        (checkout / name).mkdir(parents=True)
    for name in kept:
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    (checkout / ".elmer" / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # not a server
    environment = {**os.environ, "ELMER_HOME": str(checkout / "elsewhere")}
    subprocess.run([checkout / "scripts" / "clean"], cwd="/", env=environment, check=True, capture_output=True)
    assert [name for name in made if (checkout / name).exists()] == []
    assert [name for name in kept if not (checkout / name).exists()] == []
