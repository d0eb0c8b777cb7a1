"""How much is asked: a peak, a mean, a day of 24 values, or a trace of real arrivals.

Knows arithmetic on rates. Refuses to know what a server can do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from loadlab.analysis.percentiles import Sample, percentile
from loadlab.core import trace
from loadlab.core.errors import UsageError
from loadlab.core.units import number

Unit = Literal["req/s", "users"]
PEAK_RATIO, MINUTE_S, DAY_MINUTES = 2.0, 60.0, 1440
_PEAK_MINUTE, _SIGMAS = 0.999, 3.0
_FEWEST_MINUTES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """`peak` in `unit`, before growth; `words` say how it came to be.

    `mean`: in req/s over all the time, where it is known. `minutes`: the mean rate of each minute (req/s)
    where a day or a trace was given, `bin_minutes` how long its own bins are. `dispersion`: the variance of
    arrivals per minute over their mean; `gap_variation`: Ca² of the gaps; both are 1 for Poisson arrivals.
    Lengths are means in tokens, where a trace has them.
    """

    peak: float
    unit: Unit
    words: str
    mean: float | None = None
    minutes: Sample | None = None
    bin_minutes: int = 1
    dispersion: float = 1.0
    gap_variation: float | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None

    def grown(self, growth: float) -> Demand:
        """The same traffic, more of it: 0.2 is a fifth more."""
        minutes = None if self.minutes is None else self.minutes * (1 + growth)
        mean = None if self.mean is None else self.mean * (1 + growth)
        return replace(self, peak=self.peak * (1 + growth), mean=mean, minutes=minutes)


def of_peak(peak: float, unit: Unit) -> Demand:
    """A peak as it is. Raises UsageError."""
    return Demand(_positive("peak", peak), unit, "as given")


def of_mean(mean: float, ratio: float = PEAK_RATIO, dispersion: float = 1.0) -> Demand:
    """A mean rate whose busiest time is `ratio` times as busy; within a minute arrivals scatter on top."""
    busiest = _positive("mean rate", mean) * _at_least_one("peak ratio", ratio)
    peak = _with_scatter(busiest, dispersion)
    words = f"{number(mean)} req/s on average × {ratio:g}, and three deviations of a minute's arrivals"
    return Demand(peak, "req/s", words, mean, dispersion=dispersion)


def of_day(values: Sequence[float], dispersion: float = 1.0) -> Demand:
    """Mean rates (req/s) of equal parts of a day, usually 24. Raises UsageError."""
    if len(values) < 2 or DAY_MINUTES % len(values):
        raise UsageError(
            f"a day of {len(values)} values is not understood; give 24 (hours), 48, 96 or 1440 rates (req/s)."
        )
    rates = np.array(values, np.float64)
    if not (np.isfinite(rates).all() and (rates >= 0).all() and rates.any()):
        raise UsageError(
            "the rates of a day must be numbers of 0 or more, in requests per second, not all 0."
        )
    each = DAY_MINUTES // len(values)
    peak = _with_scatter(float(rates.max()), dispersion)
    words = f"busiest of {len(values)} parts of the day, and three deviations of a minute's arrivals"
    return Demand(peak, "req/s", words, float(rates.mean()), np.repeat(rates, each), each, dispersion)


def of_trace(path: str) -> Demand:
    """The arrivals of a trace file (docs/metrics.md names its format). Raises UsageError."""
    arrivals = trace.read(path)
    at_s = np.array([arrival.at_s for arrival in arrivals])
    minutes = int(at_s[-1] // MINUTE_S)
    if minutes < _FEWEST_MINUTES:
        raise UsageError(
            f"trace '{path}' lasts {at_s[-1]:.0f} s; to see a peak, {_FEWEST_MINUTES} minutes are needed."
        )
    counts = np.bincount((at_s // MINUTE_S).astype(int), minlength=minutes)[:minutes].astype(np.float64)
    rates, gaps = counts / MINUTE_S, np.diff(at_s)
    return Demand(
        percentile(rates, _PEAK_MINUTE) or 0.0,
        "req/s",
        f"99.9th percentile of {minutes:,} one-minute rates of {Path(path).name}",
        float(rates.mean()),
        rates,
        1,
        _dispersion(counts),
        float((gaps.std() / gaps.mean()) ** 2) if gaps.mean() > 0 else None,
        _mean([arrival.prompt_tokens for arrival in arrivals]),
        _mean([arrival.output_tokens for arrival in arrivals]),
    )


def read_day(text: str, dispersion: float = 1.0) -> Demand:
    """A day written as "2,1,1,3,…", or in a file: rates by line or comma, the last column counts; or a trace.

    A file whose name ends in .jsonl is a trace. Raises UsageError.
    """
    if text.endswith(".jsonl"):
        return of_trace(text)
    if Path(text).is_file():
        return of_day(_column(text), dispersion)
    try:
        return of_day([float(part) for part in text.split(",")], dispersion)
    except ValueError as error:
        raise UsageError(f"--day '{text}' is neither a file nor numbers such as 2,1,1,3.") from error


def _column(path: str) -> list[float]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {error}.") from error
    cells = [line.replace(";", ",").split(",") for line in lines if line.strip()]
    if len(cells) == 1:
        cells = [[cell] for cell in cells[0]]
    if cells and not _is_number(cells[0][-1]):
        cells = cells[1:]  # a head
    for place, row in enumerate(cells, 1):
        if not _is_number(row[-1]):
            raise UsageError(f"'{path}', value {place}: '{row[-1]}' is no rate in requests per second.")
    return [float(row[-1]) for row in cells]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _with_scatter(rate: float, dispersion: float) -> float:
    """The rate of a busy minute around this mean."""
    return rate + _SIGMAS * math.sqrt(_positive("dispersion", dispersion) * rate / MINUTE_S)


def _dispersion(counts: Sample) -> float:
    """The variance of a minute's arrivals over their mean, the slow change of the day taken out."""
    if len(counts) < 3:
        return 1.0
    # Half the squared difference of neighbours is their variance, however the mean moves from hour to hour.
    return float((np.diff(counts) ** 2).mean() / 2 / counts.mean())


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} {value:g} cannot be; give a number above 0.")
    return value


def _at_least_one(name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 1):
        raise UsageError(f"{name} {value:g} cannot be; the peak is at least the mean, so give 1 or more.")
    return value
