"""Small pictures of a step's outcome, drawn as SVG by hand: a few hundred bytes, no plotting library to load."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_COLOURS = {"critical": "#b3261e", "high": "#e07a1f", "medium": "#d8b11c", "low": "#6b9e78"}
_PLAIN = "#4a6fa5"
_BARS = 20
_ROW, _LABEL, _WIDTH = 22, 250, 640


def severities(connection: Connection, workspace_id: str) -> str | None:
    """Live signals by severity, as Markdown with the picture in it; None where there are none."""
    rows = connection.execute(
        text(
            "SELECT coalesce(edits ->> 'severity', severity, 'unclear'), count(*) FROM elmer.signals "
            "WHERE workspace_id = :w AND retired_at IS NULL GROUP BY 1"
        ),
        {"w": workspace_id},
    )
    found = {str(name): int(number) for name, number in rows}
    bars = [(name, found[name]) for name in (*_COLOURS, "unclear") if name in found]
    return picture("Signals by severity", bars)


def cluster_sizes(connection: Connection, workspace_id: str) -> str | None:
    """The largest clusters by number of signals, as Markdown with the picture in it; None where there are none."""
    rows = connection.execute(
        text(
            "SELECT coalesce(human_theme, theme, id), size FROM elmer.clusters "
            "WHERE workspace_id = :w AND ended_at IS NULL ORDER BY size DESC, id LIMIT :most"
        ),
        {"w": workspace_id, "most": _BARS},
    )
    return picture("Signals per cluster", [(str(name), int(size)) for name, size in rows])


def picture(title: str, bars: Sequence[tuple[str, int]]) -> str | None:
    """A horizontal bar chart as a Markdown image with a data address; labels are escaped and cut to fit."""
    if not bars:
        return None
    most = max(number for _, number in bars) or 1
    height = _ROW * (len(bars) + 1) + 8
    rows = "".join(_bar(place, label, number, most) for place, (label, number) in enumerate(bars))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="8" y="16" font-weight="bold" fill="#333">{escape(title)}</text>{rows}</svg>'
    )
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _bar(place: int, label: str, number: int, most: int) -> str:
    top = _ROW * (place + 1) + 4
    length = max(1, round((_WIDTH - _LABEL - 60) * number / most))
    shown = label if len(label) <= 38 else label[:37] + "…"
    return (
        f'<text x="{_LABEL - 8}" y="{top + 13}" text-anchor="end" fill="#333">{escape(shown)}</text>'
        f'<rect x="{_LABEL}" y="{top}" width="{length}" height="{_ROW - 6}" fill="{_COLOURS.get(label, _PLAIN)}"/>'
        f'<text x="{_LABEL + length + 6}" y="{top + 13}" fill="#333">{number}</text>'
    )
