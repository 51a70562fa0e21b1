"""When placing is enough and when everything is clustered again: the rule, from counts. No database, no vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["first", "settings", "hand", "schedule", "small", "drift"]
SMALL = 500  # signals: up to here a full clustering takes a second, and every signal may change the picture
GROWN_SHARE = 0.2  # of the signals of the last clustering, come or gone since then
UNPLACED_SHARE = 0.3  # of the signals placed since then that fit nowhere: something is being said that was not before
UNPLACED_LEAST = 20
NIGHTLY_SHARE = 0.01


@dataclass(frozen=True)
class Since:
    """What has happened to a workspace's signals since its last clustering.

    `signals` live now with a vector; `fresh` of them were placed nowhere yet; `placed` were placed by their neighbours,
    `unplaced` of those fitted nowhere; `gone` members were retired. `clustered` is the number of signals of the last
    clustering, None where there was none; `same_model` and `same_rules` compare it with now; `asked` is the reason
    somebody wants one for, where somebody does.
    """

    signals: int
    fresh: int = 0
    placed: int = 0
    unplaced: int = 0
    gone: int = 0
    clustered: int | None = None
    same_model: bool = True
    same_rules: bool = True
    asked: Literal["hand", "schedule"] | None = None

    @property
    def changed_share(self) -> float:
        """Signals that came or went, as a share of those of the last clustering."""
        return (self.fresh + self.placed + self.gone) / max(self.clustered or 0, 1)


@dataclass(frozen=True)
class Decision:
    """`reason` for a full clustering, None where placing is enough; `said` is for people."""

    reason: Reason | None
    said: str


def decide(since: Since) -> Decision:
    """Cluster everything again, or place what is new."""
    if since.clustered is None:
        return Decision("first", "cluster for the first time")
    if not since.same_model:
        return Decision("settings", "cluster again: the vectors are another model's")
    if not since.same_rules:
        return Decision("settings", "cluster again: the rules of grouping changed")
    if since.asked == "hand":
        return Decision("hand", "cluster again: asked for by hand")
    if since.asked == "schedule":
        return Decision("schedule", f"cluster again: nightly, {since.changed_share:.0%} changed since the last time")
    if since.signals < SMALL:
        return Decision("small", f"cluster again: fewer than {SMALL} signals are always clustered whole")
    return _drifted(since) or Decision(None, _to_place(since))


def _drifted(since: Since) -> Decision | None:
    if since.changed_share >= GROWN_SHARE:
        return Decision("drift", f"cluster again: {since.changed_share:.0%} came or went since the last time")
    if since.unplaced >= max(UNPLACED_LEAST, UNPLACED_SHARE * since.placed):
        return Decision("drift", f"cluster again: {since.unplaced:,} of {since.placed:,} new signals fit nowhere")
    return None


def _to_place(since: Since) -> str:
    parts = [f"place {since.fresh:,} new"] if since.fresh else []
    parts += [f"let {since.gone:,} leave"] if since.gone else []
    return ", ".join(parts) or "sum up again"


def due_tonight(since: Since) -> bool:
    """Whether the nightly run shall cluster again: a hundredth of the signals came or went since the last time."""
    return since.clustered is not None and since.changed_share >= NIGHTLY_SHARE
