"""What the local extractor reads from the words of a kept sentence: how bad, how often, for whom, and what is meant.

Everything here quotes or follows from the words by a rule; None where they don't say. What is kept is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elmer_pipelines.signals.local_rules import pattern
from elmer_pipelines.signals.model import FREQUENCIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from elmer_pipelines.signals.local_rules import Cues
    from elmer_pipelines.signals.model import Frequency, Severity


_METADATA_WHOLE = ("segment", "user_segment", "customer_segment")
_METADATA_PARTS = (("plan", "tier", "subscription", "tarif"), ("role", "persona", "job_title", "rolle"))
_MAX_LABEL = 60


def severity_of(sentence: str, cues: Cues) -> Severity | None:
    """How bad it is by its own words; None for praise, mere mention, and where the words don't say."""
    if not (cues.problem or cues.request):
        return None
    if cues.problem and pattern("severity", "critical").search(sentence):
        return "critical"
    if pattern("severity", "low").search(sentence):
        return "low"
    if cues.problem and pattern("severity", "high").search(sentence):
        return "high"
    return "medium"


def frequency_of(sentence: str) -> Frequency | None:
    """How often it happens, where the words say so; the rarer reading wins where two are said."""
    found = _said_frequency(sentence)
    return found[0] if found else None


def _said_frequency(sentence: str) -> tuple[Frequency, str] | None:
    for frequency in reversed(FREQUENCIES):
        if match := pattern("frequency", frequency).search(sentence):
            return frequency, match[0]
    return None


def segment_in(text: str) -> str | None:
    """The user's segment as they state it of themselves: plan and role ("enterprise admin"), else how long they are."""
    role = pattern("segment", "role").search(text) or pattern("segment", "role_de").search(text)
    plan = _plan_in(text)
    named = role["role"].lower() if role else None
    if named or plan:
        return f"{plan} {named or 'user'}" if plan else named
    if pattern("segment", "new").search(text):
        return "new user"
    if pattern("segment", "old").search(text):
        return "long-time user"
    return "small business" if pattern("segment", "small").search(text) else None


def _plan_in(text: str) -> str | None:
    match = pattern("segment", "plan").search(text) or pattern("segment", "plan_de").search(text)
    if match:
        plan = match["plan"].lower()
        return "free" if plan.startswith(("kostenlos", "gratis")) else "trial" if plan == "test" else plan
    return "paying" if pattern("segment", "pays").search(text) else None


def segment_of_metadata(metadata: Mapping[str, Any]) -> str | None:
    """The segment a document's metadata names: `segment` itself, else plan and role in one ("enterprise admin")."""
    low = {str(key).lower().replace(" ", "_"): value for key, value in metadata.items()}
    for key in _METADATA_WHOLE:
        if label := _label(low.get(key)):
            return label
    parts = [next((label for key in keys if (label := _label(low.get(key)))), None) for keys in _METADATA_PARTS]
    plan, role = (part.lower() if part else None for part in parts)
    if plan and role:
        return role if role.startswith(plan) else f"{plan} {role}"
    return role or (f"{plan} user" if plan else None)


def _label(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    text = " ".join(value.split())
    return text if 0 < len(text) <= _MAX_LABEL else None


def interpretation_of(sentence: str, cues: Cues, spans: tuple[str, ...]) -> str | None:
    """One or two English sentences built from the customer's own words; None where no rule saw what is meant."""
    about = _quoted(spans)
    if cues.problem and not (cues.request and pattern("wish", "wish").search(sentence)):
        if about and cues.problem.lower() not in about.lower():
            first = f"Reports a problem with {about}: “{_clean(cues.problem)}”."
        else:
            first = f"Reports a problem: “{_clean(cues.problem)}”."
    elif cues.request:
        first = _wanted(sentence, about, cues)
    elif cues.praise:
        first = f"Is positive about {about}." if about else "Is positive about the product."
    elif about:
        first = f"Mentions {about}."
    else:
        return None
    return first + _how_often(sentence)


def _wanted(sentence: str, about: str, cues: Cues) -> str:
    wish = pattern("wish", "wish").search(sentence)
    if cues.question:
        return f"Asks about {about}." if about else "Asks whether or how something can be done."
    if wish:
        return f"Wants: “{_clean(wish['what'])}”."
    return f"Wants something about {about}." if about else f"Has a need: “{_clean(cues.request or '')}”."


def _how_often(sentence: str) -> str:
    found = _said_frequency(sentence)
    return f" Says how often: “{_clean(found[1])}”." if found else ""


def _quoted(spans: tuple[str, ...]) -> str:
    """At most two, none inside the other, none too short to say anything."""
    named = [span for span in spans if len(span) > 3]
    distinct = [span for k, span in enumerate(named) if not any(span.lower() in other.lower() for other in named[:k])]
    return " and ".join(f"“{_clean(span)}”" for span in distinct[:2])


def _clean(words: str) -> str:
    return " ".join(words.split()).strip(" ,;:-–—")
