"""Tests of Dagster's side share the installation in `tests/installations.py`."""

import pytest
from installations import DAGSTER_WARNINGS, installation, instance, template

__all__ = ["installation", "instance", "template"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave out the warnings Dagster causes by itself."""
    item.add_marker(DAGSTER_WARNINGS)
