"""Databases of their own for tests, in the session's embedded server."""

from __future__ import annotations

import itertools

import psycopg

from elmer_pipelines.store.embedded import EmbeddedServer

NUMBERS = itertools.count(1)


def administer(server: EmbeddedServer, statement: str) -> None:
    """Run a statement that no transaction may hold."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement.encode())
