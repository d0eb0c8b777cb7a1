"""At which load does the share of requests beyond a limit pass what an SLO allows? A curve through counts.

Near the limit one level of a minute says little: queues come and go, and the requests of one busy spell are
beyond the limit together. So the counts of all levels nearby are joined: a logistic curve of the share over
the logarithm of the load, by quasi-likelihood, whose errors are widened by how much the levels scatter around
it (McCullagh and Nelder, chapters 4 and 9). In scope: counts. Out of scope: which load to try next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadlab.analysis.distributions import student_quantile
from loadlab.analysis.percentiles import Sample

CONFIDENCE = 0.95
_NEAR, _FEWEST = 0.35, 5
_STEPS = 40
_STEEPEST = 60.0  # a share that jumps between two loads 5 % apart
_FLATTEST = 1.0
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Tally:
    """Of `n` requests at a load so many were `over` the limit; `effect` neighbours count as one."""

    load: float
    n: int
    over: int
    effect: float = 1.0


@dataclass(frozen=True, slots=True)
class Crossing:
    """The load at which the share is the allowed one, with the ends of its interval."""

    load: float
    low: float
    high: float


def crossing(tallies: Sequence[Tally], allowed: float, about: float) -> Crossing:
    """The load near `about` at which the share of `over` is `allowed` (0.05 of a p95)."""
    near = _near(tallies, about)
    x = np.log([tally.load / about for tally in near])
    n, over = (np.array([getattr(tally, name) for tally in near], np.float64) for name in ("n", "over"))
    # Half a request on either side: a level without any beyond the limit is no proof that there are none.
    share, target = (over + allowed) / (n + 1), math.log(allowed / (1 - allowed))
    value, slope = _fit(x, share, n)
    mean = _logistic(value + slope * x)
    weights = n * mean * (1 - mean)
    freedom = max(1, len(near) - 2)
    pearson = float(np.sum(n * (share - mean) ** 2 / np.maximum(mean * (1 - mean), 1e-6))) / freedom
    spread = max(pearson, float(np.mean([tally.effect for tally in near])))
    design = np.stack([np.ones_like(x), x], axis=1)
    information = design.T @ (design * weights[:, None]) + _RIDGE * np.eye(2)
    covariance = spread * np.linalg.inv(information)
    return _between(value - target, slope, covariance, student_quantile((1 + CONFIDENCE) / 2, freedom), about)


def _near(tallies: Sequence[Tally], about: float) -> list[Tally]:
    """Those near enough for one curve; the nearest five at least."""
    apart = [abs(math.log(tally.load / about)) for tally in tallies]
    reach = max(_NEAR, sorted(apart)[:_FEWEST][-1])
    return [tally for tally, far in zip(tallies, apart, strict=True) if far <= reach]


def _fit(x: Sample, share: Sample, n: Sample) -> tuple[float, float]:
    """Value at 0 and slope of the logistic curve, by Newton's steps; the slope kept within reason."""
    start = min(max(float(share.mean()), 0.01), 0.99)
    value, slope = math.log(start / (1 - start)), 10.0
    for _ in range(_STEPS):
        mean = _logistic(value + slope * x)
        weights = n * mean * (1 - mean) + _RIDGE
        residual = n * (share - mean)
        a, b, c = weights.sum(), (weights * x).sum(), (weights * x * x).sum()
        determinant = max(float(a * c - b * b), 1e-12)
        up, right = float(residual.sum()), float((residual * x).sum())
        value += min(max((c * up - b * right) / determinant, -1.0), 1.0)
        slope += min(max((a * right - b * up) / determinant, -5.0), 5.0)
        slope = min(max(slope, _FLATTEST), _STEEPEST)
    return value, slope


def _logistic(at: Sample) -> Sample:
    curve: Sample = 1 / (1 + np.exp(-np.clip(at, -30, 30)))
    return curve


def _between(value: float, slope: float, covariance: Any, t: float, about: float) -> Crossing:
    """Fieller's interval: all x at which value + slope x is not surely different from 0."""
    root = -value / slope
    a = slope**2 - t**2 * covariance[1, 1]
    b = value * slope - t**2 * covariance[0, 1]
    c = value**2 - t**2 * covariance[0, 0]
    inside = b * b - a * c
    if (
        a <= 0 or inside < 0
    ):  # the slope itself is open: the error of the value along the slope that was found
        half = t * math.sqrt(max(float(covariance[0, 0]), 0.0)) / slope
        low, high = root - half, root + half
    else:
        low, high = (-b - math.sqrt(inside)) / a, (-b + math.sqrt(inside)) / a
    ends = (min(max(end, -1.0), 1.0) for end in (root, low, high))
    return Crossing(*(about * math.exp(end) for end in ends))
