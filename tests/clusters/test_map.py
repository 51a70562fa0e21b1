"""The map is the same for the same signals, keeps like themes together, and writes names that are data."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from story import FixedEmbedder, Story

from elmer_pipelines.cluster_map import SIGNALS, cluster_map, drawn
from elmer_pipelines.clusters.map import Map, lay_out
from elmer_pipelines.store.database import Database


def world(seed: int = 1, groups: int = 6, each: int = 30, width: int = 24) -> tuple[np.ndarray, list[int]]:
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(groups, width))
    centres[1] = centres[0] + 0.3 * chance.normal(size=width)  # two that are alike
    labels = [label for label in range(groups) for _ in range(each)]
    vectors = centres[labels] + 0.3 * chance.normal(size=(len(labels), width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def test_signals_lie_around_their_theme_and_like_themes_together() -> None:
    vectors, labels = world()
    found = lay_out(vectors, labels, [True] * len(labels))
    assert found.points.min() >= 0 and found.points.max() <= 1
    off = np.linalg.norm(found.points[:, None] - found.centres[None], axis=2)
    assert (off.argmin(axis=1) == labels).mean() > 0.9
    distance = np.linalg.norm(found.centres[:, None] - found.centres[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance[0].argmin(), distance[1].argmin()) == (1, 0)


def test_the_same_signals_give_the_same_map() -> None:
    vectors, labels = world()
    inside = [True] * len(labels)
    assert drawn(lay_out(vectors, labels, inside), labels, inside, ["a"] * 6) == drawn(
        lay_out(vectors.copy(), labels, inside), labels, inside, ["a"] * 6
    )


@pytest.mark.parametrize(
    ("vectors", "labels", "inside"),
    [
        (np.empty((0, 4)), [], []),
        (np.eye(4)[:1], [0], [True]),
        (np.tile(np.eye(4)[:1], (5, 1)), [0] * 5, [True] * 5),
        (np.eye(4)[:2], [0, 1], [True, True]),
        (np.tile(np.eye(4)[:1], (4, 1)), [0, 0, 1, 1], [True, True, False, False]),
        (np.ones((3, 1)), [0, 0, 1], [True] * 3),
    ],
    ids=["none", "one", "identical", "two", "no members", "one dimension"],
)
def test_little_makes_a_map_too(vectors: np.ndarray, labels: list[int], inside: list[bool]) -> None:
    found = lay_out(vectors.astype(np.float32), labels, inside)
    assert np.isfinite(found.points).all() and np.isfinite(found.centres).all()
    assert found.points.shape == (len(labels), 2)
    drawn(found, labels, inside, ["x"] * len(found.centres))


def test_names_are_escaped_and_do_not_overlap() -> None:
    found = Map(np.full((8, 2), 0.5), np.full((8, 2), 0.5))
    svg = drawn(found, list(range(8)), [True] * 8, ["<script>alert(1)</script>", *["name"] * 7])
    assert "<script>" not in svg and "&lt;script&gt;" in svg
    heights = [int(part.split('"')[0]) for part in svg.split(' y="')[1:]]
    assert len(heights) == len(set(heights)) == 7, "seven fit around one place, the eighth is left out"


def test_the_picture_is_small_whatever_the_workspace(database: Database) -> None:
    story, embedder = Story(database), FixedEmbedder()
    with database.begin() as connection:
        assert cluster_map(connection, story.workspace_id, embedder.model) is None
    for number in range(12):
        vector = np.random.default_rng(number).normal(size=4)
        signals = [story.signal(f"Words {number} {one}", vector=vector / np.linalg.norm(vector)) for one in range(4)]
        story.cluster(f"Theme number {number}", signals)
    with database.begin() as connection:
        picture = cluster_map(connection, story.workspace_id, embedder.model)
    assert picture is not None
    svg = base64.b64decode(picture.split("base64,")[1].rstrip(")")).decode()
    assert svg.count("h0") == 48 and "Theme number 3" in svg
    largest = len(svg) + (SIGNALS - 48) * len("M759 479h0")
    assert largest * 4 / 3 < 20_000
