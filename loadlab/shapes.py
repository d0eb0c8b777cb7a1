"""When requests are due in an open loop: one absolute, seeded schedule per level. Pure functions.

Workers share a schedule by stride, so that the union of their parts is the schedule itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, islice, takewhile

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level
from loadlab.core.units import NS_PER_S


def arrivals(level: Level, seed: int) -> Iterator[int]:
    """Planned offsets in ns from the start of the level, non-decreasing, ended by its count or duration."""
    if level.rate is None:
        raise UsageError(f"level {level.index} has no rate: an arrival schedule needs requests per second.")
    offsets = _poisson(level.rate, seed) if level.arrivals == "poisson" else _constant(level.rate)
    if level.duration_s is not None:
        end = round(level.duration_s * NS_PER_S)
        offsets = takewhile(lambda offset: offset < end, offsets)
    return islice(offsets, level.requests)


def _poisson(rate: float, seed: int) -> Iterator[int]:
    """A Poisson process: exponential gaps of mean 1/rate, the first arrival one gap after the start."""
    chance = random.Random(seed)
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield round(at * NS_PER_S)


def _constant(rate: float) -> Iterator[int]:
    """Equal gaps. Computed from the start each time, so rounding does not add up."""
    return (round(index * NS_PER_S / rate) for index in count())
