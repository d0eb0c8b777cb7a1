"""What a series shows: its cuts, how much runs scatter between them, and whether the newest run is suspect.

In scope: one series at a time. Out of scope: what several series say together, and what is done about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from loadlab.analysis.distributions import NORMAL, student_quantile
from loadlab.analysis.measures import Measure
from loadlab.analysis.percentiles import Sample
from loadlab.history import thresholds
from loadlab.history.segments import FEWEST_RUNS, PRACTICAL, SIDE, Cut, Windows, cuts
from loadlab.history.series import Series

SUSPICION = 0.9995  # of the one-sided t below which the newest run is nothing special
POWER, OF_INTEREST, MOST_RUNS = 0.9, 0.10, 60


@dataclass(frozen=True, slots=True)
class Alarm:
    """The newest run lies beyond `limit` of the median of the runs before it (both as log differences)."""

    run_id: str
    shift: float
    limit: float


@dataclass(frozen=True)
class Found:
    """A series and what is seen in it. `limit` is the p of a strong cut there; no `cuts` below 8 runs."""

    series: Series
    cuts: tuple[Cut, ...]
    limit: float
    alarm: Alarm | None

    @property
    def strong(self) -> list[Cut]:
        """The cuts that both opinions support."""
        return [cut for cut in self.cuts if cut.strong]

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """From where to where (exclusive) nothing certain happened, the last one up to the newest run."""
        ends = [0, *(cut.at for cut in self.strong), len(self.series.points)]
        return list(pairwise(ends))

    @property
    def scatter(self) -> float | None:
        """The standard deviation of the logarithms between cuts; None below 8 runs."""
        if len(self.series.points) < FEWEST_RUNS:
            return None
        parts = [self.series.logs[start:end] for start, end in self.stretches]
        squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
        return math.sqrt(squares / (len(self.series.points) - len(parts)))

    @property
    def delay_runs(self) -> int | None:
        """After how many runs a step of 10 % is found nine times of ten; None where 60 do not do."""
        if (scatter := self.scatter) is None:
            return None
        start, end = self.stretches[-1]
        return delay(scatter, min(end - start, 50), self.limit)

    def worse(self, cut: Cut) -> bool:
        """Whether a cut is for the worse."""
        return toward_worse(self.series.measure, cut.step.shift)


def toward_worse(measure: Measure, shift: float) -> bool:
    """Whether a change of the logarithm by `shift` is for the worse."""
    return (shift > 0) == (measure.of.better == "lower") and measure.of.better != "neither"


def found(series: Series, windows: Windows | None = None) -> Found:
    """What a series shows. `windows` are those of the same series when it was shorter, to be quick."""
    logs = series.logs
    if logs.size < FEWEST_RUNS:
        return Found(series, (), math.nan, None)
    limit = thresholds.limit(logs)
    seen = tuple(cuts(logs, limit, series.marked, windows))
    start = max((cut.at for cut in seen if cut.strong), default=0)
    return Found(series, seen, limit, alarm(series.points[-1].run_id, logs[start:]))


def alarm(run_id: str, logs: Sample) -> Alarm | None:
    """Whether the last of these runs stands out from at least 8 before it."""
    before, newest = logs[:-1], float(logs[-1])
    n = before.size
    if n < FEWEST_RUNS:
        return None
    scatter = float(before.std(ddof=1))
    limit = max(math.log1p(PRACTICAL), student_quantile(SUSPICION, n - 1) * scatter * math.sqrt(1 + 1 / n))
    shift = newest - float(np.median(before))
    return Alarm(run_id, shift, limit) if abs(shift) > limit else None


def delay(scatter: float, before: int, limit: float, effect: float = OF_INTEREST) -> int | None:
    """The runs after a step of `effect` until t has p ≤ `limit` nine times of ten; None beyond 60."""
    if before < 2:
        return None
    for after in range(SIDE, MOST_RUNS + 1):
        error = scatter * math.sqrt(1 / before + 1 / after)
        wanted = student_quantile(1 - limit / 2, before + after - 2) + NORMAL.inv_cdf(POWER)
        if error * wanted <= math.log1p(effect):
            return after
    return None
