"""The graph as Dagster shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.columns import column_schema
from elmer_pipelines import planning
from elmer_pipelines.definitions import all_assets, build_definitions
from elmer_pipelines.pipeline import STEPS
from elmer_pipelines.settings import Settings
from elmer_pipelines.store.table_states import steps

PROJECT = Path(__file__).parents[2]
UPSTREAM = {
    "documents": set(),
    "knowledge": set(),
    "signals": {"documents"},
    "signal_embeddings": {"signals"},
    "duplicate_signals": {"signal_embeddings"},
    "signal_clusters": {"signal_embeddings"},
    "cluster_themes": {"signal_clusters"},
    "cluster_trends": {"signal_clusters"},
    "projects": {"knowledge"},
    "project_embeddings": {"projects"},
    "signal_classifications": {"signal_embeddings", "project_embeddings"},
    "initiatives": {"cluster_themes", "signal_classifications", "duplicate_signals"},
    "research_briefs": {"initiatives", "projects", "duplicate_signals"},
    "prds": {"research_briefs"},
}


def _specs(settings: Settings) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in build_definitions(settings).resolve_all_asset_specs()}


def test_every_step_is_an_asset_after_those_it_reads() -> None:
    found = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in _specs(Settings()).items()}
    assert found == UPSTREAM == {step: set(before) for step, before in planning.UPSTREAM.items()}
    assert set(found) == set(STEPS) == set(steps())


def test_a_person_learns_what_each_asset_holds() -> None:
    for name, spec in _specs(Settings()).items():
        assert spec.description and 80 < len(spec.description) < 600, name
        assert "    " not in spec.description, name
        assert spec.owners and spec.code_version and "postgres" in spec.kinds, name
        assert spec.metadata["dagster/table_name"].startswith("elmer."), name
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns and all(column.description for column in columns), name
        assert spec.partitions_def == dg.DynamicPartitionsDefinition(name="workspaces"), name


def test_the_layout_is_the_pipeline() -> None:
    groups = {name: spec.group_name for name, spec in _specs(Settings()).items()}
    assert set(groups.values()) == {"sources", "signals", "clusters", "projects", "artifacts"}
    for asset in all_assets():
        assert asset.op.compute_fn is not None
    assert groups["signal_classifications"] == "projects"


def test_the_models_in_use_are_shown_and_part_of_the_code_version() -> None:
    local = _specs(Settings())
    keys = Settings(ANTHROPIC_API_KEY="a", OPENAI_API_KEY="o")  # type: ignore[call-arg]
    paid = _specs(keys)
    assert local["signals"].kinds == {"postgres", "python"}
    assert paid["signals"].kinds == {"postgres", "anthropic"}
    assert paid["signal_embeddings"].kinds == {"postgres", "openai"}
    assert paid["signals"].code_version != local["signals"].code_version
    assert paid["documents"].code_version == local["documents"].code_version


def test_calls_to_a_service_are_bounded_by_its_pool() -> None:
    pools = {asset.key.to_user_string(): asset.op.pool for asset in all_assets()}
    assert {name for name, pool in pools.items() if pool == "anthropic"} == {
        "signals", "cluster_themes", "signal_classifications", "research_briefs", "prds",
    }  # fmt: skip
    assert {name for name, pool in pools.items() if pool == "openai"} == {
        "signal_embeddings",
        "project_embeddings",
        "initiatives",
    }


def test_a_column_without_a_meaning_is_an_error() -> None:
    with pytest.raises(KeyError):
        column_schema("model_calls")


def test_loading_the_code_location_opens_nothing() -> None:
    """With a database that can't be reached and no home, and without loading what only steps need."""
    script = (
        "import sys; from elmer_pipelines.definitions import defs; whole = defs();"
        "assert len(list(whole.resolve_all_asset_specs())) == 14;"
        "heavy = {'pandas', 'sklearn', 'matplotlib', 'anthropic', 'openai', 'wordllama'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "ELMER_HOME": "/nonexistent/elmer", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
