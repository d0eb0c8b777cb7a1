"""A requirement as a curve over the load, and the same curve of resampled measurements.

Repeats of a load are resampled, and in each run blocks of neighbouring requests, which resemble each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadlab.analysis.percentiles import Sample, rank
from loadlab.planner import monotone
from loadlab.planner.criteria import Criterion
from loadlab.planner.measured import Step

DRAWS = 400
BLOCKS = 10
GRID = 400
SEED = 7
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A requirement over the load: `y` is the curve, `draws` (DRAWS × loads) the same of resampled data."""

    criterion: Criterion
    x: Sample
    raw: Sample
    y: Sample
    draws: Sample

    def limit(self, stretch: float = 1.0) -> float:
        """Where the curve must stay below, for a limit so many times as wide."""
        if self.criterion.logarithmic:
            return math.log(stretch)
        return self.criterion.ceiling

    def highest(self, curves: Sample, stretch: float = 1.0) -> Sample:
        """The highest load within the limit on each curve; NaN where there is none."""
        return monotone.highest_within(self.x, curves, self.limit(stretch) + 1e-12)

    def at(self, load: float) -> float | None:
        """The value at a load as a share of the limit (of errors: the share itself); None if not measured."""
        found = monotone.at(self.x, self.y, load)
        return math.exp(found) if found is not None and self.criterion.logarithmic else found


def fit(criterion: Criterion, steps: Sequence[Step]) -> Fitted:
    """The curve of a requirement through the measured loads, lightest first."""
    rng = np.random.default_rng(SEED)
    drawn = [_drawn(criterion, step, rng) for step in steps]
    raw = np.array([point for point, _ in drawn])
    draws = np.array([values for _, values in drawn]).T
    spread = draws.std(axis=0)
    weights = 1 / np.maximum(spread, max(float(spread.max()) / 100, 1e-6)) ** 2
    x = np.array([step.load for step in steps])
    return Fitted(criterion, x, raw, monotone.isotonic(raw, weights), monotone.isotonic(draws, weights))


def _drawn(criterion: Criterion, step: Step, rng: np.random.Generator) -> tuple[float, Sample]:
    """The statistic of all repeats together, and of DRAWS resamples of them."""
    values = [criterion.values(seen) for seen in step.seen]
    values = [each for each in values if each.size]
    if not values:  # nothing succeeded: as bad as can be
        worst = math.log(1e4) if criterion.logarithmic else 1.0
        return worst, np.full(DRAWS, worst)
    pooled = np.concatenate(values)
    blocks = [block for each in values for block in np.array_split(each, min(BLOCKS, each.size))]
    weights = _weights([min(BLOCKS, each.size) for each in values], rng)
    return _statistic(criterion, pooled), _resampled(criterion, pooled, blocks, weights)


def _weights(sizes: Sequence[int], rng: np.random.Generator) -> Sample:
    """How often each block counts in each draw: repeats are drawn, then blocks within each of them."""
    runs = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), DRAWS)
    parts = [rng.multinomial(n * runs[:, at], np.full(n, 1 / n)) for at, n in enumerate(sizes)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _statistic(criterion: Criterion, values: Sample) -> float:
    """The quantile (nearest rank) or mean; of latencies the logarithm."""
    found = float(values.mean())
    if criterion.quantile is not None:
        place = rank(values.size, criterion.quantile) - 1
        found = float(np.partition(values, place)[place])
    return math.log(max(found, _LEAST)) if criterion.logarithmic else found


def _resampled(criterion: Criterion, pooled: Sample, blocks: Sequence[Sample], weights: Sample) -> Sample:
    """The statistic of each draw; a quantile to the nearest of GRID values on both sides of it."""
    sizes = np.array([block.size for block in blocks], np.float64)
    if criterion.quantile is None:
        mean: Sample = weights @ np.array([block.sum() for block in blocks]) / (weights @ sizes)
        return np.log(np.maximum(mean, _LEAST)) if criterion.logarithmic else mean
    grid = np.unique(np.sort(pooled)[_ranks(pooled.size, criterion.quantile)])
    below = np.array([np.searchsorted(np.sort(block), grid, side="right") for block in blocks], np.float64)
    reached = weights @ below >= criterion.quantile * (weights @ sizes)[:, None] - 1e-6
    place = np.where(reached.any(axis=1), reached.argmax(axis=1), grid.size - 1)
    found: Sample = np.log(np.maximum(grid[place], _LEAST))
    return found


def _ranks(n: int, quantile: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most GRID places in a sorted sample, from well below a quantile to the largest value."""
    first = int(n * max(0.0, 1 - 6 * (1 - quantile)))
    return np.unique(np.linspace(first, n - 1, min(GRID, n)).round().astype(np.int64))
