"""Rules of the local extractor: the words by which English and German speakers ask, complain, praise, or only chat.

What a rule's finding means for a signal (severity, segment, interpretation) is in local_reading; what is kept is
decided in local_extractor. Patterns are linear: no nested repetition, short gaps only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "de", "other"]


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.I)


_GAP = r"(?:[\w'’,-]+\s+){0,3}"
_GAP_DE = r"(?:[\w,-]+\s+){0,5}"

REQUEST = {
    "en": _any(
        rf"\bi(?:'d| would| do)? {_GAP}wish\b", r"\bif only\b", r"\bfeature request\b", r"\bplease (?!never mind|excuse|let me know\b)\w+",
        rf"\b(?:i|we|they|you|users?|people|everyone|technicians?|team)(?:'d| would)? {_GAP}(?:need|want|require|expect)(?:s|ed)?\b",
        rf"\b(?:i|we|they)(?:'d| would) {_GAP}(?:like|love|prefer|appreciate|pay|settle|sign|kill)\b(?! to (?:say|thank))",
        r"\b(?:would|could|might) (?:really |also |already )?(?:be|have been|make) (?:\w+ )?(?:nice|great|good|helpful|useful|awesome|cool|better|handy|happy|enough|perfect|amazing|lovely)",
        r"\b(?:it|you|they|there|app|system|this|that|we)(?: really| just)? (?:should|ought to|has to|needs?|must)\b(?! be (?:glad|joking))",
        r"\b(?:can|could|would|will) (?:you|we|i|it|someone|they|there) (?:please |also |ever |just )?(?!believe|hear|see you|call|introduce|imagine|say|tell)\w+[^.!]*\?",
        r"\b(?:hope|hoping) (?:that )?(?:you|they|it|there|to see|this|we|for)\b", r"\b(?:is|are) there (?:a|an|any|some) \w+[^.]*\?",
        r"\bhow (?:do|can|would|should) (?:i|we|you|one)\b[^.!]*\?", r"\b(?:when|where)(?:'s| is| will| are| can) [^.!]{3,80}\?",
        r"\b(?:lacks?|lacking|missing|misses)\b", r"\b(?:add|bring back|give me|give us|let me|let us|allow|allows us|fix)\b (?!know\b|think\b|see\b|ask\b|tell\b|start\b)\w+",
        r"\b(?:no|any) (?:way|option|button|setting|possibility) (?:to|for|of)\b", r"\bthere(?:'s| is| are) no(?:t| way)?\b (?!problem|complaint|issue|good time|rush|hurry|point|question|doubt|need)\w+",
        r"\blooking for (?:a|an|some|something)\b", r"\b(?:what|all) (?:i|we)(?:'d)? (?:\w+ )?(?:need|want|like)\b", r"\bmust[- ]have\b", r"\bdeal[- ]?breaker\b", r"\bwithout (?:the )?(?:ads|adds)\b",
    ),
    "de": _any(
        rf"\b(?:ich|wir|man) (?:würden?|hätten?|möchten?|wünschen?|wollen|will|bräuchten?|brauchen?|erwarten?|benötigen?)\b(?! (?:sagen|fragen))",
        rf"\b(?:würden?|hätten?|möchten?|wünschen?|wollen|will|bräuchten?|brauchen?|benötigen?) (?:ich|wir|man)\b",
        r"\b(?:wünschenswert|wunsch\w*)\b", r"\bbitte (?:um \w+|\w+ ?\w*en\b|\w+)", r"\b(?:es )?w(?:ä|ae)re (?:\w+ ){0,5}(?:schön|gut|toll|super|hilfreich|klasse|praktisch|besser|nett|prima|wichtig|recht|ideal|genug)\b",
        r"\b(?:fehlt|fehlen|vermisse\w*|gefehlt)\b", rf"\b(?:sollte|sollten|müsste|müssten|muss|müssen) {_GAP_DE}(?:können|geben|werden|sein|haben|funktionieren)\b",
        r"\b(?:könn(?:t|en|ten|te) (?:ihr|sie|man|wir|ich))\b[^.!]*\?", r"\b(?:kann|könnte) (?:ich|man|ihr)\b[^.!]*\?", r"\bgibt es\b[^.!]*\?", r"\bwie (?:kann|können|mache|bekomme|geht|lässt)\b[^.!]*\?",
        r"\bwann (?:kommt|gibt|wird|kann)\b[^.!]*\?", r"\bes gibt (?:\w+ ){0,2}kein\w*\b", r"\b(?:keine (?:möglichkeit|option|funktion))\b", r"\bhoffe\w* (?:dass|auf|ihr|es)\b", r"\bwenn (?:man|ich|wir) (?:\w+ ){0,6}könnte\w*\b",
        r"\bwarum (?:kann|geht|gibt|muss|ist)\b[^.!]*\?",
    ),
}  # fmt: skip

PROBLEM = {
    "en": _any(
        r"\bcrash\w*", r"\bfreez\w+|\bfroze\w*", r"\bbugg?(?:s|y)?\b|\bglitch\w*", r"\berrors?\b", r"\bfail(?:s|ed|ing|ure|ures)?\b", r"\bbroke\w*|\bbreaks\b", r"\b(?:problem|issue|trouble|complaint|nuisance|nightmare|headache)s?\b",
        r"\b(?:do|does|did|will|would|has|is|can|could|was)(?:n['’]?t| not) (?:\w+ )?(?:let|work|open|load|sync|save|play|show|send|start|allow|support|respond|connect|log|find|get|use|even|stay|keep|recogni[sz]e|appear|arrive|update|help|possible|able|tell|do|see|access|change|add|delete|turn|download|install|accept|watch|make|match|fit|trust)\w*",
        r"\bwon['’]?t (?:let|work|open|load|sync|save|play|show|send|start|connect|log|respond|update|even|stay|allow|accept|shut down)\w*|\bcannot\b|\bcan['’]?t\b(?! (?:imagine|live|wait|believe|say enough|complain|recommend|remember|go wrong|beat|talk|think))",
        r"\b(?:un(?:usable|able|reliable|stable|readable|acceptable|responsive)|useless|worthless|impossible|horrible|terrible|awful|atrocious|annoy\w*|frustrat\w*|confus\w*|clunky|clumsy|cumbersome|tedious|painful|disappoint\w*|ridiculous|infuriat\w*|ugly|steep|overpriced|misleading|inconvenient)\b",
        r"\b(?:hate|dread|swear at|sick of|tired of|fed up|struggl\w*|complain\w*|gave up|give up|giving up|stopped using|cancel(?:l?ed|l?ing)?|moan|grumble)\b", r"\b(?:slow\w*|lag(?:s|gy|ging)?|hangs?|stuck|time[sd]? out|offline again|takes? (?:\w+ )?(?:ages|forever|minutes|hours|long|too long))\b", r"\btoo (?:many|much|long|slow|small|complicated|expensive|hard|difficult|steep|often|late|few|limited|far|little|easy to miss)\b",
        r"\b(?:lost|los(?:es?|ing)|disappear\w*|vanish\w*|wiped|overwr\w+|erased|deleted itself|gone missing|went missing|emptied)\b", r"\b(?:\w+ (?:is|are|was|were) (?:\w+ )?gone)\b", r"\b(?:twice|double[ds]?|doubled|duplicat\w+|triple)\b(?! (?:as|the))", r"\b(?:wrong|incorrect|inaccurate|mixed up|out of date|outdated|incomplete|garbled|cut off|upside down|an hour off)\b", r"\b(?:blank|white|black) (?:screen|page)\b|\b(?:completely|just|is|are|was) (?:empty|blank)\b",
        r"\b(?:by hand|manual(?:ly)?|workaround|work around|re-?typ\w+|re-?enter\w*|type it (?:all )?(?:again|in|up)|copy(?:ing)? (?:and|&) past\w+|one by one|hand-made|spreadsheet|start(?:ing)? (?:all )?over|restart\w*|re-?install\w*)\b", r"\b(?:locked out|logs? me out|logged me out|kicks? me out|kicked out|signed out|security|breach|leak\w*|exposed)\b",
        r"\b(?:costs?|cost) (?:me|us|my|our)\b", r"\bwast(?:e|es|ed|ing)\b", r"\bno (?:signal|idea (?:what|where|how|whether|why)|way|option|sound|warning|undo|answer|reply|response)\b", r"\b(?:keep|keeps|kept) (?:\w+ )?(?:crash|fail|forget|los|stop|drop|ask|logg|saying|telling|gett|hav|clos|doubl|send)\w*", r"\bstop(?:s|ped)? (?:work|play|sync|load|send|respond)\w*", r"\bhard to (?:find|read|use|see|understand|tell|know)\b", r"\b(?:nobody|no one|none of) (?:\w+ ){0,3}(?:knows|sees|notice|can|told|use|trust)\w*",
        r"\b(?:sucks?|downside|drawback|lousy|poor(?:ly)?|bad(?:ly)?|worse|worst|mess|miss(?:ed|es)? (?:the|an|a|my|our)|hid(?:es|den)|forget(?:ting|s)?|drops?|blocks?|drain\w*|eats (?:my|the))\b", r"\b(?:drunk|heart attack|on another planet)\b",
    ),
    "de": _any(
        r"\b(?:ab)?st(?:ü|ue)rz\w*|\babgestürzt\b", r"\babst(?:ü|ue)rze?\b|\bstürzt\b", r"\bfehler\w*\b", r"\b(?:problem\w*|schwierigkeit\w*|ärger\w*|ärgerlich\w*|nerv(?:t|en|ig\w*)|mühsam\w*|umständlich\w*|lästig\w*|verwirrend\w*|unübersichtlich\w*|kompliziert\w*|unbrauchbar\w*|nutzlos\w*|katastroph\w*|furchtbar\w*|schrecklich\w*|enttäusch\w*|unzumutbar\w*|schlimm\w*|mies\w*|schlecht\w*|ungenau\w*)\b",
        r"\b(?:funktioniert|klappt|geht|läuft|lädt|öffnet|startet|speichert|synchronisiert|erscheint|kommt|reagiert|stimmt|passt|hilft|merkt)\w* (?:[\w,-]+ ){0,4}(?:nicht|nie|kaum|keine?)\b", r"\bnicht (?:richtig|mehr|sauber|zuverlässig|nutzbar|möglich|erreichbar) ?\w*", r"\b(?:kann|können|konnte|konnten) (?:[\w,-]+ ){0,6}(?:nicht|kein\w*|nie)\b",
        r"\b(?:langsam\w*|ewig\w*|hängt|hängen|eingefroren|friert|dauert|braucht (?:[\w-]+ ){0,3}(?:minute\w*|sekunden|stunde\w*))\b", r"\b(?:verschwund\w*|verschwinde\w*|verloren|verlier\w*|verlust\w*|gelöscht|überschr\w+|weg ?(?:ist|sind|war|waren)?[.,!]|ist weg|sind weg|ist leer|alles leer|überschrieben)", r"\b(?:doppelt\w*|zweimal|dreimal|mehrfach)\b", r"\b(?:falsch\w*|veraltet\w*|unvollständig\w*|fehlgeschlagen|gescheitert|scheiter\w*|kaputt|defekt\w*|gesperrt)\b",
        r"\b(?:von hand|händisch|manuell\w*|abtippen|tippe\w* (?:\w+ ){0,4}ab|excel-?liste|zettel)\b", r"\bkein(?:e|en|er|em)? (?:netz|empfang|verbindung|zugriff|antwort|rückmeldung|überblick|system|ahnung)\b", r"\bzu (?:hoch|teuer|langsam|kompliziert|viele?|wenig|klein|oft|lang\w*|umständlich|spät|steil)\b", r"\b(?:kündig\w*|gekündigt|wechseln|umstieg|beschwer\w*|weigert|hasse\w*|leider|kostet (?:mich|uns)|bleibt (?:\w+ ){0,4}(?:weiß|leer|hängen|stehen|schwarz)|musste\w* (?:\w+ ){0,6}neu|neu (?:starten|anmelden|eingeben|installieren))\b", r"\b(?:vertrauen verloren|verstehe\w* (?:\w+ ){0,3}nicht|findet? (?:\w+ ){0,4}nicht|sieht? (?:\w+ ){0,4}nicht)\b",
    ),
}  # fmt: skip

PRAISE = {
    "en": _any(
        r"\b(?:love|loved|loves|like|enjoy\w*|adore|appreciate)\b(?! to (?:see|have|get|be able))", r"\b(?:great|awesome|amazing|excellent|fantastic|wonderful|perfect\w*|brilliant|superb|impress\w*|delight\w*|outstanding|terrific|lovely|clever)\b",
        r"\b(?:easy|easier|easily|simple|simpler|intuitive|handy|convenient|fast|faster|quick(?:er|ly)?|reliable|useful|helpful|smooth\w*|seamless\w*|clear)\b", r"\b(?:saves?|saved|saving) (?:me|us|my|our|time|hours|a|so|at|about)\b", r"\b(?:works?|working|worked) (?:\w+ )?(?:well|great|fine|perfectly|flawlessly|beautifully|like a charm)\b", r"\b(?:happy with|glad|pleased|thankful|good (?:thing|job|work|one)|the best|the reason we (?:stayed|stay)|don['’]t touch|life ?saver|can['’]t live without|game changer|much better|recommend\w*)\b",
    ),
    "de": _any(
        r"\b(?:super|toll\w*|klasse|prima|großartig\w*|hervorragend\w*|perfekt\w*|spitze|genial\w*|ausgezeichnet\w*|begeister\w*|zufrieden\w*|gefällt|gefallen|liebe\w*|schätze\w*|mag|froh|freu\w*|lob\w*|gut\w*|besser|genau richtig)\b", r"\b(?:einfach\w*|praktisch\w*|schnell\w*|übersichtlich\w*|zuverlässig\w*|hilfreich\w*|bequem\w*|intuitiv\w*|spart|gespart|erleichter\w*|reibungslos\w*|problemlos\w*|hilft)\b",
    ),
}  # fmt: skip

STRONG = _any(
    r"\bcrash\w*", r"\bfreez(?:es|ing)\b", r"\bi(?:'d)? wish\b", r"\bplease (?:add|fix|make|bring|give|let|allow|include|support)\b",
    r"\b(?:would|it'd) be (?:nice|great|awesome|better|cool|helpful) (?:if|to)\b", r"\b(?:should|needs? to) (?:add|have|include|support|allow|let)\b", r"\b(?:won['’]?t|doesn['’]?t|can['’]?t) (?:\w+ )?(?:load|sync|save|open|log ?in)\b",
)  # fmt: skip
"""What is a request or trouble in any review, whatever the learned model says of its words."""

_SMALL_TALK = _any(
    r"^(?:oh|ah|haha?|well|ok|okay|yes|yeah|yep|no|nope|sure|right|exactly|hm+|er|um|mhm|great|fine|perfect|good|cool|thanks?|thank you|cheers|sorry|please|hi|hello|hey|bye|ja|nein|genau|klar|gut|gern\w*|danke|hallo|moin|servus|tschüss|stimmt|ach|naja|also|ähm?|prima|super|alles klar)(?:[\s,.!…-]+(?:oh|ok|okay|yes|yeah|no|sure|thanks?|thank you|so|very|much|you|a|lot|bit|there|all|team|everyone|that|is|it|one|quick|vielen|dank|schön|sehr|ihnen|euch|zusammen|guten|tag|und|then|for|everything|anyone|good|morning|bye))*[\s,.!?…)]*$",
    r"^(?:dear|hi|hello|hey|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|good (?:morning|afternoon|evening)|sehr geehrte\w*)\b[^.!?]{0,40}[,.!]?$", r"^(?:(?:kind|best|warm|many)?\s*regards|best wishes|sincerely|yours|cheers|thanks|mit freundlichen grüßen|viele grüße|beste grüße|liebe grüße|gruß|vg|mfg)\b[^.!?]{0,40}[.!]?$",
    r"\b(?:thanks|thank you|danke|vielen dank|besten dank) (?:\w+ ){0,4}(?:for|für|im voraus|in advance|so much|very much|again|dass)\b", r"^(?:nice|good|great|lovely) to (?:meet|see|hear|talk)\b", r"\bhow are you\b|\bwie geht(?:'s| es)\b|\bhave a (?:nice|good|great|lovely)\b|\bschönes wochenende\b|\bschönen (?:tag|abend|feierabend)\b|\btalk (?:to you )?soon\b|\bsee you\b|\bbis (?:bald|dann|morgen|nächste)\b|\bnice weather\b|\bcan you hear me\b|\bhören sie mich\b",
)  # fmt: skip
_BOILERPLATE = _any(
    r"^(?:sent from my|gesendet von|von meinem \w+ gesendet|get outlook|diese e-?mail (?:ist|wurde)|this (?:e-?mail|message) (?:is|was|and|contains|has been))\b", r"\bunsubscribe\b|\babmelden vom newsletter\b|\bconfidential(?:ity)?\b.{0,60}\b(?:intended|recipient)|\bintended (?:solely )?(?:for|recipient)|\ball rights reserved\b|\bprivacy policy\b|\bterms of service\b",
    r"^(?:on|am) .{4,80}(?:wrote|schrieb)\b.{0,60}:$", r"^(?:from|to|cc|subject|date|von|an|betreff|datum)\s*:", r"\b(?:out of (?:the )?office|automatic reply|auto-?reply|abwesenheitsnotiz|nicht im büro|not monitored|do not reply)\b", r"^(?:https?://|www\.)\S+$", r"^\W*\[?(?:crosstalk|inaudible|laughter|laughs|music|pause|unverständlich|lacht)\]?\W*$",
)  # fmt: skip
_NOT_A_PROBLEM = _any(
    r"\b(?:never|no|not|not a single|without|zero|hardly any|hasn['’]?t|doesn['’]?t|didn['’]?t|nie|kein\w*|ohne|not the|no more|fewer) (?:any |had |a |one |single |real |more )?(?:crash\w*|bugs?|problems?|issues?|trouble|complaints?|glitch\w*|lag|errors?|fehler|probleme?n?|abst[uü]rz\w*|ärger|lost|losing|fail\w*)\b", r"\bproblem ?los\w*|\bfehlerfrei\w*|\bbug[- ]free\b|\bnicht schlecht\b|\bnot bad\b|\bno (?:wonder|idea)\b(?! (?:what|where|how|why|whether))",
    r"\b(?:fixed|solved|resolved) (?:the|this|that|my|our|all)\b[^.,]{0,30}\b(?:problem|issue|bug|error)s?\b", r"\bnever (?:lose|loses|lost|fails?|forget)\b",
)  # fmt: skip

_GERMAN = frozenset(
    """der die das den dem des und ist nicht ein eine einen einem einer ich wir sie es zu mit auf für von im am bei auch
    aber wenn dass wie noch nur schon kann haben habe hat sind war wird werden sich man mir mich uns unser unsere mein
    meine kein keine nach aus vom zum zur oder weil immer wieder mehr sehr bitte gibt dann da bis über beim alle alles
    ja nein doch hier seit jeden jede ihr euch geht muss fehlt leider""".split()
)
_ENGLISH = frozenset(
    """the a an and is are not i we you they it to of in on with for from my our your this that was were have has be
    but if when so can do does what how at as by or no there would could just too very all me us them then about love
    great app use works great good need please he she which who get more""".split()
)
_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SELF_OR_PRODUCT = re.compile(
    r"\b(?:i|we|my|our|me|us|you|your|it|they|app|tool|the|ich|wir|mein\w*|unser\w*|mir|uns|sie|ihr|euch|man)\b", re.I
)


@dataclass(frozen=True)
class Cues:
    """What the rules see in one sentence: each the words that say so, None where there are none."""

    words: int
    request: str | None
    problem: str | None
    praise: str | None
    strong: bool
    question: bool
    small_talk: bool
    boilerplate: bool
    personal: bool


def language_of(text: str, fallback: Language = "en") -> Language:
    """English, German, or other by function words; `fallback` where too little is said to tell."""
    words = [word.lower() for word in _LETTERS.findall(text[:4000])]
    german = sum(word in _GERMAN or bool(set(word) & set("äöüß")) for word in words)
    english = sum(word in _ENGLISH for word in words)
    if german == english == 0:
        foreign = any(ord(character) > 0x24F for word in words for character in word)
        return "other" if foreign or len(words) > 12 else fallback
    if max(german, english) * 12 < len(words):
        return "other"
    return "de" if german > english else "en" if english > german else fallback


def cues_of(sentence: str, language: Language) -> Cues:
    """What the rules of a language find; for another language only its length and whether it is boilerplate."""
    plain = sentence.replace("’", "'").strip()
    known = "de" if language == "de" else "en"
    calm = _NOT_A_PROBLEM.sub(lambda m: " " * len(m[0]), plain)
    eased = calm != plain
    return Cues(
        words=len(_LETTERS.findall(plain)),
        request=_found(REQUEST[known], calm) if language != "other" else None,
        problem=_found(PROBLEM[known], calm) if language != "other" else None,
        praise=(_found(PRAISE[known], plain) or (plain if eased else None)) if language != "other" else None,
        strong=language == "en" and STRONG.search(calm) is not None,
        question=plain.rstrip("\"'”’) ").endswith(("?", "？")),
        small_talk=len(plain) < 120 and _SMALL_TALK.search(plain) is not None,
        boilerplate=_BOILERPLATE.search(plain) is not None,
        personal=_SELF_OR_PRODUCT.search(plain) is not None,
    )


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[0] if match else None
