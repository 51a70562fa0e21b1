"""Dates and times as they stand in files, to moments in UTC. A time without a zone is taken as UTC."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

_FORMATS = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%m/%d/%y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y",
    "%B %d %Y", "%b %d %Y", "%d-%b-%Y",
)  # fmt: skip
_NUMBER = re.compile(r"\d{9,19}(\.\d+)?")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2})(?:[.,](\d{1,3}))?")


def parse_moment(value: object) -> datetime | None:
    """The moment a value names, in UTC, None when it names none.

    A moment before 1970, or far in the future, is a slip of the pen, and none. Takes dates, ISO 8601, RFC 2822,
    common written forms (month before day where both readings are possible) and Unix time in seconds,
    milliseconds or microseconds.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, TypeError, OSError):
        return None
    return moment if moment is not None and _EARLIEST <= moment < _LATEST else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_number(float(value))
    return _from_text(value.strip()) if isinstance(value, str) and len(value) <= 60 else None


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _from_number(number: float) -> datetime | None:
    for scale in (1, 1_000, 1_000_000):
        if 1e8 <= number / scale < _LATEST.timestamp():
            return datetime.fromtimestamp(number / scale, UTC)
    return None


def _from_text(text: str) -> datetime | None:
    if _NUMBER.fullmatch(text):
        return _from_number(float(text))
    with suppress(ValueError):
        return _in_utc(datetime.fromisoformat(text))
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return _in_utc(parsedate_to_datetime(text)) if "," in text or ":" in text else None


def parse_clock(text: str) -> float | None:
    """Seconds of a time stamp as `1:02`, `00:01:12.500` or `75:30`, None when it is none."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
