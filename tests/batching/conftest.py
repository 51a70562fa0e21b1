"""Tests of message batches share the installation in `tests/batched.py`."""

from batched import batched

__all__ = ["batched"]
