"""What an installation tells its people: one JSON line per event in ELMER_HOME/notifications.jsonl.

Where else a notification goes is a connector's matter.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from elmer_pipelines.settings import Settings

FILE = "notifications.jsonl"
NEW = timedelta(days=14)
_LOG = logging.getLogger(__name__)


def notify(settings: Settings, kind: str, workspace_id: str | None, message: str, **details: Any) -> dict[str, Any]:
    """Append one notification and log it; returns it as written. `details` must be JSON values.

    Lines are written in one call in append mode, so that processes don't mix theirs.
    """
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kind": kind,
        "workspace": workspace_id,
        "message": message,
        **details,
    }
    settings.home_folder.mkdir(parents=True, exist_ok=True)
    with (settings.home_folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    _LOG.warning("%s", message)
    return line


def notify_failure(settings: Settings, workspace_id: str | None, job: str, reason: str, run_id: str) -> None:
    """Tell once that a run failed, whoever sees it first: the command that ran it, or the daemon."""
    if not any(one.get("run") == run_id for one in notifications(settings)):
        notify(settings, "run_failed", workspace_id, f"{job} failed: {reason}", run=run_id)


def withhold(settings: Settings, workspace_id: str, clusters: Collection[str]) -> None:
    """Take the words out of what was told of these clusters; that something was told stays.

    The file is replaced as a whole; a line that another process appends at that moment may be lost.
    """
    lines = notifications(settings)
    touched = [one for one in lines if one["workspace"] == workspace_id and one.get("cluster") in clusters]
    if touched:
        for one in touched:
            one["message"] = f"Cluster {one['cluster']}: purged."
        beside = settings.home_folder / f"{FILE}.new"
        beside.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
        beside.replace(settings.home_folder / FILE)


def notifications(settings: Settings) -> list[dict[str, Any]]:
    """Every notification, oldest first; a line cut short, as a full disk leaves it, is passed over."""
    file = settings.home_folder / FILE
    if not file.exists():
        return []
    return [one for line in file.read_text(encoding="utf-8").splitlines() if (one := _read(line)) is not None]


def newest(settings: Settings, workspace_id: str, limit: int = 5) -> list[dict[str, Any]]:
    """What a workspace, or everybody, was told in the last two weeks (`NEW`), newest first."""
    since = (datetime.now(UTC) - NEW).isoformat(timespec="seconds")
    told = [one for one in notifications(settings) if one["workspace"] in (workspace_id, None) and one["at"] >= since]
    return told[: -limit - 1 : -1]


def _read(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
