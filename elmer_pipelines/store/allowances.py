"""The table `rate_limits` as a plan reads it. It belongs to a key at a service, not to a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection


def per_minute(connection: Connection, model: str) -> dict[str, float]:
    """What the service last said it allows a minute, by kind (requests, input_tokens, …); empty where nothing is known.

    Where several keys were used, the one that was used last counts.
    """
    rows = connection.execute(
        text(
            "SELECT DISTINCT ON (kind) kind, per_minute FROM elmer.rate_limits "
            "WHERE model = :m AND per_minute > 0 ORDER BY kind, updated_at DESC"
        ),
        {"m": model},
    )
    return {row.kind: row.per_minute for row in rows}
