"""How often vendor tiers are wrong, and what they find, on made-up vendors: `make calibrate`.

Writes its table into docs/accuracy.md, between the markers. Seeds are fixed. `--trials N` for a quick look.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from loadlab.analysis.blocks import quantiles
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.tiers import gap_found, pairs, tiers, typical

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.calibrate_gates import into_page

BEGIN = "<!-- begin vendors: written by make calibrate, do not edit -->"
END = "<!-- end vendors -->"
VENDORS, PROMPTS, SIGMA, SLOT_NOISE = 6, 10, 0.4, 0.05


class Row(NamedTuple):
    """One line of the table."""

    claim: str
    setting: str
    wanted: str
    found: str


def made(rng: np.random.Generator, slots: int, slower: float, outliers: float = 0.0) -> dict[str, Sample]:
    """Logarithms of latencies, (slots, prompts) per vendor; the last vendor is slower by that share.

    The hour is shared by all; each vendor has a slot's noise of its own. `outliers`: the share of requests
    that take ten times as long.
    """
    hour = rng.normal(0, 0.2, (slots, 1))
    found = {}
    for at in range(VENDORS):
        own = rng.normal(0, SLOT_NOISE, (slots, 1))
        logs = hour + own + rng.normal(0, SIGMA, (slots, PROMPTS))
        logs += math.log(10) * (rng.random(logs.shape) < outliers)
        found[f"v{at}"] = logs + (math.log1p(slower) if at == VENDORS - 1 else 0.0)
    return found


def trial(rng: np.random.Generator, slots: int, slower: float, outliers: float) -> tuple[bool, bool]:
    """Whether any alike vendors were told apart, and whether the slower one stands in the last tier alone."""
    logs = {name: typical(values) for name, values in made(rng, slots, slower, outliers).items()}
    told = pairs(logs)
    last = f"v{VENDORS - 1}"
    alike = [pair for pair in told if not slower or last not in (pair.a, pair.b)]
    ranked = tiers({name: float(values.mean()) for name, values in logs.items()}, told, higher=False)
    return any(pair.apart for pair in alike), ranked[-1] == [last] and len(ranked) > 1


def rates(trials: int, slots: int, slower: float, outliers: float = 0.0) -> tuple[float, float]:
    """How often each of `trial`."""
    rng = np.random.default_rng(slots * 1000 + round(100 * slower) + round(10_000 * outliers))
    found = np.array([trial(rng, slots, slower, outliers) for _ in range(trials)])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def coverage(trials: int, p: float, slots: int) -> float:
    """How often the block interval of a vendor's quantile holds the true one."""
    rng, hits = np.random.default_rng(slots), 0
    # Slots differ: the quantile of all requests is that of the sum of both scatters.
    spread = math.hypot(SIGMA, 0.2)
    true = math.exp(spread * NormalDist().inv_cdf(p))
    for _ in range(trials):
        values = np.exp(rng.normal(0, 0.2, (slots, 1)) + rng.normal(0, SIGMA, (slots, PROMPTS)))
        (found,) = quantiles(list(values), [p], draws=500)
        hits += found.low is not None and found.high is not None and found.low <= true <= found.high
    return hits / trials


def table(trials: int) -> Iterator[Row]:
    """Every line, in the order of the page."""
    for slots, outliers in ((56, 0.0), (56, 0.02), (8, 0.0)):
        wrong, _ = rates(5 * trials, slots, 0.0, outliers)
        setting = f"6 alike, {slots * PROMPTS} requests each" + (
            f", {outliers:.0%} take ten times as long" if outliers else ""
        )
        yield Row("any two told apart, wrongly", setting, "≤ 5 %", f"{wrong:.1%}")
    for slots, slower, outliers, wanted in (
        (56, 0.15, 0.0, "≥ 90 %"), (56, 0.15, 0.02, "≥ 90 %"), (28, 0.15, 0.0, "–"), (56, 0.10, 0.0, "–"),
    ):  # fmt: skip
        wrong, found = rates(trials, slots, slower, outliers)
        setting = f"one of 6 {slower:.0%} slower, {slots * PROMPTS} requests each"
        setting += f", {outliers:.0%} take ten times as long" if outliers else ""
        yield Row("the slower one in a tier below all five", setting, wanted, f"{found:.1%}")
        yield Row("any of the five told apart, wrongly", setting, "≤ 5 %", f"{wrong:.1%}")
    gap = gap_found(SIGMA, SLOT_NOISE, PROMPTS, 56, VENDORS)
    yield Row(
        "gap that the plan says is told apart",
        "6 vendors, 560 requests each, power 90 %",
        "–",
        f"{gap or 0:.1%}",
    )
    for p in (0.5, 0.95):
        held = coverage(trials, p, 56)
        yield Row("block interval holds the truth", f"p{100 * p:g}, 56 slots of 10", "92–98 %", f"{held:.1%}")


def page(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| claim | setting | wanted | found |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Writes or prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--print", action="store_true", dest="only_print")
    given = parser.parse_args()
    text = page(list(table(given.trials)))
    print(text)
    if not given.only_print:
        into_page(BEGIN, END, text)


if __name__ == "__main__":
    main()
