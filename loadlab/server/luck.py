"""Luck that is looked up, not drawn: the same seed and counters give the same number in any order."""

from __future__ import annotations

import math
from statistics import NormalDist

_MASK = 2**64 - 1
_NORMAL = NormalDist()


def uniform(seed: int, *counters: int) -> float:
    """A number strictly between 0 and 1 that belongs to the seed and the counters."""
    x = hash((seed, *counters)) & _MASK  # of ints only: the same in every process
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11 | 1) * 2.0**-53


def lognormal(cv: float, seed: int, *counters: int) -> float:
    """A factor of mean 1 and coefficient of variation `cv`."""
    if not cv:
        return 1.0
    variance = math.log1p(cv * cv)
    return math.exp(math.sqrt(variance) * _NORMAL.inv_cdf(uniform(seed, *counters)) - variance / 2)
