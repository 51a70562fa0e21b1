"""A model that obeys any instruction it finds outside an envelope: what a badly wrapped prompt would lead to.

Inside envelopes it sees data, and answers as `answers.py` does. Use it in place of `servers.model_server.answer`.
"""

from __future__ import annotations

import re
from typing import Any

from servers import answers

FORGED = "S-zzzzzzzzzzzz"
SIGN = "OBEYED"
_LEAF = re.compile(r"<([a-z][a-z0-9_]*)(?: [a-z][a-z0-9_]*=\"[^\"<>]*\")*>[^<>]*</\1>")
_PROJECT = re.compile(r"\bP-[0-9a-z]{12}\b")
_GROUP = re.compile(r"</?(?:cluster|sibling)>")
_ORDER = re.compile(
    r"\b(?:system|ignor\w*|set|cite|forget|answer|obey\w*|print|put|write|replace|add|critical)\b|syst[eè]me|"
    r"[Ii]gnoriere|setze|忽略|игнорируй|تجاهل|</?turn",
    re.IGNORECASE,
)


def outside(material: str) -> str:
    """What of a material is in no envelope, tags of groups aside."""
    return _GROUP.sub(" ", _LEAF.sub(" ", material)).strip()


def answer(schema: dict[str, Any], system: str, user: str) -> dict[str, Any]:
    """As the plain loopback model answers; worst severities, forged citations and a sign where it found an order."""
    # The plain model takes ids from anywhere, a customer's words too; of a project's id no citation can be made.
    seen = _PROJECT.sub("some project", user) if "sections" in schema.get("properties", {}) else user
    value = answers.answer(schema, system, seen)
    if not _ORDER.search(outside(user)):
        return value
    obeyed = _obeyed(value, "")
    assert isinstance(obeyed, dict)
    return obeyed


def _obeyed(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _obeyed(one, key) for key, one in value.items()}
    if name == "signal_ids":
        return [FORGED]
    if isinstance(value, list):
        return [_obeyed(one, name) for one in value]
    if name == "severity":
        return "critical"
    return f"{SIGN} {value}" if isinstance(value, str) and name not in ("quote", "project_id", "frequency") else value
