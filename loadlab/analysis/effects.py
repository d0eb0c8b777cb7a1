"""What switching something on did: ratios of neighbouring measurements, with intervals.

Measured off, on, on, off, off, on …: a drift of the machine meets both alike. Each off has one on beside it;
the logarithms of their ratios are averaged, and Student's t over the pairs gives the interval. In scope: one
number per block. Out of scope: why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95
_NORMAL = NormalDist()
Block = Mapping[str, float | None]  # metric -> value


@dataclass(frozen=True, slots=True)
class Effect:
    """on / off of one metric over `pairs` pairs, with its interval; `low` and `high` None from one pair."""

    metric: str
    off: float
    on: float
    ratio: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def seen(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def order(pairs: int) -> Iterator[bool]:
    """Whether each of the 2 · `pairs` blocks is on: off, on, on, off, …"""
    for pair in range(pairs):
        yield from (pair % 2 == 1, pair % 2 == 0)


def effects(off: Sequence[Block], on: Sequence[Block], metrics: Sequence[str]) -> list[Effect]:
    """The effect on each metric, blocks in the order they were measured; what is unknown is left out."""
    found = (_effect(metric, off, on) for metric in metrics)
    return [effect for effect in found if effect]


def _effect(metric: str, off: Sequence[Block], on: Sequence[Block]) -> Effect | None:
    known = [
        (a, b) for a, b in ((x.get(metric), y.get(metric)) for x, y in zip(off, on, strict=True))
        if a and b and a > 0 and b > 0
    ]  # fmt: skip
    if not known:
        return None
    logs = [math.log(b / a) for a, b in known]
    middle, width = fmean(logs), _half_width(logs)
    return Effect(
        metric,
        off=_geometric([a for a, _ in known]),
        on=_geometric([b for _, b in known]),
        ratio=math.exp(middle),
        low=None if width is None else math.exp(middle - width),
        high=None if width is None else math.exp(middle + width),
        pairs=len(known),
    )


def _half_width(logs: Sequence[float]) -> float | None:
    if len(logs) < 2:
        return None
    return student(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))


def _geometric(values: Sequence[float]) -> float:
    return math.exp(fmean(map(math.log, values)))


def student(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t. Exact for 1 and 2, within 0.5 % beyond."""
    p = (1 + CONFIDENCE) / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z = _NORMAL.inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
