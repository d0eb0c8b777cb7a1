"""How often a search's interval holds the true limit, and a stop is wrong, on queues of known truth.

Writes its table into docs/accuracy.md, between the markers. Seeds are fixed. `--trials N` for a quick look;
`--print` leaves the page alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from loadlab.sweeps.simulation import CASES, Case, search, stopped

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.calibrate_gates import into_page

BEGIN = "<!-- begin sweeps: written by scripts/calibrate_sweeps.py, do not edit -->"
END = "<!-- end sweeps -->"
LENGTHS_S = (30.0, 60.0)


def searches(case: Case, trials: int) -> Iterator[str]:
    """Whole searches on one server, with levels of either length."""
    truth = case.server.truth(case.p, case.limit_s, case.first_s)
    for length_s in LENGTHS_S:
        rng = np.random.default_rng(11)
        found = [each for each in (search(rng, case, length_s) for _ in range(trials)) if each.load]
        inside = np.mean([(each.low or 0) <= truth <= (each.high or 0) for each in found])
        apart = [abs((each.load or 0) / truth - 1) for each in found]
        wide = [((each.high or 0) - (each.low or 0)) / (each.load or 1) for each in found]
        yield (
            f"| {case.name} | {truth:.3g}/s, {truth / case.server.capacity:.0%} of capacity | "
            f"{length_s:.0f} s | {inside:.1%} of {len(found)} | "
            f"{np.median(apart):.1%} / {np.quantile(apart, 0.9):.1%} | "
            f"± {np.median(wide) / 2:.1%} |"
        )


def stops(case: Case, trials: int) -> Iterator[str]:
    """Levels of 60 s below and above what the server can do."""
    for share in (0.7, 0.9, 0.95, 1.05, 1.2, 1.5, 2.0):
        rng = np.random.default_rng(12)
        rate = share * case.server.capacity
        at = [stopped(rng, case.server, rate, 60.0) for _ in range(trials)]
        ended = [each for each in at if each is not None]
        when = f"{np.median(ended):.0f} s" if ended else "–"
        name = case.name.partition(",")[0]
        yield f"| {name} | {share:.0%} | {len(ended) / trials:.1%} of {trials} | {when} |"


def section(trials: int) -> str:
    """The tables of the page."""
    lines = [
        "| server, SLO on TTFT | true limit | levels of | interval (95 %) holds it "
        "| error of the answer, p50 / p90 | interval |",
        "|---|---|---|---|---|---|",
        *(line for case in CASES for line in searches(case, trials)),
        "",
        "| server | load, of capacity | level of 60 s ended as over capacity | at (median) |",
        "|---|---|---|---|",
        *(line for case in CASES[:3] for line in stops(case, trials)),
        "",
        f"{trials} trials each; `python scripts/calibrate_sweeps.py --trials {trials}`.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Computes, and writes the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--trials", type=int, default=200)
    asked.add_argument("--print", action="store_true", dest="shown")
    given, began = asked.parse_args(), time.monotonic()
    found = section(given.trials)
    if given.shown:
        print(found)
    else:
        into_page(BEGIN, END, found)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
