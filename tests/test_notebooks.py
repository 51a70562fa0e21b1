"""Every notebook runs from top to bottom on the sample workspace, in a real kernel, and ends with the evidence."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elmer_pipelines.pipeline import STEPS, Pipeline
from elmer_pipelines.settings import PROJECT, load_settings
from elmer_pipelines.store import workspaces
from elmer_pipelines.store.database import Database
from elmer_pipelines.store.embedded import EmbeddedServer

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def _read(file: Path) -> Any:
    import nbformat  # seconds, which workers that run no notebook need not spend while they collect

    return nbformat.read(file, as_version=4)


@pytest.fixture(scope="module")
def installation() -> Iterator[Path]:
    """A home with the sample workspace brought up to date, as `make demo` leaves it."""
    home = Path(tempfile.mkdtemp(prefix="elmer-notebooks-"))
    home.chmod(0o755)
    server = EmbeddedServer(home, fast=True)
    database = Database(server.start())
    try:
        database.migrate()
        with database.begin() as connection:
            workspaces.register(connection, "demo", "Demo", str(PROJECT / "examples"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ELMER_HOME", str(home))
            pipeline = Pipeline(load_settings(home), database)
        for step in STEPS:
            pipeline.run(step, "demo")
        pipeline.close()
        yield home
    finally:
        server.stop()
        server.remove()
        shutil.rmtree(home)


@pytest.mark.filterwarnings("ignore:.*unencrypted TCP.*", "ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_and_ends_with_the_evidence(file: Path, installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("ELMER_HOME", str(installation))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]))
    notebook = _read(file)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(file.parent)}})
    asyncio.run(client.async_execute())
    last = next(cell for cell in reversed(notebook.cells) if cell.cell_type == "code")
    shown = "".join(str(output.get("data", {}).get("text/html", "")) for output in last.outputs)
    assert "<blockquote" in shown
    assert "characters" in shown


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_kept_without_outputs(file: Path) -> None:
    notebook = _read(file)
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
