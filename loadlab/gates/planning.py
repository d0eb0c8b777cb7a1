"""How many pairs of how many requests find a regression of a wanted size, and what that costs.

The power of the paired test by the noncentral t distribution; the scatter of a pair from a pilot run and from
how much runs differ. In scope: arithmetic. Out of scope: measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.distributions import NORMAL, student_quantile
from loadlab.analysis.multiple import ALPHA

POWER = 0.90
RUN_SD = 0.015
START_S = 4.0
_PAIRS = (4, 5, 6, 7, 8, 10, 12, 16, 20)
_MOST_REQUESTS = 1_000_000
_GRID = np.linspace(1e-4, 5.0, 1500)


@dataclass(frozen=True, slots=True)
class Pilot:
    """One measured run: for each measure the standard error of its logarithm, and what the run took."""

    errors: dict[str, float]
    requests: int
    seconds: float
    usd: float | None
    warmup_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Pairs of runs of so many requests; the smallest regression found, by measure; minutes and dollars."""

    pairs: int
    requests: int
    finds: dict[str, float]
    minutes: float
    usd: float | None


def power(shift: float, critical: float, freedom: int) -> float:
    """P(T > critical) of Student's t moved by `shift`, by summing over the estimated standard deviation."""
    log = (
        math.log(2) + freedom / 2 * math.log(freedom / 2) - math.lgamma(freedom / 2)
        + (freedom - 1) * np.log(_GRID) - freedom / 2 * _GRID**2
    )  # fmt: skip
    beyond = np.array([NORMAL.cdf(shift - critical * u) for u in _GRID])
    return float(np.sum(np.exp(log) * beyond) * (_GRID[1] - _GRID[0]))


def smallest(pairs: int, sd: float, primaries: int, tolerance: float, alpha: float = ALPHA) -> float:
    """The smallest regression (0.08 is 8 %) that fails with `POWER`, for pairs whose logs scatter by sd."""
    critical = student_quantile(1 - alpha / primaries, pairs - 1)
    low, high = 0.0, critical + 20.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, critical, pairs - 1) >= POWER else (middle, high)
    return (1 + tolerance) * math.exp(high * sd / math.sqrt(pairs)) - 1


def pair_sd(error: float, run_sd: float) -> float:
    """The scatter of a pair's log ratio from the error inside a run and the scatter between runs."""
    return math.sqrt(2 * (error**2 + run_sd**2))


def plan(
    pilot: Pilot, wanted: float, run_sds: dict[str, float], tolerance: float, alpha: float = ALPHA
) -> Plan | None:
    """The quickest plan that finds `wanted` in every measure of the pilot; None where none does."""
    fits = [
        found
        for pairs in _PAIRS
        if (found := _with(pairs, pilot, wanted, run_sds, tolerance, alpha)) is not None
    ]
    return min(fits, key=lambda each: each.minutes, default=None)


def _with(
    pairs: int, pilot: Pilot, wanted: float, run_sds: dict[str, float], tolerance: float, alpha: float
) -> Plan | None:
    """So many pairs, of as few requests as do."""
    sds = {name: smallest_sd(pairs, wanted, len(pilot.errors), tolerance, alpha) for name in pilot.errors}
    needed = [_requests(pilot, name, sd, run_sds.get(name, RUN_SD)) for name, sd in sds.items()]
    if any(n is None for n in needed):
        return None
    n = max(100, *(each for each in needed if each is not None))
    return described(pairs, n, pilot, run_sds, tolerance, alpha)


def smallest_sd(pairs: int, wanted: float, primaries: int, tolerance: float, alpha: float) -> float:
    """The scatter of pairs at which `wanted` is just found: `smallest` is log-linear in it."""
    per_sd = math.log((1 + smallest(pairs, 1.0, primaries, tolerance, alpha)) / (1 + tolerance))
    return max(0.0, math.log((1 + wanted) / (1 + tolerance)) / per_sd)


def _requests(pilot: Pilot, name: str, sd: float, run_sd: float) -> int | None:
    """How many requests bring the error inside a run down to what is left beside the scatter of runs."""
    left = sd**2 / 2 - run_sd**2
    if left <= 0:
        return None
    n = math.ceil(pilot.requests * pilot.errors[name] ** 2 / left)
    return n if n <= _MOST_REQUESTS else None


def described(
    pairs: int, requests: int, pilot: Pilot, run_sds: dict[str, float], tolerance: float, alpha: float = ALPHA
) -> Plan:
    """What a plan finds and costs."""
    scale = requests / pilot.requests
    finds = {
        name: smallest(
            pairs, pair_sd(error / math.sqrt(scale), run_sds.get(name, RUN_SD)), len(pilot.errors), tolerance,
            alpha,
        )
        for name, error in pilot.errors.items()
    }  # fmt: skip
    seconds = 2 * pairs * (pilot.seconds * scale + pilot.warmup_s + START_S)
    return Plan(
        pairs, requests, finds, seconds / 60, None if pilot.usd is None else 2 * pairs * scale * pilot.usd
    )


def order(pairs: int) -> Sequence[str]:
    """Base and candidate in turn, turned round with every pair: ABBA, so that a drift meets both."""
    return [
        side for pair in range(pairs) for side in (("base", "candidate"), ("candidate", "base"))[pair % 2]
    ]
