"""Did what went in come out? Little's law, growth of an open loop, and how many requests were under way.

Knows when requests were planned and done. Where a level is not steady, its percentiles depend on its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample, percentile
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok
from loadlab.analysis.timeline import ramp, spread
from loadlab.core.units import NS_PER_S

LITTLE_SLACK = 0.02
GROWTH_S = 30.0
GROWTH_SHARE = 0.5
GROWTH_T = 6.0

_LATENCIES_WANTED = 20
_REQUESTS_WANTED = 100
_LONGEST_S = 120.0
_SHORTEST = 0.8  # of a level of 30 s: it ends with its last arrival, and begins once it has filled
_BINS = 20
_PEAK = 0.95
_LOOKS = 500


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests under way on average, what rate × latency says they should be, and how far apart is usual."""

    in_flight: float
    rate_times_latency: float
    usual_share: float

    @property
    def apart(self) -> float:
        """The difference as a share of `in_flight`."""
        return abs(self.in_flight - self.rate_times_latency) / self.in_flight


@dataclass(frozen=True, slots=True)
class Growth:
    """How much requests under way and TTFT (from plan) rose during the level, as shares of their means.

    `t` is the smaller of the two slopes' t statistics, over bins of the level.
    """

    in_flight: float
    ttft: float
    t: float

    @property
    def lasting(self) -> bool:
        """Whether both rose by more than a queue that comes and goes makes them."""
        return self.t >= GROWTH_T and min(self.in_flight, self.ttft) >= GROWTH_SHARE


def under_way(measured: pd.DataFrame) -> float | None:
    """Requests in flight as 95 % of the sends met it, the one sent included; None without any."""
    sent, done = _interval(measured, "sent_ns")
    met = np.searchsorted(np.sort(sent), sent, side="right") - np.searchsorted(
        np.sort(done), sent, side="right"
    )
    return percentile(met.astype(np.float64), _PEAK)


def flow(every: pd.DataFrame) -> Flow | None:
    """Little's law while requests were planned; None where the level is too short to say.

    Both sides come from the rows. They differ by what is under way at the two ends of the window, which is
    little and alike in a steady state, and is not when latency changed on the way.
    """
    start, end = _interval(every, "planned_ns")
    begin, last, of_all = _planned(every)
    first = begin + of_all.mean()
    inside = (start >= first) & (start <= last)
    latency, length = (end - start)[inside], last - first
    if inside.sum() < _REQUESTS_WANTED or length < _LATENCIES_WANTED * latency.mean():
        return None
    under = np.clip(np.minimum(end, last) - np.maximum(start, first), 0, None).sum()
    if under <= 0:
        return None
    return Flow(under / length, latency.sum() / length, _usual(start, end, first, last) / under)


def _usual(start: Sample, end: Sample, first: float, last: float) -> float:
    """How far the two sides come apart when nothing is wrong, as time in flight (ns).

    The difference is the work left at the beginning less that at the end. How much that varies is seen
    between them: three standard deviations of a difference of two.
    """
    at = np.linspace(first, last, _LOOKS)
    order = np.argsort(start)
    brought = np.concatenate(([0.0], np.cumsum((end - start)[order])))
    one = np.ones_like(start)
    spent = ramp(start, one, at) - ramp(end, one, at)
    left = brought[np.searchsorted(start[order], at, side="right")] - spent
    return float(3 * np.sqrt(2) * left.std())


def growth(every: pd.DataFrame) -> Growth | None:
    """Slopes of requests under way and of TTFT over the last two minutes; None where there is too little."""
    # Over capacity even the short latencies grow: a tenth of the level is left out for filling, no more.
    begin, last, latency = _planned(every)
    filled = begin + min(np.quantile(latency, 0.1), (last - begin) / 10)
    first = max(filled, last - _LONGEST_S * NS_PER_S)
    if last - first < _SHORTEST * GROWTH_S * NS_PER_S:
        return None
    edges = np.linspace(first, last, _BINS + 1)
    ttft = _ttft(every[ok(every)], edges)
    if ttft is None:
        return None
    rises = [_rise(values) for values in (_in_flight(every, edges), ttft)]
    return Growth(rises[0][0], rises[1][0], min(t for _, t in rises))


def _in_flight(every: pd.DataFrame, edges: Sample) -> Sample:
    start, end = _interval(every, "planned_ns")
    within = (end > edges[0]) & (start < edges[-1])
    start, end = np.maximum(start[within], edges[0]), np.minimum(end[within], edges[-1])
    mean: Sample = spread(start, end, end - start, edges) / np.diff(edges)
    return mean


def _ttft(answered: pd.DataFrame, edges: Sample) -> Sample | None:
    """The mean TTFT of what was planned in each bin; None when a bin has none or all have few."""
    ttft = REQUEST_METRICS["ttft_planned_ms"](answered)
    at = np.searchsorted(edges, column(answered, "planned_ns"), side="right") - 1
    inside = (at >= 0) & (at < _BINS) & ~np.isnan(ttft)
    n = np.bincount(at[inside], minlength=_BINS)
    if inside.sum() < _REQUESTS_WANTED or not n.all():
        return None
    mean: Sample = np.bincount(at[inside], ttft[inside], _BINS) / n
    return mean


def _rise(values: Sample) -> tuple[float, float]:
    """The fitted line's rise as a share of the mean, and the t statistic of its slope."""
    at = np.linspace(-0.5, 0.5, values.size)
    slope = float((at * values).sum() / (at**2).sum())
    rest = values - values.mean() - slope * at
    error = float(np.sqrt((rest**2).sum() / (values.size - 2) / (at**2).sum()))
    return slope / float(values.mean() or 1.0), slope / error if error > 0 else math.copysign(math.inf, slope)


def _interval(frame: pd.DataFrame, start: str) -> tuple[Sample, Sample]:
    """Begin and end (ns) of the requests for which both are known."""
    begin, end = column(frame, start), column(frame, "done_ns")
    known = ~(np.isnan(begin) | np.isnan(end))
    return begin[known], end[known]


def _planned(every: pd.DataFrame) -> tuple[float, float, Sample]:
    """The first and the last measured plan (ns) and the latencies of what was planned; of none, one of 0."""
    start, end = _interval(every[~flag(every, "warmup")], "planned_ns")
    return (float(start.min()), float(start.max()), end - start) if start.size else (0.0, 0.0, np.zeros(1))
