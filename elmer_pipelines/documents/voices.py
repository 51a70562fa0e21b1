"""Who is the customer and who is us: by role, by label, by the names a document's front matter gives.

Finding the turns of speech in a text is in turns.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_OURS = frozenset(
    """interviewer|moderator|facilitator|researcher|ux researcher|user researcher|pm|product manager|product owner|
    product|designer|agent|support|support agent|support engineer|helpdesk|csm|customer success|
    customer success manager|host|bot|chatbot|assistant|system|sales|sales rep|rep|representative|account executive|ae|
    account manager|q|question|team|staff|operator|teammate|consultant|advisor|observer|note taker|notetaker|me|us|
    interviewerin|moderatorin|kundenservice|entrevistador|entrevistadora|moderador|soporte|enquêteur|animateur""".replace(
        "\n", ""
    )
    .replace("    ", "")
    .split("|")
)
_CUSTOMERS = frozenset(
    """customer|user|client|participant|interviewee|respondent|guest|visitor|lead|contact|end user|end-user|requester|
    reviewer|a|answer|prospect|buyer|subscriber|caller|kunde|kundin|befragte|befragter|cliente|client|usuario|
    participante|them""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
# in the data of chat and ticket systems these mean the people who answer; on a label they may be a customer's job
_OURS_IN_DATA = frozenset({"admin", "administrator", "employee", "internal", "model", "ai", "outbound", "owner"})
_NUMBER = re.compile(r"[\s#]*\d+$")


class Voices:
    """Tells customers from us in one document; `ours` are names of people known to be on our side."""

    def __init__(self, ours: Iterable[str] = (), customers: Iterable[str] = ()) -> None:
        self._ours = [_words(name) for name in ours if name.strip()]
        self._customers = [_words(name) for name in customers if name.strip()]

    def is_customer(self, speaker: str | None, role: str | None = None) -> bool:
        """False only where name, role or label make clear that it is us."""
        name = _words(speaker or "")
        if any(_same_person(name, known) for known in self._customers):
            return True
        if any(_same_person(name, known) for known in self._ours):
            return False
        if role and (said := role_is_ours(role)) is not None:
            return not said
        return not role_is_ours(speaker or "")

    def knows(self, speaker: str) -> bool:
        """Whether the label is a role everybody knows, or a name the document introduced."""
        name = _words(speaker)
        introduced = any(_same_person(name, known) for known in (*self._ours, *self._customers))
        return introduced or role_is_ours(speaker) is not None


def role_is_ours(label: str) -> bool | None:
    """True for `PM`, `Interviewer 2`, `Acme Support`; False for `Customer`; None for a name."""
    label = _NUMBER.sub("", label.strip().lower())
    if label in _OURS:
        return True
    if label in _CUSTOMERS:
        return False
    words = label.replace(",", " ").split()
    ends = {words[0], words[-1]} if len(words) > 1 else set()
    if ends & {"interviewer", "moderator", "support", "agent", "bot", "csm", "pm"}:
        return True
    return False if ends & {"customer", "participant", "interviewee", "respondent"} else None


def data_role_is_ours(role: object) -> bool | None:
    """As `role_is_ours`, for a role field of a chat or ticket system."""
    text = str(role).strip().lower().replace("_", " ")
    return True if text in _OURS_IN_DATA else role_is_ours(text)


def _words(name: str) -> list[str]:
    return name.lower().replace(".", " ").split()


def _same_person(label: list[str], known: list[str]) -> bool:
    """`Anna`, `Anna B.` and `AB` are Anna Berg."""
    if not label or not known:
        return False
    if label == known or (len(known) > 1 and label == ["".join(word[0] for word in known)]):
        return True
    if label[0] != known[0]:
        return False
    return len(label) == 1 or len(known) == 1 or known[-1].startswith(label[-1]) or label[-1].startswith(known[-1])
