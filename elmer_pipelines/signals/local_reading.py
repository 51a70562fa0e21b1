"""What the local extractor reads from the words of a kept sentence: how bad, how often, for whom, and what is meant.

Everything here quotes or follows from the words by a rule; None where they don't say. What is kept is not decided here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from elmer_pipelines.signals.local_rules import Cues
    from elmer_pipelines.signals.model import Frequency, Severity


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.I)


_CRITICAL = _any(
    r"\b(?:data|work|notes?|files?|everything|history|jobs?|reports?|records?|photos?|hours?|playlists?|documents?|readings?|signatures?)\b (?:\w+ ){0,4}(?:lost|gone|wiped|deleted|erased|vanished|disappeared|emptied)\b",
    r"\b(?:lost|lose|loses|losing|wiped|erased|deleted) (?:all|everything|my|our|the|their|half|a|that|whole) (?:\w+ ){0,3}(?:data|work|notes?|files?|history|jobs?|reports?|records?|photos?|contract|customer|account|hours?|information|playlists?|documents?|service)\b",
    r"\b(?:unusable|un-usable|completely (?:broken|down|unusable)|can['’]?t (?:use it|use the app|work) (?:at all|any ?more)|doesn['’]?t work at all|nothing works|outage|showstopper|blocker|urgent\w*|emergency|security (?:hole|issue|breach|problem|risk)|data (?:loss|leak|breach)|leaked|gdpr|unauthori[sz]ed|access codes?)\b",
    r"\b(?:cancel(?:l?ed|l?ing)?|leaving|switched|switching|moving|will leave|going to leave) (?:\w+ ){0,3}(?:subscription|account|contract|plan|to|membership)\b", r"\bwant (?:a|my) (?:refund|money back)\b|\bdeal[- ]?breaker\b",
    r"\b(?:daten|alles|bericht\w*|protokoll\w*|fotos?|termine?|aufträge?|unterschrift\w*|werte|eintr\w+)\b (?:[\w,-]+ ){0,5}(?:verloren|weg|verschwunden|gelöscht|verschwinden|überschrieben|leer)\b", r"\b(?:unbrauchbar|datenverlust|dringend\w*|datenschutz\w*|dsgvo|notfall|ausfall|steht still|gekündigt|kündig(?:en|e|ung)|haftet|nicht mehr nutzbar)\b",
)  # fmt: skip
_HIGH = _any(
    r"\bcrash\w*|\bfreez\w+|\bfroze\w*|\bbroken?\b|\bfail\w*|\berrors?\b|\bstopped working\b|\bwon['’]?t\b|\b(?:does|do|did)n['’]?t (?:work|open|load|sync|save|play|start|send|let)\w*|\bcan(?:no|['’]?)t\b|\blocked out\b|\blost\b|\bdisappear\w*|\bvanish\w*|\boverwr\w+|\bhate\b|\bterrible\b|\bhorrible\b|\bawful\b|\buseless\b|\bimpossible\b|\bstuck\b|\bnightmare\b|\bdread\b|\bevery (?:single )?time\b|\bcosts? (?:me|us)\b|\bmust[- ]have\b|\btrust\b|\bworst\b|\bgave up\b|\bdouble charged\b",
    r"stürz|\bfehlgeschlagen\b|\bfehler\w*\b|\bfunktioniert\b.*\b(?:nicht|nie)\b|\bkann\b.*\bnicht\b|\bgesperrt\b|\bverloren\b|\bverschw[iu]nd\w*|\bfurchtbar\b|\bkatastroph\w*|\bkaputt\b|\bdoppelt\w*\b|\bfalsch\w*\b|\bkostet (?:mich|uns)\b|\bunzumutbar\b",
)  # fmt: skip
_LOW = _any(
    r"\b(?:would|might|could) be (?:\w+ )?(?:nice|cool|lovely|handy|helpful)\b|\bnice to have\b|\bminor\b|\bsmall (?:thing|detail|annoyance|wish)\b|\bnit\b|\bnitpick\w*|\bcosmetic\b|\bnot (?:a big|that big|urgent|important)\b|\bonly (?:complaint|downside|gripe|problem|thing)\b|\bno rush\b|\ba (?:bit|little)\b|\bslightly\b",
    r"\bw(?:ä|ae)re (?:\w+ ){0,3}(?:schön|nett|praktisch|toll|super)\b|\bkleinigkeit\w*|\bnicht (?:schlimm|dringend|eilig|so wichtig)\b|\bein bisschen\b|\betwas (?:langsam|umständlich|klein)\w*|\bschönheitsfehler\b",
)  # fmt: skip

_RARE = _any(
    r"\b(?:rarely|seldom|hardly ever|once in a blue moon|once or twice|only once|just once|(?:one|a single) time|twice so far|once a year)\b",
    r"\b(?:selten\w*|kaum mal|nur einmal|ein einziges mal|einmal im jahr)\b",
)  # fmt: skip
_OCCASIONAL = _any(
    r"\b(?:sometimes|occasional(?:ly)?|at times|now and (?:then|again)|from time to time|once in a while|every (?:now|so often|once)\b[ \w]{0,12}|intermittent(?:ly)?|off and on|on and off|randomly|once a month|a few times|every (?:other|few|couple of) \w+|not always)\b",
    r"\b(?:manchmal|gelegentlich|ab und zu|hin und wieder|von zeit zu zeit|mitunter|teilweise|nicht immer|zeitweise|einmal im monat|zweimal|ein paar ?mal)\b",
)  # fmt: skip
_COMMON = _any(
    r"\b(?:every (?:single )?(?:time|day|morning|evening|night|week|month|friday|monday|tuesday|wednesday|thursday|saturday|sunday|shift|job|\d+ \w+)|each (?:time|day|morning|week|month|and every)|always|constantly|constant|all the time|daily|weekly|often|frequently|repeatedly|regularly|usually|continually|keeps? (?:\w+ing)|whenever|any ?time|(?:several|many|multiple|\d+) times|all day|again and again|over and over|everybody|everyone|all of (?:us|them|our))\b",
    r"\b(?:jedes ?mal|jede[nrs]? (?:tag|morgen|abend|woche|monat|montag|freitag|zweite\w*)|immer(?! noch)|ständig|dauernd|täglich\w*|wöchentlich|oft|häufig|regelmäßig|meistens|andauernd|laufend|wiederholt|x-?mal|mehrmals|alle (?:nase lang|paar|fünf|zehn)|jeder von uns|bei allen)\b",
)  # fmt: skip

_PLAN = re.compile(
    r"\b(?P<plan>free|trial|basic|starter|standard|plus|premium|pro|professional|business|team|enterprise)[ -](?:version|plan|tier|account|user|subscriber|subscription|member|edition|customer|licen[cs]e)s?\b",
    re.I,
)
_PLAN_DE = re.compile(
    r"\b(?P<plan>kostenlose[nr]?|gratis|free|test|basis|starter|premium|pro|business|team|enterprise)[ -]?(?:version|tarif|konto|zugang|abo|kunde|kundin|nutzer|nutzerin|lizenz)\b",
    re.I,
)
_PAYS = re.compile(r"\b(?:i|we) (?:\w+ ){0,2}(?:pay|paid|subscribe)\b(?! (?:for it )?if)|\bpaying (?:customer|user|member)", re.I)
_ROLES = (
    "admin|administrator|developer|engineer|designer|teacher|student|nurse|doctor|lawyer|manager|product manager|project manager|"
    "office manager|district manager|sales rep|sales manager|salesperson|accountant|bookkeeper|owner|founder|freelancer|contractor|"
    "technician|dispatcher|driver|seller|buyer|writer|author|journalist|researcher|photographer|musician|dj|parent|mother|mom|mum|"
    "father|dad|consultant|analyst|recruiter|support agent|team lead|apprentice|trainee|handyman|electrician|plumber|translator|gamer"
)
_ROLE = re.compile(
    rf"\b(?:as|i['’ ]?a?m|we['’ ]?a?re|being|i work as|works? as|since i am)(?: an?| the| our)? (?:\w+ )?(?P<role>{_ROLES})s?\b(?! (?:page|panel|account|area|role))",
    re.I,
)
_ROLES_DE = (
    "Administrator|Admin|Entwickler|Lehrer|Student|Disponent|Techniker|Servicetechniker|Monteur|Meister|Altgeselle|Lehrling|Azubi|"
    "Geschäftsführer|Inhaber|Buchhalter|Projektleiter|Teamleiter|Freiberufler|Fahrer|Verkäufer|Bürokraft|Sachbearbeiter|Handwerker|Elektriker"
)
_ROLE_DE = re.compile(
    rf"\b(?:als|ich bin|bin ich|wir sind)(?: hier| der| die| ein| eine| selbst)? (?P<role>(?:{_ROLES_DE})(?:in|innen|en)?)\b", re.I
)
_NEW = _any(
    r"\b(?:i['’ ]?a?m|we['’ ]?a?re|i am|as a|being a) (?:\w+ )?(?:new (?:user|customer|here|to (?:this|the|it))|beginner|first[- ]time user)\b",
    r"\b(?:just|only|recently) (?:started|begun|signed up|downloaded|installed|joined|switched)\b", r"\b(?:bin|sind) (?:\w+ )?neu (?:hier|dabei)\b|\bneukund\w+\b|\berst seit (?:kurzem|gestern|einer woche)\b|\bgerade erst (?:angefangen|installiert|angemeldet)\b",
)  # fmt: skip
_OLD = _any(
    r"\b(?:long[- ]?time (?:user|customer|subscriber|member|fan)|(?:used|using|user|customer|subscriber|member|subscribed|had|with you|been on)\b[^.!?]{0,40}\b(?:for|over|since) (?:\w+ ){0,3}(?:years|20\d\d))\b",
    r"\b(?:seit (?:\w+ )?(?:jahren|20\d\d)\b[^.!?]{0,30}\b(?:kund\w+|nutz\w+|dabei|arbeite\w*)|langjährige\w* (?:kund|nutz)\w+)",
)  # fmt: skip
_SMALL = re.compile(r"\b(?:small (?:business|company|firm|team|shop|agency)|kleine[rns]? (?:betrieb|firma|team|unternehmen))\b", re.I)

_METADATA_WHOLE = ("segment", "user_segment", "customer_segment")
_METADATA_PARTS = (("plan", "tier", "subscription", "tarif"), ("role", "persona", "job_title", "rolle"))
_MAX_LABEL = 60

_WISH = re.compile(
    r"\b(?:i(?:'d)? (?:\w+ )?wish (?:that )?|if only |please (?:also |just )?(?=\w+ )|i['’]d (?:\w+ )?(?:like|love|prefer) (?:to (?:see |have )?)?|"
    r"(?:would|could) be (?:\w+ )?(?:nice|great|good|helpful|useful|awesome|cool|better|handy) (?:if |to )|"
    r"(?:i|we) (?:really |just |also )?(?:need|want) (?:to )?|feature request:? |looking for )(?P<what>[^.!?;\n]{3,160})",
    re.I,
)


def severity_of(sentence: str, cues: Cues) -> Severity | None:
    """How bad it is by its own words; None for praise, mere mention, and where the words don't say."""
    if not (cues.problem or cues.request):
        return None
    if cues.problem and _CRITICAL.search(sentence):
        return "critical"
    if _LOW.search(sentence):
        return "low"
    if cues.problem and _HIGH.search(sentence):
        return "high"
    return "medium"


def frequency_of(sentence: str) -> Frequency | None:
    """How often it happens, where the words say so; the rarer reading wins where two are said."""
    if _RARE.search(sentence):
        return "rare"
    if _OCCASIONAL.search(sentence):
        return "occasional"
    return "common" if _COMMON.search(sentence) else None


def segment_in(text: str) -> str | None:
    """The user's segment as they state it of themselves: plan and role ("enterprise admin"), else how long they are."""
    role = _ROLE.search(text) or _ROLE_DE.search(text)
    plan = _plan_in(text)
    named = role["role"].lower() if role else None
    if named or plan:
        return f"{plan} {named or 'user'}" if plan else named
    if _NEW.search(text):
        return "new user"
    if _OLD.search(text):
        return "long-time user"
    return "small business" if _SMALL.search(text) else None


def _plan_in(text: str) -> str | None:
    match = _PLAN.search(text) or _PLAN_DE.search(text)
    if match:
        plan = match["plan"].lower()
        return "free" if plan.startswith(("kostenlos", "gratis")) else "trial" if plan == "test" else plan
    return "paying" if _PAYS.search(text) else None


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
    about = _quoted([span for span in spans if len(span) > 2])
    if cues.problem and not (cues.request and _WISH.search(sentence)):
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
    wish = _WISH.search(sentence)
    if cues.question:
        return f"Asks about {about}." if about else "Asks whether or how something can be done."
    if wish:
        return f"Wants: “{_clean(wish['what'])}”."
    return f"Wants something about {about}." if about else f"Has a need: “{_clean(cues.request or '')}”."


def _how_often(sentence: str) -> str:
    for pattern in (_RARE, _OCCASIONAL, _COMMON):
        if match := pattern.search(sentence):
            return f" Says how often: “{_clean(match[0])}”."
    return ""


def _quoted(spans: list[str]) -> str:
    return " and ".join(f"“{_clean(span)}”" for span in spans[:2])


def _clean(words: str) -> str:
    return " ".join(words.split()).strip(" ,;:-–—")
