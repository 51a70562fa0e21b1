"""Whether a signal's words praise, complain or ask, judged by spelling alone, for the artifacts composed locally.

English first, with the commonest German, Spanish and French words. A heuristic: what it can't tell it leaves open.
"""

from __future__ import annotations

import re
from typing import Literal

Tone = Literal["praise", "problem", "wish", "open"]

_PRAISE = re.compile(
    r"\b(love[sd]?|great|excellent|fantastic|awesome|amazing|perfect(ly)?|impress\w*|delight\w*|happy with|works? well|"
    r"worked well|so easy|very easy|really like|best (thing|part|tool|feature)|life ?saver|saves? (me|us) (time|hours)|"
    r"thank(s| you) for|super|toll|klasse|großartig|begeistert|hervorragend|zufrieden|gefällt|"
    r"excelente|genial|encanta|maravillos\w+|parfait\w*|génial\w*|adore|excellente?)\b",
    re.IGNORECASE,
)
_PROBLEM = re.compile(
    r"\b(can(no|')t|can’t|could(n't|n’t| not)|does(n't|n’t| not)|do(n't|n’t| not)|did(n't|n’t| not)|is(n't|n’t| not)|"
    r"won(')?t|never|fail\w*|broke\w*|crash\w*|error\w*|bugs?|slow\w*|lost|los(e|es|ing)|missing|confus\w*|frustrat\w*|"
    r"annoy\w*|terrible|awful|horrible|useless|stuck|struggl\w*|hard to|difficult\w*|impossible|problem\w*|trouble|"
    r"unable|wrong|waste\w*|by hand|manually|workaround|cancel(l?ed|l?ing)?|unreliable|"
    r"painful|nightmare|too (many|long|much)|"
    r"nicht|kein\w*|leider|fehlt|fehler\w*|langsam\w*|umständlich\w*|verlor\w*|mühsam\w*|abgestürzt|"
    r"no (puedo|funciona|podemos)|lent[oa]|imposible|problema\w*|ne (marche|fonctionne) pas|lente?|manque|perdu\w*)\b",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"\b(need(s|ed)?( to)?|want(s|ed)?|wish\w*|would (like|love|be (nice|great|good|helpful|useful))|hope|hoping|"
    r"must have|please (add|make|let|give)|should (be|have|let|allow)|could you|looking for|"
    r"require[sd]?|requests?|asks? for|asked for|if only|it would help|"
    r"brauch\w*|wünsch\w*|möchte\w*|hätte gern\w*|bräuchte\w*|benötig\w*|"
    r"necesit\w+|querría\w*|quisiera\w*|ojalá|besoin|voudrai\w*|aimerai\w*|souhait\w*)\b",
    re.IGNORECASE,
)


# How the local extractor begins an interpretation (`signals/local_reading.py`).
_INTERPRETED: tuple[tuple[str, Tone], ...] = (
    ("Reports a problem", "problem"),
    ("Wants", "wish"),
    ("Has a need", "wish"),
    ("Is positive", "praise"),
)


def states_a_need(words: str) -> bool:
    """Whether the words themselves say that somebody needs, wants or asks for something."""
    return bool(_WISH.search(words))


def tone(words: str, interpretation: str | None = None) -> Tone:
    """What the local extractor's interpretation says, else the words; in these, trouble and wishes win over praise.

    "Great, but it crashes" is a problem.
    """
    for begins, meant in _INTERPRETED:
        if interpretation and interpretation.startswith(begins):
            return meant
    if _PROBLEM.search(words):
        return "problem"
    if _WISH.search(words):
        return "wish"
    return "praise" if _PRAISE.search(words) else "open"
