"""The table `spend_reservations` and what was spent: nothing is sent before its worst case fits the budget (I7).

The budget of an installation spans its workspaces, so sums do too; every row written is of one workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, BigInteger, bindparam, text

from elmer_pipelines.store.database import lock_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

_IDS = bindparam("ids", type_=ARRAY(BigInteger))
RUN_DAYS = 7  # no run lasts longer


@dataclass(frozen=True)
class Sums:
    """US dollars by scope: today everywhere, today in the workspace, in the run whatever the day."""

    everywhere: float = 0.0
    workspace: float = 0.0
    run: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.everywhere + other.everywhere, self.workspace + other.workspace, self.run + other.run)


def lock(connection: Connection, workspace_id: str) -> datetime:
    """Let nobody else reserve until the transaction ends, in whatever workspace; returns the database's clock.

    The commit does not wait for the disk: what a crash of the server could lose was of calls under way.
    """
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key("elmer:budget")})
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def spent(connection: Connection, workspace_id: str, run_id: str | None, until: datetime) -> Sums:
    """What calls cost before that moment."""
    row = connection.execute(
        text(
            """
            WITH day AS (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS began),
            today AS (
                SELECT w.id AS workspace_id, coalesce(sum(c.cost_usd), 0) AS cost
                FROM day CROSS JOIN elmer.workspaces w JOIN elmer.model_calls c ON c.workspace_id = w.id
                WHERE c.at >= day.began AND c.at < :until GROUP BY w.id
            )
            SELECT (SELECT coalesce(sum(cost), 0) FROM today),
                   (SELECT coalesce(sum(cost), 0) FROM today WHERE workspace_id = :w),
                   (SELECT coalesce(sum(cost_usd), 0) FROM elmer.model_calls
                    WHERE workspace_id = :w AND run_id = :run AND at < :until
                      AND at >= now() - make_interval(days => :days))
            """
        ),
        {"w": workspace_id, "run": run_id, "until": until, "days": RUN_DAYS},
    ).one()
    return Sums(*(float(one) for one in row))


def committed(connection: Connection, workspace_id: str, run_id: str | None, since: datetime) -> tuple[Sums, Sums]:
    """What was spent from `since` on, and what is reserved, in one look: a call that ends meanwhile is in one of them.

    Only as good as `lock`, under which it has to be asked.
    """
    row = connection.execute(
        text(
            """
            WITH recent AS (
                SELECT c.workspace_id, c.run_id, c.cost_usd,
                       c.at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS today
                FROM elmer.workspaces w JOIN elmer.model_calls c ON c.workspace_id = w.id WHERE c.at >= :since
            ), held AS (
                SELECT workspace_id, run_id, amount_usd FROM elmer.spend_reservations
                WHERE expires_at > clock_timestamp()
            )
            SELECT (SELECT coalesce(sum(cost_usd), 0) FROM recent WHERE today),
                   (SELECT coalesce(sum(cost_usd), 0) FROM recent WHERE today AND workspace_id = :w),
                   (SELECT coalesce(sum(cost_usd), 0) FROM recent WHERE workspace_id = :w AND run_id = :run),
                   (SELECT coalesce(sum(amount_usd), 0) FROM held),
                   (SELECT coalesce(sum(amount_usd), 0) FROM held WHERE workspace_id = :w),
                   (SELECT coalesce(sum(amount_usd), 0) FROM held WHERE workspace_id = :w AND run_id = :run)
            """
        ),
        {"w": workspace_id, "run": run_id, "since": since},
    ).one()
    figures = [float(one) for one in row]
    return Sums(*figures[:3]), Sums(*figures[3:])


def owed(connection: Connection, workspace_id: str, run_id: str | None) -> Sums:
    """The worst that requests waiting in open batches may still cost, whatever the day they are paid on.

    To be asked before `committed`: a result that comes in between is then counted twice, never not at all.
    """
    row = connection.execute(
        text(
            """
            WITH open AS (
                SELECT b.workspace_id, b.run_id, b.owed_usd FROM elmer.workspaces w
                JOIN elmer.model_batches b ON b.workspace_id = w.id WHERE b.state IN ('submitting', 'submitted')
            )
            SELECT coalesce(sum(owed_usd), 0),
                   coalesce(sum(owed_usd) FILTER (WHERE workspace_id = :w), 0),
                   coalesce(sum(owed_usd) FILTER (WHERE workspace_id = :w AND run_id = :run), 0)
            FROM open
            """
        ),
        {"w": workspace_id, "run": run_id},
    ).one()
    return Sums(*(float(one) for one in row))


def reserve(
    connection: Connection, workspace_id: str, run_id: str | None, step: str, amount_usd: float, seconds: float
) -> int:
    """Set the amount aside for so many seconds; returns the reservation's id."""
    return int(
        connection.execute(
            text(
                "INSERT INTO elmer.spend_reservations (workspace_id, run_id, step, amount_usd, expires_at) "
                "VALUES (:w, :run, :step, :amount, clock_timestamp() + make_interval(secs => :seconds)) RETURNING id"
            ),
            {"w": workspace_id, "run": run_id, "step": step, "amount": amount_usd, "seconds": seconds},
        ).scalar_one()
    )


def settle(connection: Connection, workspace_id: str, ids: Sequence[int]) -> None:
    """Take reservations back, in the transaction that writes what their calls came to."""
    connection.execute(
        text("DELETE FROM elmer.spend_reservations WHERE workspace_id = :w AND id = ANY(:ids)").bindparams(_IDS),
        {"w": workspace_id, "ids": list(ids)},
    )


def renew(connection: Connection, workspace_id: str, ids: Sequence[int], seconds: float) -> None:
    """Keep one's own reservations for so many seconds more, and clear away what dead processes left here."""
    connection.execute(
        text(
            "UPDATE elmer.spend_reservations SET expires_at = clock_timestamp() + make_interval(secs => :seconds) "
            "WHERE workspace_id = :w AND id = ANY(:ids)"
        ).bindparams(_IDS),
        {"w": workspace_id, "ids": list(ids), "seconds": seconds},
    )
    connection.execute(
        text("DELETE FROM elmer.spend_reservations WHERE workspace_id = :w AND expires_at <= clock_timestamp()"),
        {"w": workspace_id},
    )
