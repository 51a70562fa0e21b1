"""What determines a result, part by part, so that a stale row can say why it is (I3).

Which parts a step has is its own matter (`wanted_…` in its module); what is compared with what is in `planning.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from elmer_pipelines.ids import canonical_json, fingerprint, text_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORT = 16  # hex digits of a part's hash that an outcome keeps: enough to see that it differs


@dataclass(frozen=True)
class Part:
    """One thing that determines a result: the hash of its value, and a word for people where it has one."""

    digest: str
    label: str | None = None


def labelled(value: Any, label: str | None = None) -> Part:
    """A part that people know by a name (`extract_signals v3`, a model, a number); the name is not hashed."""
    return Part(text_hash(canonical_json(value)), str(value) if label is None else label)


@dataclass(frozen=True)
class Determinants:
    """All that determines one result. Two are the same where every part's value is, whatever the labels say."""

    parts: Mapping[str, Part]

    @classmethod
    def of(cls, **values: Any) -> Determinants:
        """From values that JSON can hold, and from parts made by `labelled` or taken from other determinants."""
        return cls(
            {
                name: value if isinstance(value, Part) else Part(text_hash(canonical_json(value)))
                for name, value in values.items()
            }
        )

    @cached_property
    def fingerprint(self) -> str:
        """`ids.fingerprint` of the parts' hashes by name."""
        return fingerprint(**{name: part.digest for name, part in self.parts.items()})

    def as_json(self) -> dict[str, list[str | None]]:
        """What an outcome keeps: by name, 16 digits of the hash, and the label."""
        return {name: [part.digest[:_SHORT], part.label] for name, part in self.parts.items()}


@dataclass(frozen=True)
class Difference:
    """A part that is not what it was: `before` and `now` are its labels, or its hash; None where it was not there."""

    part: str
    before: str | None
    now: str | None
    reason: str


def differences(before: Mapping[str, list[str | None]], now: Determinants) -> list[Difference]:
    """Which parts of what an outcome kept (`as_json`) are different now, in the order of the parts."""
    current = now.as_json()
    names = [*current, *(name for name in before if name not in current)]
    return [
        _difference(name, before.get(name), current.get(name))
        for name in names
        if (before.get(name) or [None])[0] != (current.get(name) or [None])[0]
    ]


def why(found: list[Difference]) -> str:
    """The differences in one line; parts that came or went with another one that changed are left out."""
    changed = [one for one in found if one.before is not None and one.now is not None]
    return ", ".join(one.reason for one in changed or found)


def _difference(name: str, before: list[str | None] | None, now: list[str | None] | None) -> Difference:
    if before is None or now is None:
        reason = f"{name} {'is new' if before is None else 'is gone'}"
        return Difference(name, _shown(before), _shown(now), reason)
    old, new = before[1], now[1]
    if old is None or new is None:
        reason = f"{name} changed"
    elif old == new:
        reason = f"{name} {new} edited"
    else:
        stem, _, version = new.rpartition(" ")
        reason = f"{name} {old} → {version if stem and old.startswith(stem + ' ') else new}"
    return Difference(name, _shown(before), _shown(now), reason)


def _shown(part: list[str | None] | None) -> str | None:
    return None if part is None else part[1] or part[0]
