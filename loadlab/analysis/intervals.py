"""How far off one run's number may be: intervals of a percentile, of a mean and of a share.

Requests that come one after the other resemble each other: `deff` says how many of them count as one. In
scope: the values of one run in the order they were planned. Out of scope: the scatter between runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.distributions import NORMAL, binomial_at_most
from loadlab.analysis.percentiles import Sample, percentile

CONFIDENCE = 0.95
BATCHES = 20
_ORDER_SEEN = 5 * BATCHES  # below it batches of fewer than five say nothing about neighbours


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its bounds; a bound that `n` values cannot give is None, and `why` says so.

    `n_eff` is `n` less what neighbours have in common.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_eff: int
    why: str = ""

    @property
    def log_error(self) -> float | None:
        """The standard error of the value's logarithm, from the width; None without both bounds above 0."""
        if not self.low or not self.high or self.low <= 0:
            return None
        return math.log(self.high / self.low) / (2 * NORMAL.inv_cdf((1 + CONFIDENCE) / 2))


def known(values: Sample) -> Sample:
    """The values that are numbers, in the same order."""
    return values[np.isfinite(values)]


def design_effect(values: Sample) -> float:
    """How many neighbours count as one, at least 1: the variance of batch means over that of free draws."""
    n = values.size
    spread = float(values.var()) if n else 0.0
    if n < _ORDER_SEEN or spread == 0.0:
        return 1.0
    size = min(math.ceil(math.sqrt(n)), n // BATCHES)
    means = values[: n // size * size].reshape(-1, size).mean(axis=1)
    return max(1.0, size * float(means.var(ddof=1)) / spread)


def effective(values: Sample) -> int:
    """How many free draws the values are worth."""
    return max(1, math.floor(values.size / design_effect(values))) if values.size else 0


def ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """The ranks (1-based) between which the p-quantile lies; 0 or n + 1 is a bound that cannot be had."""
    tail = (1 - confidence) / 2
    low = _first(lambda k: binomial_at_most(k, n, p) > tail, n)
    high = _first(lambda k: 1 - binomial_at_most(k, n, p) <= tail, n) + 1
    return low, high


def _first(holds: Callable[[int], bool], n: int) -> int:
    """The smallest k of 0 … n for which it holds; it holds from there on."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def fewest(p: float, confidence: float = CONFIDENCE) -> int:
    """How many free values a two-sided interval of the p-quantile takes: 72 for p95, 368 for p99."""
    tail, rare = (1 - confidence) / 2, max(p, 1 - p)
    return math.ceil(math.log(tail) / math.log(rare) - 1e-9)


def quantile_interval(values: Sample, p: float, confidence: float = CONFIDENCE) -> Interval:
    """The p-quantile by nearest rank between two order statistics, without any assumed distribution."""
    kept = known(values)
    value = percentile(kept, p)
    if value is None:
        return Interval(None, None, None, 0, 0, "no value was measured")
    n_eff = effective((kept > value).astype(np.float64))
    if n_eff < (needed := fewest(p, confidence)):
        why = f"{n_eff} independent values ({kept.size} measured), at least {needed} are needed"
        return Interval(value, None, None, kept.size, n_eff, why)
    low, high = ranks(n_eff, p, confidence)
    ordered = np.sort(kept)
    stretch = kept.size / n_eff
    first = max(1, math.floor(low * stretch)) - 1
    last = min(kept.size, math.ceil(high * stretch)) - 1
    return Interval(value, float(ordered[first]), float(ordered[last]), kept.size, n_eff)


def mean_interval(values: Sample, confidence: float = CONFIDENCE) -> Interval:
    """The mean with its normal interval on the effective number of values."""
    kept = known(values)
    if kept.size < 2:
        value = float(kept[0]) if kept.size else None
        return Interval(value, None, None, kept.size, kept.size, "at least 2 values are needed")
    n_eff, middle = effective(kept), float(kept.mean())
    half = NORMAL.inv_cdf((1 + confidence) / 2) * float(kept.std(ddof=1)) / math.sqrt(n_eff)
    return Interval(middle, middle - half, middle + half, kept.size, n_eff)


def share_interval(hits: Sample, confidence: float = CONFIDENCE) -> Interval:
    """The share of ones among zeros and ones, in order, by Wilson on the effective number."""
    n = hits.size
    if not n:
        return Interval(None, None, None, 0, 0, "no request was measured")
    n_eff, share = effective(hits), float(hits.mean())
    low, high = wilson(share, n_eff, confidence)
    return Interval(share, low, high, n, n_eff)


def wilson(share: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a share seen in n draws."""
    z2 = NORMAL.inv_cdf((1 + confidence) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
