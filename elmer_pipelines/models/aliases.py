"""Names of retired models and what replaces them. Prices and calls are elsewhere."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Dates from the list of deprecated models that the anthropic SDK 2.12.0 ships, which has the first retired ones too.
_RETIRED = (
    ("claude-3-5-haiku", "claude-haiku-5-5", "2026-02-19"),
    ("claude-3-5-haiku-*", "claude-haiku-5-5", "2026-02-19"),
    ("claude-3-haiku*", "claude-haiku-5-5", None),
    ("claude-1*", "claude-sonnet-5-5", "2024-11-06"),
    ("claude-2*", "claude-sonnet-5-5", "2025-07-21"),
    ("claude-mythos-preview", "claude-opus-5-5", "2026-06-30"),
    ("claude-instant-*", "claude-haiku-5-5", "2024-11-06"),
    ("claude-3-5-sonnet*", "claude-sonnet-5-5", None),
    ("claude-3-7-sonnet*", "claude-sonnet-5-5", "2026-02-19"),
    ("claude-3-sonnet*", "claude-sonnet-5-5", "2025-07-21"),
    ("claude-sonnet-4", "claude-sonnet-5-5", "2026-06-15"),
    ("claude-sonnet-4-0", "claude-sonnet-5-5", "2026-06-15"),
    ("claude-sonnet-4-20250514", "claude-sonnet-5-5", "2026-06-15"),
    ("claude-sonnet-4-5", "claude-sonnet-5-5", "2026-11-30"),
    ("claude-sonnet-4-5-20250929", "claude-sonnet-5-5", "2026-11-30"),
    ("claude-3-opus*", "claude-opus-5-5", "2026-01-05"),
    ("claude-opus-4", "claude-opus-5-5", "2026-06-15"),
    ("claude-opus-4-0", "claude-opus-5-5", "2026-06-15"),
    ("claude-opus-4-20250514", "claude-opus-5-5", "2026-06-15"),
)


def resolve(model: str) -> tuple[str, str | None]:
    """The model to call for a configured name, and a warning for a person where the name is retired."""
    name = model.strip()
    for pattern, replacement, date in _RETIRED:
        if fnmatchcase(name.lower(), pattern):
            when = f" (end of service {date})" if date else ""
            return (
                replacement,
                f"The model {name} is retired{when}: {replacement} is used. Put that name in the settings.",
            )
    return name, None
