"""How often intervals, rules and gates are wrong, on made-up servers of known truth: `make calibrate`.

Writes its table into docs/accuracy.md, between the markers. Seeds are fixed: the same machine or another, the
same table. `--trials N` for a quick look; `--print` leaves the page alone.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from loadlab.analysis import early_stopping, warmup
from loadlab.analysis.intervals import quantile_interval
from loadlab.gates.simulation import NOISES, RHO, SIGMA, alike, rates

PAGE = Path(__file__).resolve().parents[1] / "docs/accuracy.md"
BEGIN = "<!-- begin gates: written by make calibrate, do not edit -->"
END = "<!-- end gates -->"
NIGHTLY = (0.99, 0.99, 0.50)
PULL_REQUEST = (0.95, 0.50, 0.50)


class Row(NamedTuple):
    """One line of the table."""

    claim: str
    setting: str
    wanted: str
    found: str
    kept: bool


def coverage(p: float, n: int, trials: int, *, rho: float = 0.0, shuffled: bool = False) -> float:
    """How often the interval of a p-quantile holds the true one."""
    rng, true, hits = np.random.default_rng(n), math.exp(SIGMA * NormalDist().inv_cdf(p)), 0
    for _ in range(trials):
        draws = rng.standard_normal(n)
        values = np.exp(SIGMA * (alike(draws, rho) if rho else draws))
        if shuffled:
            rng.shuffle(values)
        found = quantile_interval(values, p)
        hits += found.low is not None and found.high is not None and found.low <= true <= found.high
    return hits / trials


def coverages(trials: int) -> Iterator[Row]:
    """Intervals of one run."""
    for n in (1000, 5000):
        for p in (0.50, 0.95, 0.99):
            found = coverage(p, n, trials)
            # Where few values lie beyond the quantile, whole ranks make the interval wider than asked for.
            most = 0.99 if (p, n) == (0.99, 1000) else 0.98
            yield row("interval holds the truth", f"p{100 * p:g}, n = {n:,}, free", found, 0.93, most)
    for p in (0.50, 0.95, 0.99):
        found = coverage(p, 2000, trials, rho=RHO)
        setting = f"p{100 * p:g}, n = 2,000, neighbours alike (AR 0.5)"
        yield row("interval holds the truth", setting, found, 0.92, 0.98)
    found = coverage(0.50, 2000, trials, rho=RHO, shuffled=True)
    yield row("the same, order ignored", "p50, n = 2,000, neighbours alike (AR 0.5)", found, 0.0, 0.87)


def early(_: int) -> Iterator[Row]:
    """The table of LoadGen's rule."""
    for p, wanted in ((0.99, [459, 662, 1307, 2010]), (0.90, [44, 64, 127, 197])):
        found = [early_stopping.fewest(over, p, early_stopping.LOADGEN) for over in (0, 1, 5, 10)]
        yield Row("early stopping, fewest n", f"p{100 * p:g}; 0, 1, 5, 10 over", _list(wanted), _list(found),
                  found == wanted)  # fmt: skip


def gates(trials: int) -> Iterator[Row]:
    """Whole gates of three metrics."""
    for noise in NOISES:
        found = rates(noise, regression=0.0, trials=trials, pairs=8, requests=1000, seed=1)
        setting = f"same server, 8 pairs × 1,000, {noise}"
        yield row("gate fails", setting, found["FAIL"], 0.0, 0.05)
        yield row("gate is inconclusive", setting, found["INCONCLUSIVE"], 0.0, 0.05)
    found = rates("iid", regression=0.03, trials=trials, pairs=6, requests=1000, seed=2)
    yield row("gate fails", "+3 % in p50, p95, p50, 6 pairs × 1,000", found["FAIL"], 0.0, 0.05)
    for noise, pairs, requests, quantiles in (
        ("iid", 6, 1000, PULL_REQUEST),
        ("autocorrelated", 8, 4000, NIGHTLY),
    ):
        found = rates(
            noise, regression=0.10, trials=trials, pairs=pairs, requests=requests, seed=3,
            quantiles=quantiles, regressed=1,
        )  # fmt: skip
        setting = f"+10 % in p{100 * quantiles[0]:g} alone, {pairs} pairs × {requests:,}, {noise}"
        yield row("gate fails", setting, found["FAIL"], 0.90, 1.0)


def warm(trials: int) -> Iterator[Row]:
    """The warm-up check."""
    rng = np.random.default_rng(4)
    flat = [warmup.settling("ttft_ms", np.exp(rng.normal(4, SIGMA, 600))) for _ in range(trials)]
    wrong = sum(found is not None and found.course != "flat" for found in flat) / trials
    yield row("warm-up seen where there is none", "600 answers, lognormal", wrong, 0.0, 0.05)
    at, cuts = np.arange(2000.0), []
    for _ in range(trials):
        found = warmup.settling("ttft_ms", 100 + 30 * np.exp(-at / 150) + rng.normal(0, 3, at.size))
        cuts.append(found.cut * at.size / 450 if found else 0.0)
    middle = float(np.median(cuts))
    kept = abs(middle - 1) <= 0.2
    yield Row("MSER-5's cut / 3 time constants", "exponential transient, 2,000 answers", "0.8 … 1.2",
              f"{middle:.2f}", kept)  # fmt: skip


def row(claim: str, setting: str, found: float, low: float, high: float) -> Row:
    wanted = f"≤ {high:.0%}" if low == 0 else f"≥ {low:.0%}" if high == 1 else f"{low:.0%} … {high:.0%}"
    return Row(claim, setting, wanted, f"{found:.1%}", low <= found <= high)


def _list(values: list[int]) -> str:
    return ", ".join(f"{value:,}" for value in values)


PARTS: tuple[Callable[[int], Iterator[Row]], ...] = (coverages, early, gates, warm)


def table(trials: int) -> tuple[str, bool]:
    """The section of the page, and whether every claim is kept."""
    began = time.monotonic()
    rows = [each for part in PARTS for each in part(trials)]
    print(f"{len(rows)} rows in {time.monotonic() - began:.0f} s")
    return written(rows, f"{trials:,} trials each; `python scripts/calibrate_gates.py --trials {trials}`.")


def written(rows: list[Row], note: str) -> tuple[str, bool]:
    """Rows as a Markdown table with a note under it, and whether every claim is kept."""
    lines = ["| claim | setting | wanted | found | |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.claim} | {each.setting} | {each.wanted} | {each.found} | {'✓' if each.kept else '✗'} |"
        for each in rows
    ]
    return "\n".join([*lines, "", note]), all(each.kept for each in rows)


def into_page(begin: str, end: str, section: str) -> None:
    """Puts a section between its markers in docs/accuracy.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin)
    PAGE.write_text(f"{before}{begin}\n\n{section}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main() -> int:
    """Computes, and writes the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--trials", type=int, default=2000)
    asked.add_argument("--print", action="store_true", dest="shown")
    given = asked.parse_args()
    section, kept = table(given.trials)
    if given.shown:
        print(section)
    else:
        into_page(BEGIN, END, section)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
