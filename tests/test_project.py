"""The project as a whole: no addresses or paths of a machine in it, walls, sizes, and documents that tell the truth.

Files are found by walking the tree, so that what is not committed yet counts as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer

from elmer_pipelines.cli import app

ROOT = Path(__file__).parent.parent
SKIPPED = {".git", ".venv", ".venv-bench", ".elmer", "build", ".hypothesis", "__pycache__", ".ipynb_checkpoints"} | {
    "results"
}
TEXTS = {
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".txt",
    ".json",
    ".jsonl",
    ".csv",
    ".svg",
    ".ipynb",
    ".cfg",
    ".ini",
    "",
}
LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt", "requirements-bench.txt"]
PROSE = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root; not what tools and runs leave behind."""

    def walk(folder: Path) -> list[Path]:
        found: list[Path] = []
        for path in folder.iterdir():
            if path.is_dir():
                if not (path.name in SKIPPED or path.name.endswith(("_cache", ".egg-info"))):
                    found += walk(path)
            elif path.name not in {".env", ".env.local", ".git"}:
                found.append(path.relative_to(ROOT))
        return found

    return tuple(sorted(walk(ROOT)))


@cache
def texts() -> dict[Path, str]:
    """The files that are text, sample documents aside: some of those are broken on purpose."""
    chosen = [path for path in files() if path.suffix in TEXTS and path.parts[0] != "examples"]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in chosen}


@cache
def modules() -> dict[Path, ast.Module]:
    """Our Python, parsed."""
    return {path: ast.parse(text) for path, text in texts().items() if path.suffix == ".py"}


def imported(tree: ast.Module) -> set[str]:
    """The top-level packages a module imports, inside functions too."""
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in plain | named}


def prose() -> dict[Path, str]:
    """The documents for people."""
    return {
        path: text
        for path, text in texts().items()
        if path.suffix == ".md" and (path.name in PROSE or path.parts[0] in {"docs", "deploy"})
    }


def test_the_walk_finds_the_project() -> None:
    assert {Path("README.md"), Path("pyproject.toml"), Path("elmer_pipelines/cli.py"), Path(".ci/run")} <= set(files())


def test_no_file_names_a_package_index() -> None:
    index = re.compile(r"://[^\s\"'<>)]*/(simple|pypi|packages)/|--(extra-)?index-url[= ]|--find-links[= ]")
    assert [(str(path), hit.group()) for path, text in texts().items() if (hit := index.search(text))] == []


def test_no_file_holds_a_path_of_a_machine() -> None:
    private = [r"/home/(?!elmer\b)\w+/", r"/Users/\w+/", r"/root/\w"]
    if len(ROOT.parts) > 2:
        private.append(rf"{re.escape(str(ROOT))}\b")
    paths = re.compile("|".join(private))
    mine = Path("tests/test_project.py")
    found = [(str(path), hit.group()) for path, text in texts().items() if path != mine and (hit := paths.search(text))]
    assert found == []


def test_no_file_that_is_a_secret_or_a_database_lies_about() -> None:
    assert [str(path) for path in files() if path.suffix in {".pem", ".key", ".db", ".sqlite", ".dump"}] == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_exact_versions_with_hashes_and_no_addresses(name: str) -> None:
    text = texts()[Path(name)]
    assert "://" not in text
    assert " @ " not in text
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
    assert [one for one in entries if not re.match(r"[\w.\[\],-]+==\S+ ", one)] == []
    assert [one.split()[0] for one in entries if "--hash=sha256:" not in one] == []


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+==\S+)", texts()[Path(name)], flags=re.MULTILINE))


def test_what_runs_is_what_was_tested() -> None:
    assert pins("requirements.txt") < pins("requirements-dev.txt")


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads(texts()[Path("pyproject.toml")])["project"]
    for name, wanted in {
        "requirements.txt": project["dependencies"],
        "requirements-dev.txt": project["optional-dependencies"]["dev"],
    }.items():
        locked = {canonical(pin.split("==")[0]) for pin in pins(name)}
        missing = {canonical(re.match(r"[\w.-]+", one)[0]) for one in wanted} - locked  # type: ignore[index]
        assert missing == set(), f"{name}: run make lock"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_dagster_stays_in_its_rooms() -> None:
    allowed = {Path("elmer_pipelines/definitions.py"), Path("elmer_pipelines/resources.py")}
    elsewhere = [
        str(path)
        for path, tree in modules().items()
        if path.parts[0] in {"elmer_pipelines", "benchmarks", "deploy"}
        if path not in allowed and any(name.startswith("dagster") for name in imported(tree))
    ]
    assert elsewhere == []


@pytest.mark.parametrize("room", ["store", "models"])
def test_the_lowest_rooms_know_nobody_above(room: str) -> None:
    foundation = ("determinants", "errors", "ids", "settings", "steps")
    below = {f"elmer_pipelines.{name}" for name in foundation}
    for path, tree in modules().items():
        if path.parts[:2] != ("elmer_pipelines", room):
            continue
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {".".join(name.split(".")[:2]) for name in names if name.startswith("elmer_pipelines.")}
        assert ours <= below | {f"elmer_pipelines.{room}"}, path


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        str(path)
        for path, tree in modules().items()
        if tree.body and path.parts[0] != "tests" and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_files_and_functions_stay_short() -> None:
    """The schema is a list of tables, read one at a time; migrations are written by a machine."""
    read = {path: tree for path, tree in modules().items() if "versions" not in path.parts}
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in read.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 80
    ]
    large = [
        f"{path}: {count}"
        for path in read
        if (count := texts()[path].count("\n")) > 420 and path.name not in {"schema.py", "model_server.py"}
    ]
    assert (long, large) == ([], [])


def test_no_module_is_named_after_nothing() -> None:
    assert [str(path) for path in modules() if path.stem in {"utils", "helpers", "common", "misc"}] == []


def commands() -> dict[str, set[str]]:
    """Each command of `elmer`, with its own commands where it has some."""
    group = typer.main.get_command(app)
    return {name: set(getattr(one, "commands", {})) for name, one in group.commands.items()}  # type: ignore[attr-defined]


def code_in(text: str) -> list[str]:
    """What a document shows as code: blocks and inline."""
    return re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)


def test_commands_that_documents_mention_exist() -> None:
    known = commands()
    for path, text in prose().items():
        for command, sub in re.findall(r"\belmer ([a-z]+)(?: ([a-z]+))?", "\n".join(code_in(text))):
            assert command in known, f"{path}: elmer {command}"
            assert not (known[command] and sub) or sub in known[command], f"{path}: elmer {command} {sub}"


def test_every_command_is_in_the_readme() -> None:
    text = texts()[Path("README.md")]
    assert [name for name in commands() if f"elmer {name}" not in text] == []


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", texts()[Path("Makefile")], flags=re.MULTILINE))


def test_targets_that_documents_mention_exist() -> None:
    mentioned = {
        name for text in prose().values() for name in re.findall(r"\bmake ([a-z-]+)", "\n".join(code_in(text)))
    }
    assert mentioned - {"setup"} <= targets()
    assert {"help", "setup", "demo", "dev", "notebook", "test", "check", "bench", "lock", "clean"} <= targets()


def test_help_is_the_default_and_lists_the_targets() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^ +make \x1b\[36m([a-z-]+)", shown, flags=re.MULTILINE))
    assert listed == targets() - {"setup-dev"}


def test_ci_is_make_check() -> None:
    text = texts()[Path(".ci/run")]
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("exec make check")


@pytest.mark.parametrize("name", [".ci/run", "scripts/setup", "scripts/lock", "scripts/notebook", "scripts/clean"])
def test_scripts_can_be_run_and_parse(name: str) -> None:
    assert (ROOT / name).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", name], cwd=ROOT, check=True)


def test_links_of_documents_lead_somewhere() -> None:
    for path, text in prose().items():
        for target in re.findall(r"\]\(([^)#\s]+)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            if "://" not in target:
                assert (ROOT / path.parent / target).exists(), f"{path}: {target}"


def test_readme_is_short() -> None:
    assert texts()[Path("README.md")].count("\n") <= 120


def test_the_picture_shows_every_asset() -> None:
    root = ElementTree.fromstring((ROOT / "docs" / "images" / "pipeline.svg").read_bytes())
    words = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    described = texts()[Path("docs/architecture.md")]
    table = described[: described.index("## The house")]
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", table)) <= words


def test_changelog_keeps_its_form() -> None:
    text = texts()[Path("CHANGELOG.md")]
    assert text.startswith("# Changelog\n")
    versions = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert [one for one in versions[1:] if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", one)] == []
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE)) <= kinds
    notes = re.split(r"\n(?=- |#|\n)", text)
    assert [note for note in notes if note.startswith("- ") and not note.rstrip().endswith(".")] == []


def test_licence_is_the_one_declared() -> None:
    assert texts()[Path("LICENSE")].startswith("MIT License\n\nCopyright (c) 2026 Elmer Pipelines contributors\n")
    assert 'license = "MIT"' in texts()[Path("pyproject.toml")]
