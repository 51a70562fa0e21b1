"""YAML front matter: title, kind, date, people, who asks and who answers; all other keys become metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import yaml

from elmer_pipelines.documents.guards import clean_text, clean_value
from elmer_pipelines.documents.kinds import as_kind
from elmer_pipelines.documents.moments import parse_moment

if TYPE_CHECKING:
    from elmer_pipelines.documents.model import Kind

_BLOCK = re.compile(r"\ufeff?---[ \t]*\n(?P<yaml>.{0,65536}?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_MAX_ITEMS = 100
_MAX_VALUE = 2_000
_OURS = ("interviewer", "interviewers", "moderator", "facilitator", "researcher", "host", "agent", "pm", "csm", "team")
_CUSTOMERS = ("customer", "customers", "participant", "interviewee", "respondent", "user", "client", "reviewer")
_PEOPLE = ("people", "participants", "attendees", "speakers", "author", "from")


@dataclass(frozen=True)
class FrontMatter:
    """What the head of a file says about it; empty fields where it says nothing."""

    title: str | None = None
    kind: Kind | None = None
    occurred_at: datetime | None = None
    ours: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which a few hundred bytes can use to fill the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def split_front_matter(text: str) -> tuple[FrontMatter, str]:
    """The front matter and the text after it.

    A head that is not a YAML mapping is left in the text, with the reason in `metadata["front_matter"]`.
    """
    found = _BLOCK.match(text)
    if found is None:
        return FrontMatter(), text
    try:
        value = yaml.load(found["yaml"], Loader=_PlainLoader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        return FrontMatter(metadata={"front_matter": f"not read: {clean_value(error)[:200]}"}), text
    if not isinstance(value, dict) or not value:
        return FrontMatter(), text
    try:
        return _front_matter({clean_value(key).lower(): item for key, item in value.items()}), text[found.end() :]
    except ValueError as error:  # a number too long to be written out
        return FrontMatter(metadata={"front_matter": f"not read: {clean_value(error)[:200]}"}), text


def _front_matter(values: dict[str, Any]) -> FrontMatter:
    ours = tuple(name for key in _OURS for name in _names(values.get(key)))
    customers = tuple(name for key in _CUSTOMERS for name in _names(values.get(key)))
    people = tuple(name for key in _PEOPLE for name in _names(values.get(key)))
    title = values.get("title")
    moment = next((m for key in ("date", "occurred_at", "time", "when") if (m := parse_moment(values.get(key)))), None)
    used = {"title", "date", "occurred_at", *_PEOPLE}
    return FrontMatter(
        title=clean_value(title)[:300] if title else None,
        kind=as_kind(values.get("kind") or values.get("type") or ""),
        occurred_at=moment,
        ours=ours,
        customers=customers,
        people=tuple(dict.fromkeys((*people, *ours, *customers))),
        metadata={key: plain_value(item) for key, item in values.items() if key not in used},
    )


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        value = re.split(r"[,;]|\band\b", value)
    if isinstance(value, dict):
        value = list(value)
    if not isinstance(value, list):
        return []
    return [name for item in value[:_MAX_ITEMS] if (name := clean_value(re.sub(r"\(.*?\)", "", str(item)))[:80])]


def plain_value(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it: dates in ISO 8601, text cleaned and bounded, at most three levels deep."""
    if value is None or isinstance(value, (bool, int)):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, list) and depth < 2:
        return [plain_value(item, depth + 1) for item in value[:_MAX_ITEMS]]
    if isinstance(value, dict) and depth < 2:
        return {clean_value(k)[:80]: plain_value(v, depth + 1) for k, v in list(value.items())[:_MAX_ITEMS]}
    return clean_text(str(value))[:_MAX_VALUE] if not isinstance(value, (list, dict)) else None
