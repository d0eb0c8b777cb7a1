"""Intervals by resampling whole blocks: the requests of a slot share its hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadlab.analysis.intervals import CONFIDENCE, Interval, fewest
from loadlab.analysis.percentiles import Sample, rank

DRAWS = 2_000
_SEED = 20_261_121


def quantiles(blocks: Sequence[Sample], ps: Sequence[float], draws: int = DRAWS) -> list[Interval]:
    """Each p-quantile (nearest rank) of all values with its 95 % interval over the blocks.

    A quantile that so many values cannot have an interval for has none: 72 for p95, 368 for p99.
    """
    kept = [block[np.isfinite(block)] for block in blocks]
    kept = [block for block in kept if block.size]
    values = np.sort(np.concatenate(kept)) if kept else np.empty(0)
    if not values.size:
        return [Interval(None, None, None, 0, 0, "no value was measured") for _ in ps]
    drawn = _resampled(kept, draws) if len(kept) > 1 else None
    return [_interval(values, drawn, p, len(kept)) for p in ps]


def _resampled(blocks: Sequence[Sample], draws: int) -> Sample:
    """Draws of as many blocks as there are, sorted, NaN at the end where blocks are short."""
    padded = np.full((len(blocks), max(block.size for block in blocks)), np.nan)
    for place, block in enumerate(blocks):
        padded[place, : block.size] = block
    chosen = np.random.default_rng(_SEED).integers(0, len(blocks), (draws, len(blocks)))
    return np.sort(padded[chosen].reshape(draws, -1), axis=1)


def _interval(values: Sample, drawn: Sample | None, p: float, blocks: int) -> Interval:
    n = values.size
    value = float(values[rank(n, p) - 1])
    if drawn is None:
        return Interval(value, None, None, n, n, "one block has no scatter between blocks")
    if n < (needed := fewest(p)):
        return Interval(value, None, None, n, n, f"{n} values, at least {needed} are needed")
    counts = (~np.isnan(drawn)).sum(axis=1)
    at = np.maximum(1, np.ceil(p * counts - 1e-6)).astype(int) - 1
    found = np.sort(drawn[np.arange(len(drawn)), at])
    tail = (1 - CONFIDENCE) / 2
    low, high = (found[rank(found.size, share) - 1] for share in (tail, 1 - tail))
    return Interval(value, float(low), float(high), n, blocks)
