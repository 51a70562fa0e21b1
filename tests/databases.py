"""Databases of their own for tests, in the session's embedded server."""

from __future__ import annotations

import itertools

from sqlalchemy import create_engine, text

from elmer_pipelines.store.database import application_url
from elmer_pipelines.store.embedded import EmbeddedServer

NUMBERS = itertools.count(1)


def administer(server: EmbeddedServer, statement: str) -> None:
    """Run a statement that no transaction may hold."""
    engine = create_engine(application_url(server.url()), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
