"""Freezes what Apache Otava finds in made-up series into tests/unit/history/otava.json, for tests.

Apache Otava (Apache-2.0, https://otava.apache.org) pins numpy and scipy, so it has an environment of its own:

    python -m venv /tmp/otava && /tmp/otava/bin/pip install apache-otava==0.8.0
    /tmp/otava/bin/python scripts/otava_oracle.py

Only its outputs are kept. Its settings: windows of 50, p 0.001, changes of at least 3 %.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "tests/unit/history/otava.json"
P, LEAST, WINDOW = 0.001, 0.03, 50

# name: runs, scatter in %, steps {first run: change in %}
MADE: dict[str, tuple[int, float, dict[int, float]]] = {
    "flat 30": (30, 3, {}),
    "flat 60": (60, 2, {}),
    "flat 100": (100, 3, {}),
    "flat 200": (200, 5, {}),
    "flat noisy 100": (100, 10, {}),
    "up 10 middle": (60, 3, {30: 10}),
    "down 10 middle": (60, 3, {30: -10}),
    "up 20 middle": (40, 5, {20: 20}),
    "up 5 quiet": (60, 1, {30: 5}),
    "down 5 quiet": (80, 1, {50: -5}),
    "up 30 noisy": (60, 8, {25: 30}),
    "up 10 early": (60, 2, {10: 10}),
    "up 10 late": (60, 2, {52: 10}),
    "up 15 last four": (40, 2, {36: 15}),
    "up 20 last four": (24, 2, {20: 20}),
    "up 10 last eight": (50, 3, {42: 10}),
    "short up 20": (16, 2, {8: 20}),
    "short down 15": (20, 2, {12: -15}),
    "up and back": (90, 3, {30: 15, 60: -13}),
    "up twice": (90, 2, {30: 8, 60: 8}),
    "down twice": (120, 3, {40: -10, 80: -10}),
    "up, up, down": (150, 3, {40: 10, 80: 10, 120: -15}),
    "short visit": (80, 2, {40: 20, 48: -17}),
    "four steps": (200, 3, {40: 12, 80: -10, 120: 15, 160: -12}),
    "at a window's end": (100, 2, {50: 8}),
    "at a window's start": (100, 2, {25: 8}),
    "near a window's end": (120, 2, {74: 8}),
    "long and late": (200, 3, {190: 12}),
    "long and early": (200, 3, {12: 12}),
    "big": (50, 4, {25: 100}),
}


def series(seed: int, runs: int, scatter: float, steps: dict[int, float]) -> list[float]:
    """Values around 100 with lognormal noise and these changes."""
    logs = np.random.default_rng(seed).normal(0, scatter / 100, runs)
    for at, change in steps.items():
        logs[at:] += np.log1p(change / 100)
    return [round(float(value), 4) for value in 100 * np.exp(logs)]


def main() -> None:
    """Writes the page."""
    from otava.analysis import compute_change_points

    found = []
    for seed, (name, made) in enumerate(MADE.items()):
        values = series(seed, *made)
        points, _ = compute_change_points(list(values), WINDOW, P, LEAST)
        found.append(
            {
                "name": name,
                "true": sorted(made[2]),
                "otava": [int(point.index) for point in points],
                "values": values,
            }
        )
    about = f"found by apache-otava {version('apache-otava')} (Apache-2.0) in series made here"
    document = {
        "about": about,
        "max_pvalue": P,
        "min_magnitude": LEAST,
        "window_len": WINDOW,
        "series": found,
    }
    PAGE.write_text(json.dumps(document, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
    print(f"{len(found)} series, {sum(len(each['otava']) for each in found)} points")


if __name__ == "__main__":
    main()
