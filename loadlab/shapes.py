"""When requests are due in an open loop: one absolute, seeded schedule per level. Pure but for trace files.

A schedule is a process of mean gap one, stretched so that its rate follows the level: constant, or a profile
of straight lines. Workers share a schedule by stride: the union of their parts is the schedule itself.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, islice, pairwise, takewhile
from typing import NamedTuple

from loadlab.core import trace
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level
from loadlab.core.units import NS_PER_S, parse_duration


class Point(NamedTuple):
    """A rate in requests per second at a time in seconds from the start of the level."""

    at_s: float
    rate: float


def schedule_seed(seed: int, index: int) -> int:
    """The seed of level `index` of a run: levels of one run must not repeat each other's gaps."""
    return seed * 1_000_003 + index


def arrivals(level: Level, seed: int) -> Iterator[int]:
    """Planned offsets in ns from the start of the level, non-decreasing, ended by its count or duration."""
    offsets = _offsets_s(level, random.Random(seed))
    if level.duration_s is not None:
        end_s = level.duration_s
        offsets = takewhile(lambda at_s: at_s < end_s, offsets)
    return (round(at_s * NS_PER_S) for at_s in islice(offsets, level.requests))


def _offsets_s(level: Level, chance: random.Random) -> Iterator[float]:
    if level.trace is not None:
        speed = level.speed or 1.0
        return (arrival.at_s / speed for arrival in trace.read(level.trace))
    if level.profile is not None:
        return _follow(_units(level, chance), parse_profile(level.profile))
    if level.rate is None:
        raise UsageError(f"level {level.index} has no rate: an arrival schedule needs requests per second.")
    rate = level.rate
    return (unit / rate for unit in _units(level, chance))


def _units(level: Level, chance: random.Random) -> Iterator[float]:
    """Arrival times of a process whose gaps have mean one."""
    if level.arrivals == "constant":
        # Counted, not summed, so that rounding does not add up.
        return (float(index) for index in count())
    if level.arrivals == "gamma":
        shape = 1 / (level.cv or 1.0) ** 2
        return accumulate(chance.gammavariate(shape, 1 / shape) for _ in count())
    return accumulate(chance.expovariate(1.0) for _ in count())


def parse_profile(text: str) -> list[Point]:
    """The points of "0s:2,30s:20,60s:20": straight lines between them, a jump where a time stands twice."""
    try:
        points = [
            Point(parse_duration(at), float(rate))
            for at, _, rate in (p.partition(":") for p in text.split(","))
        ]
    except (ValueError, UsageError) as error:
        raise UsageError(
            f"--profile '{text}' is not understood; write it like 0s:2,30s:20,60s:20."
        ) from error
    if len(points) < 2 or points[0].at_s != 0:
        raise UsageError(f"--profile '{text}' must begin at 0s and have at least two points.")
    if any(b.at_s < a.at_s for a, b in pairwise(points)) or points[-1].at_s == 0:
        raise UsageError(f"--profile '{text}' goes back in time; give its points in order.")
    if any(point.rate < 0 for point in points) or not requests_in(points):
        raise UsageError(f"--profile '{text}' asks for no requests; rates must not be negative nor all 0.")
    return points


def requests_in(points: Sequence[Point]) -> float:
    """The expected number of requests of a profile: the area under it."""
    return sum((b.at_s - a.at_s) * (a.rate + b.rate) / 2 for a, b in pairwise(points))


def _follow(units: Iterator[float], points: Sequence[Point]) -> Iterator[float]:
    """Moves each unit time to where the area under the profile is as large; ends with the profile."""
    before, unit = 0.0, next(units)
    for a, b in pairwise(points):
        area = (b.at_s - a.at_s) * (a.rate + b.rate) / 2
        while unit < before + area:
            yield a.at_s + _reach(unit - before, a, b)
            unit = next(units)
        before += area


def _reach(area: float, a: Point, b: Point) -> float:
    """How far into the line from `a` to `b` its area reaches `area`."""
    slope = (b.rate - a.rate) / (b.at_s - a.at_s)
    if slope == 0:
        return area / a.rate
    return 2 * area / (a.rate + math.sqrt(max(0.0, a.rate**2 + 2 * slope * area)))
