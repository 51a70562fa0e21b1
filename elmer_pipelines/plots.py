"""Small pictures of a step's outcome, drawn as SVG by hand: a few hundred bytes, no plotting library to load."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_COLOURS = {"critical": "#b22", "high": "#e72", "medium": "#db1", "low": "#6a7"}
_PLAIN = "#468"
_BARS = 20
_ROW, _LENGTH = 20, 300  # pixels
_LETTER, _LETTERS = 6, 44  # pixels a letter takes at most on average; letters shown of a label


def severities(connection: Connection, workspace_id: str) -> str | None:
    """Live signals by severity, as Markdown with the picture in it; None where there are none."""
    rows = connection.execute(
        text(
            "SELECT coalesce(edits ->> 'severity', severity, 'unclear'), count(*) FROM elmer.signals "
            "WHERE workspace_id = :w AND retired_at IS NULL AND merged_into IS NULL GROUP BY 1"
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
    """A horizontal bar chart as a Markdown image with a data address; labels are escaped and cut to fit.

    Kept terse: Dagster's UI shows Markdown of up to about 1,000 characters in place, longer behind a click.
    """
    if not bars:
        return None
    most = max(number for _, number in bars) or 1
    left = 30 + _LETTER * max(len(_caption(*bar)) for bar in bars)
    rows = "".join(_bar(place, bar, left, most) for place, bar in enumerate(bars))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + _LENGTH}" height="{_ROW * len(bars)}" '
        f'font-size="12" font-family="sans-serif" fill="{_PLAIN}">{rows}</svg>'
    )
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _caption(label: str, number: int) -> str:
    shown = label if len(label) <= _LETTERS else label[: _LETTERS - 1] + "…"
    return f"{shown} {number}"


def _bar(place: int, bar: tuple[str, int], left: int, most: int) -> str:
    top = _ROW * place
    length = max(1, round(_LENGTH * bar[1] / most))
    colour = f' fill="{_COLOURS[bar[0]]}"' if bar[0] in _COLOURS else ""
    text = f'<text y="{top + 14}">{escape(_caption(*bar), quote=False)}</text>'
    return text + f'<path d="M{left} {top + 3}h{length}v14h-{length}"{colour}/>'
