"""The step `cluster_trends`: how often each cluster was heard, week by week, and word of those that suddenly grow.

How trends are worked out is in `trends.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters.material import LEVELS
from elmer_pipelines.clusters.notices import NAMED, SPIKE, note_named, tell
from elmer_pipelines.clusters.trends import RECENT_WEEKS, SPIKE_RATE, Heard, Trend, Verdict, cluster_trends, monday
from elmer_pipelines.determinants import Determinants, labelled
from elmer_pipelines.steps import StepResult
from elmer_pipelines.store import trends as store
from elmer_pipelines.work import WHOLE, work_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.settings import Settings
    from elmer_pipelines.store.database import Database

STEP = "cluster_trends"
_VERSION = 3
_SPIKES = ("new", "growing")
_SHOWN = 20
_LINE_WEEKS = 26
_CHANGING: tuple[Verdict, ...] = ("new", "growing", "fading", "stable", "unclear")
_BARS = "▁▂▃▄▅▆▇█"


def wanted_trends(connection: Connection, workspace_id: str, now: datetime | None = None) -> dict[str, Determinants]:
    """What determines how the live clusters grow or fade."""
    dated, live = store.dated(connection, workspace_id), store.live(connection, workspace_id)
    return {WHOLE: _determined_by(dated, live, _Ends.of(dated, now))}


@dataclass(frozen=True)
class _Ends:
    """Until when trends are counted: `latest` for those people look at, `complete` for spikes, which people are told.

    `complete` is the end of the last week that is over, or the latest signal where that was before.
    """

    latest: datetime
    complete: datetime

    @classmethod
    def of(cls, dated: Sequence[store.Dated], now: datetime | None) -> _Ends:
        moment = now or datetime.now(UTC)
        # A date in the future is a mistake or an appointment; the present is what trends are about.
        latest = min(max((one.at for one in dated), default=moment), moment + timedelta(days=1))
        over = datetime.combine(monday(moment), time(), UTC) - timedelta(microseconds=1)
        return cls(latest, min(latest, over))


def follow_trends(
    database: Database,
    workspace_id: str,
    settings: Settings | None = None,
    *,
    run_id: str | None = None,
    now: datetime | None = None,
) -> StepResult:
    """Count every cluster by week and say whether it grows, fades or is stable; tell people of a spike, once.

    And of clusters they named that the last clustering divided or joined (`notices.py`).

    A spike is a theme that is `new` or `growing` at the end of a week that is over, at a false discovery rate of 2.5 %:
    looked at each night and at 10 %, chance alone would tell half of all workspaces of one within twelve weeks
    (decision 10). It is not told again for as long as the same weeks count as recent, however often the step runs; with
    `settings`, in the installation's notifications.
    """
    with database.begin() as connection:
        dated = store.dated(connection, workspace_id)
        live = store.live(connection, workspace_id)
    ends = _Ends.of(dated, now)

    def do(connection: Connection) -> StepResult:
        found = _trends(dated, live, ends.latest)
        store.replace_trends(connection, workspace_id, [_row(one, trend) for one, trend in found.items()])
        themes = {one: level for one, level in live.items() if level == "theme"}
        settled = found if ends.complete == ends.latest else _trends(dated, themes, ends.complete)
        _note_spikes(connection, workspace_id, settled, ends.complete)
        note_named(connection, workspace_id)
        return StepResult(STEP)

    result = work_whole(database, workspace_id, STEP, _determined_by(dated, live, ends), do, run_id=run_id)
    if settings is not None:
        told = tell(database, workspace_id, settings)
        result.counts["spikes_told"], result.counts["named_changes_told"] = told[SPIKE], told[NAMED]
    with database.begin() as connection:
        themes = sorted(store.trends(connection, workspace_id), key=changing)
    result.counts["dated_signals"] = len(dated)
    result.counts["documents"] = len({one.document_id for one in dated})
    result.counts.update(sorted(Counter(one["verdict"] for one in themes).items()))
    result.tables["Trends"] = [shown(one) for one in themes[:_SHOWN]]
    return result


def changing(trend: dict[str, Any]) -> int:
    """Sorts rows of `store.trends`: those that change before those that don't."""
    return _CHANGING.index(trend["verdict"])


def shown(trend: dict[str, Any]) -> dict[str, Any]:
    """A row of `store.trends` for people: the last 26 weeks as a line of bars, and the verdict with its arithmetic.

    In short columns, documents with the cluster of all documents: a sentence is a ribbon of words in Dagster's pages.
    """
    found = trend["arithmetic"]
    return {
        "theme": trend["theme"] or trend["cluster_id"],
        "verdict": trend["verdict"],
        "q": "" if found["q_value"] is None else f"{found['q_value']:.2g}",
        "signals": trend["size"],
        "weeks": sparkline(trend["weeks"]),
        "last 4 weeks": f"{found['recent']:,} of {found['recent_total']:,}",
        "expected": "" if found["expected"] is None else f"{found['expected']:.1f}",
        "before": f"{found['past']:,} of {found['past_total']:,}",
    }


def sparkline(weeks: Sequence[dict[str, Any]]) -> str:
    """A bar for each of the last weeks there are, as high as the signals of that week; a blank for none."""
    counts = [int(week["count"]) for week in weeks[-_LINE_WEEKS:]]
    most = max(counts, default=0)
    return "".join(_BARS[(len(_BARS) - 1) * count // most] if count else "·" for count in counts)


def _trends(dated: Sequence[store.Dated], live: dict[str, str], until: datetime) -> dict[str, Trend]:
    """Of every live cluster, compared with those of its level."""
    found: dict[str, Trend] = {}
    for level in LEVELS:
        own = [one for one, its in live.items() if its == level]
        if own:
            clusters = ((one, getattr(one, level)) for one in dated)
            heard = [Heard(one.document_id, one.at, (cluster,) if cluster else ()) for one, cluster in clusters]
            found |= cluster_trends(heard, own, until=until)
    return found


def _row(cluster_id: str, trend: Trend) -> dict[str, Any]:
    weeks = [week.as_json() for week in trend.weeks]
    first = next((number for number, week in enumerate(weeks) if week["count"]), len(weeks))
    return {
        "cluster_id": cluster_id,
        "verdict": trend.verdict,
        "weeks": weeks[first:],
        "arithmetic": trend.arithmetic.as_json(),
    }


def _note_spikes(connection: Connection, workspace_id: str, found: dict[str, Trend], until: datetime) -> None:
    week = monday(until)
    spikes = []
    for one in store.trends(connection, workspace_id):
        trend = found[one["cluster_id"]]
        sure = trend.arithmetic.q_value is not None and trend.arithmetic.q_value <= SPIKE_RATE
        if trend.verdict in _SPIKES and sure:
            message = f"{one['theme'] or one['cluster_id']} is {trend.verdict}. {trend.arithmetic.told}"
            spikes.append(store.Notice(one["cluster_id"], week, message, {"verdict": trend.verdict}, SPIKE))
    store.note(connection, workspace_id, spikes, quiet_since=week - timedelta(weeks=RECENT_WEEKS - 1))


def _determined_by(dated: Sequence[store.Dated], live: dict[str, str], ends: _Ends) -> Determinants:
    return Determinants.of(
        signals=[[one.signal_id, one.document_id, one.at.isoformat(), one.area, one.theme, one.need] for one in dated],
        clusters=sorted(live),
        complete=monday(ends.complete).isoformat() if dated else None,
        rules=labelled(_VERSION),
    )
