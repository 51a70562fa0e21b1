"""The map of a workspace's themes as a picture: a sample of its signals, coloured by theme, the largest named.

SVG by hand like `plots.py`: small enough for an event, and no plotting library to load. Where things lie is worked out
in `clusters/map.py`.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from html import escape
from typing import TYPE_CHECKING

from elmer_pipelines.clusters.map import Map, lay_out
from elmer_pipelines.store import clusters, embeddings, themes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

SIGNALS = 600
NAMED = 14
_WIDTH, _HEIGHT, _EDGE = 760, 480, 26
_LETTER, _LINE, _LETTERS = 6.4, 14, 30
_COLOURS = (
    "#4269d0", "#e07b39", "#3a9e6e", "#c9404d", "#8a63c9", "#9c6b4e",
    "#d3679f", "#5f8f2c", "#2a9db0", "#b58900", "#6c7a89", "#1f4e79",
)  # fmt: skip
_PALE, _STRAY = "#b9c3cf", "#dfe3e8"


def cluster_map(connection: Connection, workspace_id: str, model: str) -> str | None:
    """The map as Markdown with the picture in it, about 10 KB; None without themes. `model` is the embedding model."""
    svg = picture(connection, workspace_id, model)
    if svg is None:
        return None
    return f"![Map of the themes](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def picture(connection: Connection, workspace_id: str, model: str) -> str | None:
    """The map as SVG; None without themes."""
    placed = themes.sample(connection, workspace_id, SIGNALS)
    order, vectors = embeddings.load(connection, workspace_id, model, [one.text_hash for one in placed])
    row = {text_hash: number for number, text_hash in enumerate(order)}
    having = [one for one in placed if one.text_hash in row]
    if not having:
        return None
    names = {one["id"]: one["theme"] or one["id"] for one in clusters.live(connection, workspace_id)}
    shown = {one.cluster_id for one in having}
    ids = [one for one in names if one in shown]  # the largest first
    number = {one: place for place, one in enumerate(ids)}
    having = [one for one in having if one.cluster_id in number]
    if not having:
        return None
    labels = [number[one.cluster_id] for one in having]
    inside = [one.inside for one in having]
    found = lay_out(vectors[[row[one.text_hash] for one in having]], labels, inside)
    return drawn(found, labels, inside, [names[one] for one in ids])


def drawn(found: Map, labels: Sequence[int], inside: Sequence[bool], names: Sequence[str]) -> str:
    """The map as SVG; the first of the `names` are written, escaped and cut to fit, where they don't overlap."""
    clouds: dict[str, list[str]] = defaultdict(list)
    for (x, y), label, within in zip(found.points.tolist(), labels, inside, strict=True):
        colour = (_COLOURS[label] if label < len(_COLOURS) else _PALE) if within else _STRAY
        clouds[colour].append(f"M{_across(x)} {_down(y)}h0")
    order = [_STRAY, _PALE, *_COLOURS]
    paths = "".join(f'<path stroke="{one}" d="{"".join(clouds[one])}"/>' for one in order if one in clouds)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-size="12" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>'
        f'<g stroke-width="6" stroke-linecap="round" opacity=".75">{paths}</g>'
        f'<g text-anchor="middle" fill="#222" stroke="#fff" stroke-width="3" paint-order="stroke">'
        f"{_labels(found, names)}</g></svg>"
    )


def _labels(found: Map, names: Sequence[str]) -> str:
    """Each name at its centre, or as near as it finds room above or below; one that finds none is left out."""
    taken: list[tuple[float, float, float]] = []
    texts = []
    for (x, y), name in zip(found.centres.tolist()[:NAMED], names, strict=False):
        shown = name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
        half = len(shown) * _LETTER / 2
        across = min(max(float(_across(x)), half + 2), _WIDTH - half - 2)
        for lines in (0, -1, 1, -2, 2, -3, 3):
            down = _down(y) + 4 + lines * _LINE
            room = all(abs(across - ax) > half + ah or abs(down - ay) >= _LINE for ax, ay, ah in taken)
            if room and _LINE <= down <= _HEIGHT - 4:
                taken.append((across, down, half))
                texts.append(f'<text x="{across:.0f}" y="{down}">{escape(shown, quote=False)}</text>')
                break
    return "".join(texts)


def _across(x: float) -> int:
    return round(_EDGE + x * (_WIDTH - 2 * _EDGE))


def _down(y: float) -> int:
    return round(_EDGE + y * (_HEIGHT - 2 * _EDGE))
