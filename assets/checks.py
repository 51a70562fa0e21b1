"""The engine's checks as Dagster's: which names they go by, how an outcome becomes a result."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from elmer_pipelines import checks as engine
from elmer_pipelines.resources import WORKSPACES, ElmerResource

_SEVERITY = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}


@dataclass(frozen=True)
class Check:
    """A question to ask after a step; `ask` gets a connection, the workspace, the asset's name and the resource."""

    name: str
    description: str
    ask: Callable[[Connection, str, str, ElmerResource], engine.CheckOutcome]


FAILURE_RATE = Check(
    "failure_rate",
    "No record failed. A warning where some did (the others are done), an error above 20 %.",
    lambda connection, workspace, asset, _: engine.failure_rate(connection, workspace, asset),
)
QUOTES_ARE_VERBATIM = Check(
    "quotes_are_verbatim",
    "Every quote is exactly the characters of its document that it points at.",
    lambda connection, workspace, *_: engine.quotes_are_verbatim(connection, workspace),
)
COVERAGE_OF_DOCUMENTS = Check(
    "coverage",
    "Every document was read for signals; how many hold at least one.",
    lambda connection, workspace, *_: engine.signals_cover_documents(connection, workspace),
)
VECTORS = Check(
    "vectors_are_complete",
    "Every signal has a vector of the model in use, finite and of length 1.",
    lambda connection, workspace, _, elmer: engine.signals_have_vectors(
        connection, workspace, elmer.pipeline.embedder.model
    ),
)
COVERAGE_OF_SIGNALS = Check(
    "coverage",
    "Every signal is in a cluster, or visibly in none.",
    lambda connection, workspace, *_: engine.signals_are_clustered(connection, workspace),
)
DUPLICATES = Check(
    "duplicates_are_whole",
    "Every group has two signals or more, and every merged one has a live signal of this workspace to speak for it.",
    lambda connection, workspace, *_: engine.duplicates_are_whole(connection, workspace),
)

SPENDING = Check(
    "spending",
    "Today's spending stays below four fifths of the budget; an error above it.",
    lambda connection, workspace, _, elmer: engine.spending(
        connection,
        workspace,
        elmer.pipeline.settings.budget_usd,
        elmer.pipeline.workspace_file(workspace).models.budget_usd,
    ),
)


def citations_of(kind: str) -> Check:
    """Whether the citations of one kind of artifact resolve."""
    return Check(
        "citations_resolve",
        "Every citation is a signal of the artifact's project.",
        lambda connection, workspace, *_: engine.citations_resolve(connection, workspace, kind),
    )


def specs(asset: str, checks: Sequence[Check]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset, partitioned as it is: each workspace has its own result.

    Partitioned checks are a preview in Dagster 1.13; without them one workspace's result would hide another's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(one.name, asset=asset, description=one.description, partitions_def=WORKSPACES)
            for one in checks
        ]


def results(
    elmer: ElmerResource, workspace_id: str, asset: str, checks: Sequence[Check]
) -> "list[dg.AssetCheckResult]":
    """Ask every check, each in a transaction of its own."""
    found = []
    for check in checks:
        with elmer.pipeline.database.begin() as connection:
            outcome = check.ask(connection, workspace_id, asset, elmer)
        found.append(_result(check, outcome, workspace_id))
    return found


def _result(check: Check, outcome: engine.CheckOutcome, workspace_id: str) -> dg.AssetCheckResult:
    from assets.tables import table

    shown: dict[str, Any] = {"workspace": workspace_id, **outcome.figures}
    if outcome.examples:
        shown["examples"] = table(outcome.examples)
    return dg.AssetCheckResult(
        passed=outcome.passed,
        check_name=check.name,
        severity=_SEVERITY[outcome.serious],
        description=outcome.summary,
        metadata=shown,
    )
