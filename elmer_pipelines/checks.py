"""What must hold after a step, asked of the database: plain functions of a connection and a workspace (DESIGN I1-I8).

Each returns a CheckOutcome; who runs them, and what happens when one fails, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from elmer_pipelines.store import artifacts, budgets, duplicates

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOLERATED_FAILURES = 0.2  # above this share of failed records a step is in trouble, not merely unlucky
_NEARLY_SPENT = 0.8  # of a budget: from here on somebody should know
_SHOWN = 10


@dataclass(frozen=True)
class CheckOutcome:
    """Whether something holds, in one sentence; `serious` tells an error from a warning.

    `figures` are counts and shares (0 to 1); `examples` are at most ten rows of what is wrong.
    """

    passed: bool
    summary: str
    serious: bool = False
    figures: dict[str, int | float] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def quotes_are_verbatim(connection: Connection, workspace_id: str) -> CheckOutcome:
    """I1: every live signal is exactly the characters of its document that it points at."""
    rows = _rows(
        connection,
        """
        SELECT s.id AS signal, s.document_id AS document, s.start, s."end", left(s.verbatim, 80) AS verbatim,
               count(*) OVER () AS wrong
        FROM elmer.signals s LEFT JOIN elmer.document_versions v
          ON v.workspace_id = s.workspace_id AND v.document_id = s.document_id AND v.content_hash = s.content_hash
        WHERE s.workspace_id = :w AND s.retired_at IS NULL
          AND substring(v.text FROM s.start + 1 FOR s."end" - s.start) IS DISTINCT FROM s.verbatim
        ORDER BY s.id LIMIT :most
        """,
        w=workspace_id,
    )
    total = _number(
        connection,
        "SELECT count(*) FROM elmer.signals WHERE workspace_id = :w AND retired_at IS NULL",
        w=workspace_id,
    )
    wrong = _counted(rows, "wrong")
    return CheckOutcome(
        wrong == 0,
        f"All {total} quotes stand in their documents, word for word."
        if not wrong
        else f"{wrong} of {total} quotes are not what stands at their place.",
        serious=True,
        figures={"signals": total, "wrong": wrong},
        examples=rows,
    )


def signals_cover_documents(connection: Connection, workspace_id: str) -> CheckOutcome:
    """Every live document was looked at; also tells in how many of them a signal was found."""
    row = _rows(
        connection,
        """
        SELECT count(*) AS documents,
               count(*) FILTER (WHERE o.state IN ('done', 'failed')) AS looked_at,
               count(*) FILTER (WHERE o.state = 'failed') AS failed,
               count(*) FILTER (WHERE o.state = 'pending' AND o.error_kind = 'waiting') AS waiting,
               count(*) FILTER (WHERE EXISTS (
                   SELECT FROM elmer.signals s WHERE s.workspace_id = d.workspace_id
                     AND s.document_id = d.id AND s.retired_at IS NULL)) AS with_signals
        FROM elmer.documents d LEFT JOIN elmer.outcomes o
          ON o.workspace_id = d.workspace_id AND o.step = 'signals' AND o.record_id = d.id
        WHERE d.workspace_id = :w AND d.retired_at IS NULL
        """,
        w=workspace_id,
    )[0]
    documents, looked_at, waiting = row["documents"], row["looked_at"], row["waiting"]
    also = f" {waiting} wait for a message batch." if waiting else ""
    share = {"share_with_signals": row["with_signals"] / documents} if documents else {}
    return CheckOutcome(
        documents == looked_at + waiting,
        f"{looked_at} of {documents} documents were read for signals; {row['with_signals']} hold at least one.{also}",
        figures={**row, **share},
    )


def signals_have_vectors(connection: Connection, workspace_id: str, model: str) -> CheckOutcome:
    """Every live signal has a vector of the model in use, finite and of length 1 (half precision: within 0.01), or
    waits for one in a message batch."""
    row = _rows(
        connection,
        """
        SELECT count(*) AS signals, count(e.text_hash) AS with_vector,
               count(o.record_id) FILTER (WHERE e.text_hash IS NULL) AS waiting,
               count(*) FILTER (WHERE NOT coalesce(l2_norm(e.embedding) BETWEEN 0.99 AND 1.01, true)) AS bad_length
        FROM elmer.signals s LEFT JOIN elmer.embeddings e
          ON e.workspace_id = s.workspace_id AND e.model = :model AND e.text_hash = s.text_hash
        LEFT JOIN elmer.outcomes o ON o.workspace_id = s.workspace_id AND o.step = 'signal_embeddings'
          AND o.record_id = s.id AND o.state = 'pending' AND o.error_kind = 'waiting'
        WHERE s.workspace_id = :w AND s.retired_at IS NULL
        """,
        w=workspace_id,
        model=model,
    )[0]
    missing = row["signals"] - row["with_vector"] - row["waiting"]
    also = f" {row['waiting']} wait for a message batch." if row["waiting"] else ""
    return CheckOutcome(
        missing == 0 and row["bad_length"] == 0,
        f"{row['with_vector']} of {row['signals']} signals have a vector of {model}; "
        f"{row['bad_length']} are not of length 1.{also}",
        serious=row["bad_length"] > 0,
        figures={**row, "missing": missing},
    )


def signals_are_clustered(connection: Connection, workspace_id: str) -> CheckOutcome:
    """Every live signal is in a cluster, or visibly in none."""
    row = _rows(
        connection,
        """
        SELECT count(*) AS signals, count(m.cluster_id) AS clustered,
               count(m.signal_id) - count(m.cluster_id) AS unclustered,
               count(*) - count(m.signal_id) AS unplaced
        FROM elmer.signals s LEFT JOIN elmer.cluster_members m
          ON m.workspace_id = s.workspace_id AND m.signal_id = s.id
        WHERE s.workspace_id = :w AND s.retired_at IS NULL AND s.merged_into IS NULL
        """,
        w=workspace_id,
    )[0]
    return CheckOutcome(
        row["unplaced"] == 0,
        f"{row['clustered']} of {row['signals']} signals are in a cluster, {row['unclustered']} in none, "
        f"{row['unplaced']} were not considered.",
        figures=row,
    )


def duplicates_are_whole(connection: Connection, workspace_id: str) -> CheckOutcome:
    """No group has fewer than two signals, and every merged signal has a live one of this workspace to speak for it."""
    figures = duplicates.count(connection, workspace_id)
    wrong = duplicates.astray(connection, workspace_id, _SHOWN)
    return CheckOutcome(
        not wrong,
        f"{figures['signals_in_groups']} signals are in {figures['groups']} groups; {figures['merged']} are merged."
        if not wrong
        else f"Signals stand wrong in groups or merges, {wrong[0]['signal']} first: {wrong[0]['why']}.",
        serious=True,
        figures={**figures},
        examples=wrong,
    )


def citations_resolve(connection: Connection, workspace_id: str, kind: str) -> CheckOutcome:
    """I6: every citation of the newest artifacts of a kind is a signal of the artifact's project."""
    listed = artifacts.listing(connection, workspace_id, kind)
    wrong = artifacts.unresolved(connection, workspace_id, kind)
    citations = sum(one["citations"] for one in listed)
    return CheckOutcome(
        not wrong,
        f"All {citations} citations of {len(listed)} artifacts resolve."
        if not wrong
        else f"{len(wrong)} of {citations} citations are not signals of the artifact's project.",
        serious=True,
        figures={"artifacts": len(listed), "citations": citations, "unresolved": len(wrong)},
        examples=wrong[:_SHOWN],
    )


def spending(
    connection: Connection, workspace_id: str, cap_usd: float | None, workspace_cap_usd: float | None
) -> CheckOutcome:
    """I7: what today, UTC, has spent stays below four fifths of each cap; serious where a cap is passed."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spent, held = budgets.committed(connection, workspace_id, None, midnight)
    caps = [(spent.everywhere, cap_usd), (spent.workspace, workspace_cap_usd)]
    shares = [used / cap if cap else float(used > 0) for used, cap in caps if cap is not None]
    largest = max(shares, default=0.0)
    told = f", {largest:.0%} of the tightest budget" if shares else "; no budget is set"
    return CheckOutcome(
        largest < _NEARLY_SPENT,
        f"{spent.everywhere:.4f} USD were spent today, {spent.workspace:.4f} by this workspace{told}.",
        serious=largest > 1,
        figures={
            "spent_today_usd": spent.everywhere,
            "workspace_spent_today_usd": spent.workspace,
            "reserved_usd": held.everywhere,
        },
    )


def failure_rate(connection: Connection, workspace_id: str, step: str) -> CheckOutcome:
    """I8: no record of the step failed; serious where more than a fifth did."""
    row = _rows(
        connection,
        "SELECT count(*) AS records, count(*) FILTER (WHERE state = 'failed') AS failed "
        "FROM elmer.outcomes WHERE workspace_id = :w AND step = :step",
        w=workspace_id,
        step=step,
    )[0]
    examples = _rows(
        connection,
        "SELECT record_id AS record, error_kind AS why, message, next_step AS next FROM elmer.outcomes "
        "WHERE workspace_id = :w AND step = :step AND state = 'failed' ORDER BY record_id LIMIT :most",
        w=workspace_id,
        step=step,
    )
    records, failed = row["records"], row["failed"]
    share = {"share_failed": failed / records} if records else {}
    return CheckOutcome(
        failed == 0,
        f"{failed} of {records} records failed." + (" `elmer failures` lists them." if failed else ""),
        serious=failed > TOLERATED_FAILURES * records,
        figures={"records": records, "failed": failed, **share},
        examples=examples,
    )


def _rows(connection: Connection, statement: str, **values: object) -> list[dict[str, Any]]:
    bound = {**values, "most": _SHOWN} if ":most" in statement else values
    return [dict(row) for row in connection.execute(text(statement), bound).mappings()]


def _number(connection: Connection, statement: str, **values: object) -> int:
    return int(connection.execute(text(statement), values).scalar_one())


def _counted(rows: list[dict[str, Any]], column: str) -> int:
    """Take a window count out of the rows: what it counted, 0 where there are none."""
    counts = [int(row.pop(column)) for row in rows]
    return counts[0] if counts else 0
