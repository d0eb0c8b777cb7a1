"""Had the server warmed up when the measuring began? MSER-5, as a check and never as a silent trim.

The values of a level in the order they were planned, in batches of five. MSER cuts where the mean of the rest
is known best. Its cut wanders on values that do not change at all, so it counts only where both sides of it
clearly differ. In scope: one series. Out of scope: why it changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loadlab.analysis.intervals import known
from loadlab.analysis.percentiles import Sample

BATCH = 5
CUT_SHARE = 0.10
APART_SHARE = 0.05
APART_T = 6.0
FEWEST = 40 * BATCH

Course = Literal["flat", "warmup", "slowdown", "no_steady_state"]


@dataclass(frozen=True, slots=True)
class Settling:
    """The first `cut` of a level (a share) has the mean `before`, the rest `after`; `t` tells them apart."""

    metric: str
    cut: float
    before: float
    after: float
    t: float

    @property
    def course(self) -> Course:
        """What the level did: nothing, warm up, slow down, or go on changing to its middle."""
        apart = abs(self.before / self.after - 1) if self.after else 0.0
        if self.cut <= CUT_SHARE or apart < APART_SHARE or self.t < APART_T:
            return "flat"
        if self.cut >= 0.5:
            return "no_steady_state"
        return "warmup" if self.before > self.after else "slowdown"


def mser(batches: Sample) -> int:
    """How many batches MSER cuts, at most half of them."""
    n = batches.size
    left = n - np.arange(n // 2 + 1)
    sums = np.cumsum(batches[::-1])[::-1][: left.size]
    squares = np.cumsum(batches[::-1] ** 2)[::-1][: left.size]
    return int(np.argmin((squares - sums**2 / left) / left.astype(np.float64) ** 2))


def settling(metric: str, values: Sample) -> Settling | None:
    """Where the values settle; None where there are too few to say."""
    kept = known(values)
    if kept.size < FEWEST:
        return None
    batches = kept[: kept.size // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    cut = max(1, mser(batches - batches.mean()))
    first, rest = batches[:cut], batches[cut:]
    return Settling(metric, cut / batches.size, float(first.mean()), float(rest.mean()), _t(first, rest))


def _t(first: Sample, rest: Sample) -> float:
    """Welch's t; a single batch has the scatter of the rest."""
    spread = float(rest.var(ddof=1))
    own = float(first.var(ddof=1)) if first.size > 1 else spread
    error = math.sqrt(own / first.size + spread / rest.size)
    apart = abs(float(first.mean() - rest.mean()))
    return apart / error if error > 0 else (math.inf if apart else 0.0)
