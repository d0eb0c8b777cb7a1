"""Exact percentiles by nearest rank: the p-quantile of n sorted values is x[ceil(p n)].

In scope: one pooled sample. Out of scope: averaging percentiles of several samples, which has no meaning.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Sample = npt.NDArray[np.float64]
Stats = dict[str, int | float | None]

LEVELS = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
BEYOND = 10


def rank(n: int, p: float) -> int:
    """The 1-based nearest rank of the p-quantile among n values."""
    # 0.07 * 100 is 7.000000000000001 in binary; without the slack that would be rank 8.
    return max(1, math.ceil(p * n - 1e-6))


def percentile(values: Sample, p: float) -> float | None:
    """The p-quantile of the known values, None when there are none."""
    known = _known(values)
    if not known.size:
        return None
    at = rank(known.size, p) - 1
    return float(np.partition(known, at)[at])


def describe(values: Sample) -> Stats:
    """{"n", "mean", "p50", "p90", "p95", "p99", "max"} of the known values; of none, all None but n."""
    known = _known(values)
    n = int(known.size)
    if not n:
        return {"n": 0, **dict.fromkeys(("mean", *LEVELS, "max"))}
    ranks = {name: rank(n, p) - 1 for name, p in LEVELS.items()}
    ordered = np.partition(known, sorted({*ranks.values(), n - 1}))
    stats = {name: float(ordered[at]) for name, at in ranks.items()}
    return {"n": n, "mean": float(known.mean()), **stats, "max": float(ordered[-1])}


def wanted(p: float) -> int:
    """How many values the p-quantile wants so that ten of them lie beyond it: 1,000 for p99."""
    return round(BEYOND / (1 - p))


def _known(values: Sample) -> Sample:
    return values[~np.isnan(values)]
