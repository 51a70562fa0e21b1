"""A person enters, reads and takes out pins: what can't be honoured is refused here, with the pins that stand against.

What a pin does to clusters is `pins.py`.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from elmer_pipelines.clusters.history import UNNAMED, cluster_of, names_of, own_id
from elmer_pipelines.clusters.pins import Pin, contradiction
from elmer_pipelines.clusters.reclustering import pins_of
from elmer_pipelines.errors import NotFoundError, PinError
from elmer_pipelines.store import clusters as store
from elmer_pipelines.store import pins as pin_store
from elmer_pipelines.store import signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.clusters.pins import Kind


def pin_together(connection: Connection, workspace_id: str, signal_ids: Sequence[str]) -> list[int]:
    """Keep signals in one cluster; returns the pins' ids. Raises NotFoundError, PinError."""
    first, *others = _signals(connection, workspace_id, signal_ids)
    return [_add(connection, workspace_id, Pin(0, "together", first, other)) for other in others]


def pin_apart(connection: Connection, workspace_id: str, signal_ids: Sequence[str]) -> list[int]:
    """Never have any two of the signals in one cluster; returns the pins' ids. Raises NotFoundError, PinError."""
    known = _signals(connection, workspace_id, signal_ids)
    return [_add(connection, workspace_id, Pin(0, "apart", *pair)) for pair in combinations(known, 2)]


def pin_to(connection: Connection, workspace_id: str, signal_id: str, cluster_id: str) -> int:
    """Have a signal belong to a cluster, which lives on as long as the signal does; returns the pin's id.

    Raises NotFoundError; PinError for a cluster that has ended or is no theme, and for a contradiction.
    """
    (signal,) = _signals(connection, workspace_id, [signal_id], least=1)
    cluster = cluster_of(connection, workspace_id, cluster_id)
    if cluster["ended_at"] is not None:
        raise PinError(_ended(connection, workspace_id, cluster))
    if cluster["level"] != "theme":
        raise PinError(
            f"{cluster['id']} is {'an area' if cluster['level'] == 'area' else 'a need'}, and signals are pinned to "
            "themes. `elmer clusters` shows which there are."
        )
    return _add(connection, workspace_id, Pin(0, "belongs", signal, cluster_id=cluster["id"]))


def listed(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Every pin: id, kind, the signals and their words, the cluster and its theme, whether it is active, created_at."""
    return [
        {
            **{key: one[key] for key in ("id", "kind", "signal_id", "words", "other_signal_id", "other_words")},
            "cluster_id": one["cluster_id"],
            "theme": one["theme"],
            "state": _state(one),
            "created_at": one["created_at"],
        }
        for one in pin_store.every(connection, workspace_id)
    ]


def unpin(connection: Connection, workspace_id: str, pin_id: int) -> None:
    """Take a pin out; the next clustering is free again. Raises NotFoundError."""
    if not pin_store.remove(connection, workspace_id, pin_id):
        raise NotFoundError(f"Workspace {workspace_id!r} has no pin {pin_id}. `elmer clusters pins` lists them.")


def _state(one: dict[str, Any]) -> str:
    if one["retired"]:
        return "waits: a signal's source is gone"
    if one["cluster_id"] is not None and one["ended_at"] is not None:
        return "the next run brings its cluster back"
    return "active"


def _signals(connection: Connection, workspace_id: str, signal_ids: Sequence[str], least: int = 2) -> list[str]:
    """The signals as they are written, each once. Raises NotFoundError for one there is not, PinError for too few."""
    wanted = list(dict.fromkeys(own_id(one) for one in signal_ids))
    known = signals.verbatims(connection, workspace_id, wanted)
    missing = [one for one in wanted if one not in known]
    if missing:
        raise NotFoundError(
            f"Workspace {workspace_id!r} has no signal {', '.join(missing)}. `elmer search WORDS` and "
            "`elmer clusters show C-…` show signals with their ids."
        )
    if len(wanted) < least:
        raise PinError("Name two signals or more that are to be kept together or apart.")
    return wanted


def _add(connection: Connection, workspace_id: str, new: Pin) -> int:
    against = contradiction(pins_of(connection, workspace_id), new)
    if against is not None:
        named = " and ".join(str(one) for one in against)
        remove = " or ".join(f"elmer clusters unpin {one.id}" for one in against if one.id)
        verb = {"together": "can't be kept together", "apart": "can't be kept apart", "belongs": "can't belong there"}
        raise PinError(f"{new}: {verb[new.kind]}, because of {named}. Take one out first: {remove}.")
    kind: Kind = new.kind
    return pin_store.add(
        connection, workspace_id, kind, new.signal_id, other_signal_id=new.other_signal_id, cluster_id=new.cluster_id
    )


def _ended(connection: Connection, workspace_id: str, cluster: dict[str, Any]) -> str:
    """That the cluster has ended, when, and where its signals went."""
    ended = [row for row in store.history(connection, workspace_id, cluster["id"]) if row["event"] == "ended"]
    heirs: dict[str, Any] = dict(ended[-1]["detail"].get("into", {})) if ended else {}
    names = names_of(connection, workspace_id, heirs)
    went = ", ".join(f"{names.get(one, UNNAMED)} ({one})" for one in heirs) or "no other cluster"
    return (
        f"{cluster['id']} ({cluster['theme'] or UNNAMED}) ended on {cluster['ended_at']:%Y-%m-%d}; its signals went to "
        f"{went}. Pin to a cluster that lives, or see: elmer clusters history {cluster['id']}"
    )
