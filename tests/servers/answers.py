"""What the loopback model says: JSON that fits a schema, made from the material's own words. No HTTP here."""

from __future__ import annotations

import html
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_TURN = re.compile(r"<turn\b(?P<labels>[^>]*)>(?P<words>.*?)</turn>", re.DOTALL)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_ENVELOPE = re.compile(r"<[a-z][^>]*>|</[a-z_0-9]+>")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_ID = re.compile(r"\b[A-Z]-[0-9a-z]{12}\b")
_SEVERITY = (
    ("critical", r"\b(cancel|leav\w+|lost|lose|losing|can't work|breach|churn)\b"),
    ("high", r"\b(crash\w*|fail\w*|broken|blocked|urgent|every time|never works)\b"),
    ("medium", r"\b(slow|need\w*|want\w*|wish|would|should|missing|annoying|confus\w+)\b"),
    ("low", r"\b(love|nice|great|like|pretty)\b"),
)
_FREQUENCY = (
    ("common", r"\b(always|every|daily|constantly|everyone|all the time)\b"),
    ("occasional", r"\b(sometimes|often|weekly|some)\b"),
    ("rare", r"\b(once|rarely|one time)\b"),
)
_SEGMENT = (("enterprise admin", r"\badmin\w*\b"), ("developer", r"\b(API|SDK|developer\w*)\b"))
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "about after again also because been before being could does from have into just like more most only other "
        "over said says should some such than that their them then there these they this those very want were what "
        "when where which while will with would your customer customers speaker role turn title kind context",
    )
)


@dataclass
class Material:
    """The user's message, and what can be picked from it."""

    text: str
    cites: bool = False
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = self.ids or list(dict.fromkeys(_ID.findall(self.text)))
        self.plain = html.unescape(_ENVELOPE.sub("\n", self.text))
        self.sentences = [s.strip() for s in _SENTENCE.findall(self.plain) if len(s.split()) >= 4] or ["Nothing said."]

    def narrowed(self, ids: list[str]) -> Material:
        return Material(self.text, self.cites, ids)

    def choice(self, path: str, count: int) -> int:
        return zlib.crc32(f"{path}\n{self.text}".encode()) % count

    def of_kind(self, field_name: str) -> list[str]:
        """The ids a field of this name can hold: `signal_ids` those that begin with S."""
        letter = field_name[:1].upper()
        return [one for one in self.ids if one[0] == letter] or ([] if "_" in field_name else self.ids)

    def top_words(self, count: int) -> str:
        words = Counter(w.lower() for w in re.findall(r"[^\W\d_]{4,}", self.plain))
        best = sorted((w for w in words if w not in _SMALL_WORDS), key=lambda w: (-words[w], w))[:count]
        return " ".join(best).capitalize() or "Nothing in common"


def answer(schema: dict[str, Any], system: str, user: str) -> dict[str, Any]:
    """A JSON value that fits the schema; the same for the same words."""
    material = Material(user, cites="[S-" in system)
    for name, shape in schema.get("properties", {}).items():
        item = _resolved(shape.get("items", {}), schema)
        if shape.get("type") == "array" and "quote" in item.get("properties", {}):
            return {name: [_fitted(signal, item) for signal in _signals(user)]}
    value = _fill(schema, schema, "answer", material)
    assert isinstance(value, dict)
    return value


def _signals(user: str) -> list[dict[str, Any]]:
    """A signal for every sentence of four words or more that a customer said and that is no question."""
    signals = []
    for turn in _TURN.finditer(user):
        labels = dict(_LABEL.findall(turn["labels"]))
        if labels.get("role") == "us":
            continue
        for sentence in _SENTENCE.findall(turn["words"]):
            words = sentence.strip()
            long_enough = len(words.split()) >= 4 or (len(words) >= 8 and not words.isascii())
            if long_enough and not words.endswith(("?", "？")):
                signals.append({"quote": words, "turn": int(labels.get("n", "1")), **_read(words)})
    return signals


def _read(words: str) -> dict[str, Any]:
    def first(table: tuple[tuple[str, str], ...]) -> str | None:
        return next((label for label, pattern in table if re.search(pattern, words, re.IGNORECASE)), None)

    return {
        "interpretation": f"The customer tells what matters in their work: {Material(words).top_words(4).lower()}.",
        "severity": first(_SEVERITY),
        "frequency": first(_FREQUENCY),
        "segment": first(_SEGMENT),
    }


def _fitted(signal: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    return {name: signal.get(name) for name in item["properties"]}


def _resolved(shape: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in shape:
        shape = root["$defs"][shape["$ref"].rsplit("/", 1)[-1]]
    return shape


def _fill(shape: dict[str, Any], root: dict[str, Any], path: str, material: Material) -> Any:
    shape = _resolved(shape, root)
    name = path.rsplit(".", 1)[-1].split("[")[0]
    if "const" in shape:
        return shape["const"]
    if "enum" in shape:
        return shape["enum"][material.choice(path, len(shape["enum"]))]
    for variants in (shape.get("anyOf"), shape.get("allOf"), shape.get("oneOf")):
        if variants:
            kinds = [v for v in variants if v.get("type") != "null"]
            return _fill(kinds[0], root, path, material) if kinds else None
    match shape.get("type"):
        case "object":
            properties = shape.get("properties", {})
            return {key: _fill(value, root, f"{path}.{key}", material) for key, value in properties.items()}
        case "array":
            return _items(shape, root, path, name, material)
        case "string":
            return _string(name, path, material)
        case "integer":
            return 1 + material.choice(path, 5)
        case "number":
            return (50 + material.choice(path, 50)) / 100
        case "boolean":
            return bool(material.choice(path, 2))
    return None


def _items(shape: dict[str, Any], root: dict[str, Any], path: str, name: str, material: Material) -> list[Any]:
    item = _resolved(shape.get("items", {}), root)
    if item.get("type") == "string" and (name.endswith("_ids") or name in ("ids", "citations", "evidence")):
        return material.of_kind("signal_ids" if name in ("citations", "evidence") else name)[:8]
    properties = item.get("properties", {})
    own = next((p for p in properties if p == "id" or p.endswith("_id")), None)
    if own is not None and material.of_kind(own):
        ids = material.of_kind(own)
        return [_fill(item, root, f"{path}[{n}]", material.narrowed([one])) for n, one in enumerate(ids)]
    numbered = next((p for p in properties if p in ("n", "number", "index") and "integer" in str(properties[p])), None)
    if numbered is not None:
        marks = list(dict.fromkeys(re.findall(r'\b(?:n|number|index)="(\d+)"', material.text)))
        return [{**_fill(item, root, f"{path}[{n}]", material), numbered: int(n)} for n in marks]
    count = max(1, min(3, len(material.ids)))
    parts = [material.narrowed(material.ids[n::count]) if material.ids else material for n in range(count)]
    return [_fill(item, root, f"{path}[{n}]", part) for n, part in enumerate(parts)]


def _string(name: str, path: str, material: Material) -> str:
    if name == "id" or name.endswith("_id"):
        found = material.of_kind(name)
        return found[0] if found else "none"
    if name in ("name", "title", "theme", "label", "headline"):
        return material.top_words(3)
    sentence = material.sentences[material.choice(path, len(material.sentences))]
    cited = "".join(f" [{one}]" for one in material.of_kind("signal_id")[:2]) if material.cites else ""
    return f"Customers say: {sentence}{cited}"
