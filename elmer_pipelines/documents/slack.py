"""Slack exports: a document per thread, and per channel and day for what is said outside of threads."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from elmer_pipelines.documents.draft import Draft, short_title, unique_names
from elmer_pipelines.documents.guards import broken, clean_value, no_text
from elmer_pipelines.documents.model import Document
from elmer_pipelines.documents.voices import Voices

if TYPE_CHECKING:
    from elmer_pipelines.documents.options import ReadingOptions

DAY_FILE = re.compile(r"(?:.*/)?([^/]+)/(\d{4}-\d\d-\d\d)\.json")
_SKIPPED = frozenset(
    (
        "channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name", "channel_archive",
        "channel_unarchive", "group_join", "group_leave", "bot_add", "bot_remove", "message_changed",
        "message_deleted", "pinned_item", "tombstone", "reminder_add", "channel_convert_to_private",
    )
)  # fmt: skip
_MARKUP = re.compile(r"<([^<>\n]{1,2000})>")
Message = dict[str, Any]


@dataclass(frozen=True)
class _Person:
    name: str
    bot: bool


def read_slack_export(path: str, data: bytes, options: ReadingOptions) -> list[Document]:
    """The documents of an export zip whose entries have been checked (see `guards.check_archive`)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        people = _people(path, archive)
        channels: dict[str, list[Message]] = defaultdict(list)
        for name in sorted(archive.namelist()):
            found = DAY_FILE.fullmatch(name)
            if found and not name.startswith("__MACOSX/"):
                channels[clean_value(found[1])] += _load(path, archive, name)
    documents = [
        document
        for channel in sorted(channels)
        for key, messages in _threads(channels[channel])
        if (document := _document(path, channel, key, messages, people)) is not None
    ]
    options.check_count(path, documents)
    if not documents:
        raise no_text(path, "Check that the export holds messages.")
    return documents


def _load(path: str, archive: zipfile.ZipFile, name: str) -> list[Message]:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise broken(path, "a Slack export", f"{name}: {error}") from error
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _people(path: str, archive: zipfile.ZipFile) -> dict[str, _Person]:
    names = [name for name in archive.namelist() if re.fullmatch(r"(?:[^/]+/)?users\.json", name)]
    people = {}
    for user in _load(path, archive, names[0]) if names else []:
        inner = user.get("profile")
        profile = inner if isinstance(inner, dict) else {}
        options = (profile.get("real_name"), user.get("real_name"), profile.get("display_name"), user.get("name"))
        name = next((clean_value(option)[:80] for option in options if option), "")
        people[str(user.get("id"))] = _Person(name or str(user.get("id")), bool(user.get("is_bot")))
    return people


def _threads(messages: list[Message]) -> list[tuple[str, list[Message]]]:
    """Messages by thread, or by day (UTC) outside of threads; keys are the thread's time stamp or the date."""
    kept = {str(m.get("ts")): m for m in messages if m.get("subtype") not in _SKIPPED and _seconds(m) is not None}
    in_order = sorted(kept.values(), key=lambda m: _seconds(m) or 0.0)
    roots = {str(m["thread_ts"]) for m in in_order if m.get("thread_ts") and m["thread_ts"] != m.get("ts")}
    groups: dict[str, list[Message]] = defaultdict(list)
    for message in in_order:
        thread = str(message.get("thread_ts") or message.get("ts"))
        moment = _moment(message)
        groups[thread if thread in roots or moment is None else moment.date().isoformat()].append(message)
    return list(groups.items())


def _seconds(message: Message) -> float | None:
    try:
        return float(message["ts"])
    except (KeyError, TypeError, ValueError):
        return None


def _moment(message: Message) -> datetime | None:
    try:
        return datetime.fromtimestamp(_seconds(message) or 0.0, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _document(
    path: str, channel: str, key: str, messages: list[Message], people: dict[str, _Person]
) -> Document | None:
    draft, voices = Draft(), Voices()
    for message in messages:
        person = _who(message, people)
        customer = not person.bot and voices.is_customer(person.name)
        draft.turn(person.name, _plain(_raw_text(message), people), is_customer=customer, at=_moment(message))
    if not draft.segments:
        return None
    first = draft.segments[0]
    opening = short_title(draft.text[first.start : first.end])
    day = re.fullmatch(r"\d{4}-\d\d-\d\d", key)
    return Document(
        address=f"{path}#{channel}/{clean_value(key)[:40]}",
        kind="chat",
        format="slack",
        title=f"#{channel} on {key}" if day else f"#{channel}: {opening}",
        text=draft.text,
        segments=tuple(draft.segments),
        occurred_at=first.at,
        people=unique_names([segment.speaker for segment in draft.segments]),
        metadata={"channel": channel, "messages": len(messages)},
    )


def _who(message: Message, people: dict[str, _Person]) -> _Person:
    bot = bool(message.get("bot_id")) or message.get("subtype") == "bot_message"
    known = people.get(str(message.get("user")))
    if known is not None:
        return _Person(known.name, known.bot or bot)
    profile = message.get("user_profile")
    names = (profile.get("real_name"), profile.get("name")) if isinstance(profile, dict) else ()
    name = next((str(n) for n in (*names, message.get("username"), message.get("user")) if n), "unknown")
    return _Person(clean_value(name)[:80], bot)


def _raw_text(message: Message) -> str:
    text = message.get("text")
    return text if isinstance(text, str) else ""


def _plain(text: str, people: dict[str, _Person]) -> str:
    """Slack's markup as people see it: `<@U1>` is a name, `<#C1|general>` a channel, `<url|label>` its label."""

    def shown(found: re.Match[str]) -> str:
        target, _, label = found[1].partition("|")
        if target.startswith("@"):
            known = people.get(target[1:])
            return "@" + (known.name if known else label or target[1:])
        if target.startswith("#"):
            return "#" + (label or target[1:])
        return label or (f"@{target.lstrip('!')}" if target.startswith("!") else target)

    return html.unescape(_MARKUP.sub(shown, text))
