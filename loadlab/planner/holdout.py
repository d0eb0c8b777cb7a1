"""How well the curve knows a load that it was not shown: each inner load left out once, and compared.

The error that a plan has between its measured loads; it is stated with the plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadlab.planner.measured import Measured
from loadlab.planner.sizing import latency

METRICS = (("ttft_planned_ms", "p50"), ("ttft_planned_ms", "p95"), ("tpot_ms", "p50"), ("tpot_ms", "p95"))
FEWEST = 4


@dataclass(frozen=True, slots=True)
class Missed:
    """What the curve of the others says at a load, and what was measured there (ms)."""

    load: float
    name: str
    curve_ms: float
    found_ms: float

    @property
    def share(self) -> float:
        """How far off, as a share of what was measured."""
        return abs(self.curve_ms / self.found_ms - 1)


def holdout(measured: Measured, metrics: Sequence[tuple[str, str]] = METRICS) -> list[Missed]:
    """Every inner load that has percentiles, by every metric; none below four loads."""
    steps = measured.stable
    if len(steps) < FEWEST:
        return []
    found = []
    for place in range(1, len(steps) - 1):
        others = replace(measured, steps=(*steps[:place], *steps[place + 1 :]))
        own = replace(measured, steps=(steps[place],))
        for metric, stat in metrics:
            curve, seen = (latency(each, metric, stat, steps[place].load) for each in (others, own))
            if curve is not None and seen:
                found.append(Missed(steps[place].load, f"{metric}.{stat}", curve, seen))
    return found


def summary(missed: Sequence[Missed]) -> tuple[float, float] | None:
    """(median, 90th percentile) of the shares; None without any."""
    if not missed:
        return None
    median, most = np.quantile([each.share for each in missed], [0.5, 0.9])
    return (float(median), float(most)) if math.isfinite(most) else None
