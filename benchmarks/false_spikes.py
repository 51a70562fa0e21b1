"""Prints in how many simulated workspaces a spike is told within twelve weeks, by how often and how strictly one looks.

    python benchmarks/false_spikes.py [--workspaces 48] [--processes 2]

In the first three nothing changes, so every spike told is false; in the last a theme triples when looking begins, and
what counts is in how many workspaces that is told. The figures behind `docs/decisions/0010`. No database, no network.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import Pool
from typing import TYPE_CHECKING

import numpy as np

from elmer_pipelines.clusters.trends import FALSE_DISCOVERY_RATE, RECENT_WEEKS, SPIKE_RATE, Heard, cluster_trends

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
PAST, LOOKED = 20, 12  # weeks before the first look, weeks of looking
RULES = {
    "every night, 10 %": (1, FALSE_DISCOVERY_RATE),
    "every night, 2.5 %": (1, SPIKE_RATE),
    "every week, 10 %": (7, FALSE_DISCOVERY_RATE),
    "every week, 2.5 %": (7, SPIKE_RATE),
}


@dataclass(frozen=True)
class Kind:
    """Documents a week, themes, whether half of the documents dwell on two themes, whether one theme triples."""

    per_week: int
    themes: int
    dwelling: bool
    tripled: bool = False

    def __str__(self) -> str:
        what = "half of them with 5 to 40 signals on two themes" if self.dwelling else "of one signal"
        return f"{self.per_week} documents a week {what}, {self.themes} themes{', one triples' * self.tripled}"


KINDS = (Kind(12, 25, False), Kind(12, 25, True), Kind(5, 15, True), Kind(20, 25, False, tripled=True))


def documents(chance: np.random.Generator, kind: Kind) -> list[Heard]:
    """Every signal, in the order they were said."""
    before = chance.dirichlet(np.ones(kind.themes))
    after = before
    if kind.tripled:
        before = np.append(0.05, 0.95 * chance.dirichlet(np.ones(kind.themes - 1)))
        after = np.append(0.15, before[1:] * 0.85 / 0.95)
    said = []
    for number in range(kind.per_week * (PAST + LOOKED)):
        weeks = float(chance.uniform(0, PAST + LOOKED))
        share = after if weeks >= PAST else before
        themes = chance.choice(kind.themes, 1, p=share)
        if kind.dwelling and chance.random() < 0.5:
            length, two = int(chance.integers(5, 40)), chance.choice(kind.themes, 2, p=share)
            dwells = chance.random(length) < 0.8
            themes = np.where(dwells, chance.choice(two, length), chance.choice(kind.themes, length, p=share))
        at = START + timedelta(weeks=weeks)
        said += [Heard(f"D-{number}", at, (f"C-{theme}",)) for theme in themes]
    return sorted(said, key=lambda one: one.at)


def looks(said: list[Heard], kind: Kind) -> Iterator[tuple[int, dict[str, float]]]:
    """Of every night: its number, and of the themes heard more than expected the q-value."""
    for night in range(7 * LOOKED + 1):
        until = START + timedelta(weeks=PAST, days=night) - timedelta(seconds=1)
        found = cluster_trends(said, [f"C-{number}" for number in range(kind.themes)], until=until)
        sums = {one: trend.arithmetic for one, trend in found.items()}
        yield (
            night,
            {
                one: sum.q_value
                for one, sum in sums.items()
                if sum.q_value is not None and sum.expected is not None and sum.recent > sum.expected
            },
        )


def told(kind: Kind, seed: int) -> list[int]:
    """By rule, how many spikes are told: of a theme once for as long as the same weeks count as recent."""
    found = dict(looks(documents(np.random.default_rng(seed), kind), kind))
    numbers = []
    for every, rate in RULES.values():
        last: dict[str, int] = {}
        spikes = 0
        for night in range(every, 7 * LOOKED + 1, every):
            for theme, q_value in found[night].items():
                if kind.tripled and theme != "C-0":
                    continue
                if q_value <= rate and night - last.get(theme, -1_000) >= 7 * RECENT_WEEKS:
                    last[theme] = night
                    spikes += 1
        numbers.append(spikes)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspaces", type=int, default=48)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with Pool(options.processes) as pool:
        for kind in KINDS:
            numbers = np.array(pool.map(partial(told, kind), range(options.workspaces)))
            print(f"\n{kind}: {options.workspaces} workspaces", flush=True)
            for rule, column in zip(RULES, numbers.T, strict=True):
                print(f"  {rule:<20} told in {(column > 0).mean():>4.0%}, {column.mean():.2f} a workspace", flush=True)


if __name__ == "__main__":
    main()
