"""How often history is wrong, on made-up series of known truth: part of `make calibrate`.

Writes its table into docs/accuracy.md, between the markers. Seeds are fixed. `--table` computes the limits of
loadlab/history/thresholds.py anew and prints them (some minutes).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from loadlab.analysis.percentiles import Sample
from loadlab.history import segments, step, thresholds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.calibrate_gates import Row, into_page, row, written

BEGIN = "<!-- begin history: written by make calibrate, do not edit -->"
END = "<!-- end history -->"
NOISES = ("normal", "lognormal", "AR 0.3", "t4")
SCATTERS = (0.03, 0.10)
BEFORE = 20
# effect, scatter, runs after it, wanted share
STEPS = ((0.10, 0.03, 4, 0.85), (0.10, 0.05, 10, None), (0.05, 0.03, 10, None))
GRID = 10.0 ** -np.arange(1.0, 10.0, 0.1)
SHARE = 0.025
SPIN_UP = 50


def remembering(rng: np.random.Generator, n: int, rho: float) -> Sample:
    """`n` values of variance 1, neighbours correlated by `rho`."""
    draws = rng.standard_normal(n + SPIN_UP) * math.sqrt(1 - rho * rho)
    for at in range(1, draws.size):
        draws[at] += rho * draws[at - 1]
    found: Sample = draws[SPIN_UP:]
    return found


def smallest(values: Sample) -> int:
    """How many limits of the grid, from the loosest, give this series a strong cut."""
    low, high = 0, GRID.size
    while low < high:
        middle = (low + high) // 2
        strong = any(cut.strong for cut in segments.cuts(values, float(GRID[middle])))
        low, high = (middle + 1, high) if strong else (low, middle)
    return low


def limits(trials: int) -> list[list[float]]:
    """log10 of the limit, a row per length and a column per rho."""
    return [[_limit(n, rho, trials) for rho in thresholds.RHOS] for n in thresholds.LENGTHS]


def _limit(n: int, rho: float, trials: int) -> float:
    rng = np.random.default_rng([n, round(100 * rho)])
    # 3 % is nothing beside noise of this size: here only p decides.
    found = sorted(smallest(remembering(rng, n, rho)) for _ in range(trials))
    at = found[math.ceil((1 - SHARE) * trials) - 1]
    value = round(float(np.log10(GRID[min(at, GRID.size - 1)])), 1)
    print(n, rho, value, flush=True)
    return value


def noise(kind: str, rng: np.random.Generator, n: int) -> Sample:
    """`n` logarithms of variance 1 without any change."""
    match kind:
        case "lognormal":  # skewed even as logarithms
            skewed: Sample = np.exp(rng.normal(0, 0.5, n))
            return (skewed - math.exp(0.125)) / math.sqrt((math.exp(0.25) - 1) * math.exp(0.25))
        case "AR 0.3":
            return remembering(rng, n, 0.3)
        case "t4":
            return rng.standard_t(4, n) / math.sqrt(2)
        case _:
            return rng.standard_normal(n)


def strong(logs: Sample) -> list[int]:
    """The places of the strong cuts, as history would find them."""
    return [cut.at for cut in segments.cuts(logs, thresholds.limit(logs)) if cut.strong]


def false_series(trials: int) -> Iterator[Row]:
    """Series without a change that show one all the same."""
    for scatter in SCATTERS:
        for kind in NOISES:
            rng = np.random.default_rng([15, NOISES.index(kind)])
            wrong = sum(bool(strong(scatter * noise(kind, rng, 100))) for _ in range(trials)) / trials
            setting = f"100 runs, {kind}, scatter {scatter:.0%}"
            yield row("history: series with a false step", setting, wrong, 0.0, 0.05)


def growing(trials: int) -> Iterator[Row]:
    """The same series looked at after every run from the eighth on: ever a strong cut."""
    for kind in ("normal", "AR 0.3"):
        rng, wrong = np.random.default_rng([16, NOISES.index(kind)]), 0
        for _ in range(trials):
            logs = 0.03 * noise(kind, rng, 100)
            wrong += any(strong(logs[:n]) for n in range(segments.FEWEST_RUNS, 101))
        setting = f"100 nightly looks, {kind}, scatter 3%"
        yield Row("history: a false step at any look", setting, "stated", f"{wrong / trials:.1%}", True)


def power(trials: int) -> Iterator[Row]:
    """A real step: found in time, and where it is."""
    for effect, scatter, within, wanted in STEPS:
        rng, delays, near = np.random.default_rng([17, within]), [], 0
        for _ in range(trials):
            logs = rng.normal(0, scatter, BEFORE + within)
            logs[BEFORE:] += math.log1p(effect)
            delay, at = _first_seen(logs)
            delays.append(delay)
            near += at is not None and abs(at - BEFORE) <= 1
        found = [delay for delay in delays if delay is not None]
        setting = f"+{effect:.0%}, scatter {scatter:.0%}, {BEFORE} runs before"
        share = len(found) / trials
        if wanted is None:
            yield Row(f"history: step found within {within} runs", setting, "stated", f"{share:.1%}", True)
            continue
        yield row(f"history: step found within {within} runs", setting, share, wanted, 1.0)
        yield row("history: its place, one run off at most", setting, near / max(1, len(found)), 0.80, 1.0)


def welch(trials: int) -> Iterator[Row]:
    """The same with Welch's t of any four runs, at the same limits: why a short side borrows scatter."""
    effect, scatter, within, _ = STEPS[0]
    kept, step.OWN_SCATTER = step.OWN_SCATTER, 2
    try:
        rng, found = np.random.default_rng([17, within]), 0
        for _ in range(trials):
            logs = rng.normal(0, scatter, BEFORE + within)
            logs[BEFORE:] += math.log1p(effect)
            found += _first_seen(logs)[0] is not None
    finally:
        step.OWN_SCATTER = kept
    setting = f"+{effect:.0%}, scatter {scatter:.0%}, Welch's t for short sides too"
    yield Row(f"history: step found within {within} runs", setting, "stated", f"{found / trials:.1%}", True)


def _first_seen(logs: Sample) -> tuple[int | None, int | None]:
    """After how many runs the step was first seen, and where, looking after each run."""
    for n in range(BEFORE + 1, logs.size + 1):
        if places := [at for at in strong(logs[:n]) if abs(at - BEFORE) <= segments.SIDE]:
            return n - BEFORE, places[-1]
    return None, None


def section(trials: int) -> tuple[str, bool]:
    """The section of the page, and whether every claim is kept."""
    began = time.monotonic()
    parts = (false_series(trials), growing(max(1, trials // 5)), power(trials), welch(trials))
    rows = [each for part in parts for each in part]
    print(f"{len(rows)} rows in {time.monotonic() - began:.0f} s")
    note = f"{trials:,} series each, a fifth of that for the looks; "
    return written(rows, f"{note}`python scripts/calibrate_history.py --trials {trials}`.")


def main() -> int:
    """Computes, and writes the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--trials", type=int, default=500)
    asked.add_argument("--print", action="store_true", dest="shown")
    asked.add_argument(
        "--table", action="store_true", help="the limits of loadlab/history/thresholds.py anew"
    )
    given = asked.parse_args()
    if given.table:
        print(limits(given.trials))
        return 0
    text, kept = section(given.trials)
    if given.shown:
        print(text)
    else:
        into_page(BEGIN, END, text)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
