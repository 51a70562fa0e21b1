"""The table `rate_limits`: the allowance of an account at a service, shared by all processes that use it.

It belongs to no workspace. What headers say, and who waits, is in `models/allowances.py` and `models/limited.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Double, Text, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_ARRAYS = (bindparam("kinds", type_=ARRAY(Text)), bindparam("rates", type_=ARRAY(Double)))


def observe(
    connection: Connection, account: str, model: str, seen: Mapping[str, tuple[float, float]], others_s: float
) -> None:
    """Keep, by kind, the limit per minute and what should be left of it.

    A larger rest that is known is cut to that; a smaller one lifted half the way, short of `others_s` seconds' worth.
    """
    connection.execute(
        text(
            """
            INSERT INTO elmer.rate_limits AS r (account, model, kind, per_minute, available, counted_at)
            SELECT :account, :model, s.kind, s.rate, s.available, clock_timestamp()
            FROM unnest(:kinds, :rates, :rests) AS s (kind, rate, available) ORDER BY 3
            ON CONFLICT (account, model, kind) DO UPDATE
            SET per_minute = excluded.per_minute,
                available = least(excluded.available, greatest(
                    coalesce(r.available, excluded.available) + excluded.per_minute / 60
                        * greatest(0, extract(epoch FROM excluded.counted_at - r.counted_at)),
                    (coalesce(r.available, excluded.available) + excluded.per_minute / 60
                        * greatest(0, extract(epoch FROM excluded.counted_at - r.counted_at))
                        + excluded.available - excluded.per_minute / 60 * :others) / 2)),
                counted_at = greatest(excluded.counted_at, r.counted_at), updated_at = now()
            """
        ).bindparams(*_ARRAYS, bindparam("rests", type_=ARRAY(Double))),
        {
            "account": account, "model": model, "kinds": list(seen),
            "others": others_s, "rates": [one[0] for one in seen.values()], "rests": [one[1] for one in seen.values()],
        },
    )  # fmt: skip


def lease(
    connection: Connection, account: str, model: str, wanted: Mapping[str, float]
) -> dict[str, tuple[float, float, float, float]]:
    """Take up to `wanted` of each kind, nothing while the account is blocked.

    By every kind known: what was granted, the limit per minute, what is left, and for how many seconds more the
    account is blocked. One statement, which locks the account's few rows in the order of their kinds.
    """
    rows = connection.execute(
        text(
            """
            WITH held AS (
                SELECT kind, per_minute, counted_at, blocked_until, available FROM elmer.rate_limits
                WHERE account = :account AND model = :model ORDER BY kind FOR UPDATE
            ), clock AS (SELECT max(counted_at) AS latest, clock_timestamp() AS at FROM held
            ), levels AS (
                SELECT h.kind, coalesce(h.per_minute, 0) AS per_minute, greatest(c.at, h.counted_at) AS at,
                       greatest(0, extract(epoch FROM max(h.blocked_until) OVER () - c.at)) AS blocked,
                       least(h.per_minute, coalesce(h.available, 0) + h.per_minute / 60
                           * greatest(0, extract(epoch FROM c.at - h.counted_at))) AS level,
                       coalesce(w.amount, 0) AS wanted
                FROM held h CROSS JOIN clock c
                LEFT JOIN unnest(:kinds, :rates) AS w (kind, amount) ON w.kind = h.kind
            ), shares AS (
                SELECT *, CASE WHEN coalesce(blocked, 0) > 0 THEN 0 ELSE greatest(0, least(wanted, level)) END AS share
                FROM levels
            )
            UPDATE elmer.rate_limits r SET available = s.level - s.share, counted_at = s.at, updated_at = now()
            FROM shares s WHERE r.account = :account AND r.model = :model AND r.kind = s.kind
            RETURNING r.kind, s.share, s.per_minute, r.available, coalesce(s.blocked, 0)
            """
        ).bindparams(*_ARRAYS),
        {"account": account, "model": model, "kinds": list(wanted), "rates": list(wanted.values())},
    )
    return {kind: (float(a), float(b), float(c), float(d)) for kind, a, b, c, d in rows if b}


def block(connection: Connection, account: str, model: str, seconds: float) -> None:
    """Nobody leases from the account before so many seconds have passed, then only what comes back from there on."""
    connection.execute(
        text(
            "INSERT INTO elmer.rate_limits AS r (account, model, kind, blocked_until) "
            "VALUES (:account, :model, 'requests', now() + make_interval(secs => :seconds)) "
            "ON CONFLICT (account, model, kind) DO UPDATE "
            "SET blocked_until = greatest(r.blocked_until, excluded.blocked_until), updated_at = now()"
        ),
        {"account": account, "model": model, "seconds": seconds},
    )
    connection.execute(
        text(
            "UPDATE elmer.rate_limits SET counted_at = now(), updated_at = now(), "
            "available = least(available, -per_minute / 60 * CAST(:seconds AS float)) "
            "WHERE account = :account AND model = :model AND per_minute IS NOT NULL"
        ),
        {"account": account, "model": model, "seconds": seconds},
    )
