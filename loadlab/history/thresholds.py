"""How small p must be for a cut to be strong: simulated, by the length of a series and its memory.

A p value of t does not know that the place of the cut was the best of many, nor that neighbours are alike. So
made-up series without any change, of which neighbours are correlated by `rho` (AR(1)), were cut by the same
code at many limits; the table holds the largest limit at which at most 2.5 % of them got a strong cut.
`scripts/calibrate_history.py --table` makes it.
"""

from __future__ import annotations

import math

import numpy as np

from loadlab.analysis.percentiles import Sample

SHARE = 0.025  # of series without a step that have a strong cut at the limit
LENGTHS = (8, 12, 16, 24, 50, 100, 200)
RHOS = (0.0, 0.15, 0.3, 0.5, 0.7)
# log10 of p: a row per length, a column per rho.
TABLE: tuple[tuple[float, ...], ...] = (
    (-1.4, -1.7, -1.9, -2.1, -2.6),
    (-2.3, -2.7, -3.2, -3.7, -4.7),
    (-2.5, -3.1, -3.6, -4.5, -5.6),
    (-2.8, -3.4, -3.7, -4.9, -6.4),
    (-3.1, -3.9, -4.5, -6.4, -9.1),
    (-3.7, -4.5, -5.2, -6.7, -9.8),
    (-4.0, -4.6, -5.9, -7.1, -9.9),
)
_USUAL_RHO, _USUAL_RUNS = 0.1, 30  # a short series says little of its own memory: this much is assumed


def limit(values: Sample) -> float:
    """The p at or below which a cut of this series is strong."""
    return at(values.size, memory(values))


def at(n: int, rho: float) -> float:
    """The limit for `n` runs with neighbours correlated by `rho`; beyond the table it falls as 1 / n."""
    lengths = np.log(LENGTHS)
    by_length = [np.interp(rho, RHOS, row) for row in TABLE]
    beyond = max(0.0, math.log10(n / LENGTHS[-1]))
    return float(10 ** (np.interp(math.log(n), lengths, by_length) - beyond))


def memory(values: Sample) -> float:
    """How alike neighbouring runs are, 0 … 1, drawn towards what is usual where there are few runs.

    From differences of neighbours and of neighbours but one: E(x_i - x_i-2)² / E(x_i - x_i-1)² = 1 + rho of
    AR(1). The largest of both are left out: those are steps, or odd runs. Half the error of the estimate is
    added, because memory that is overlooked makes false steps.
    """
    weight, odd = values.size / (values.size + _USUAL_RUNS), 2 + 2 * (values.size // _USUAL_RUNS)
    near, far = (_mean_square(values[lag:] - values[:-lag], odd) for lag in (1, 2))
    own = min(1.0, max(0.0, far / near - 1) + 0.5 / math.sqrt(values.size)) if near else 0.0
    return weight * own + (1 - weight) * _USUAL_RHO


def _mean_square(differences: Sample, left_out: int) -> float:
    return float((np.sort(np.abs(differences))[:-left_out] ** 2).mean())
