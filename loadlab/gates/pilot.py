"""What one pilot run says of a gate's scatter, and how little: its own uncertainty goes into the plan.

A standard error that is read off a small sample is itself off by a good deal, mostly to the optimistic side
where nothing beyond the quantile was seen. So a plan takes the upper end of what the pilot allows. In scope:
one run. Out of scope: how runs differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.distributions import NORMAL
from loadlab.analysis.intervals import CONFIDENCE, Interval, effective
from loadlab.analysis.measures import Measure, Observed
from loadlab.core.errors import UsageError

FEWEST = 20
_UPPER = NORMAL.inv_cdf(0.90)
_Z = NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
_TELLING = 1.1


@dataclass(frozen=True, slots=True)
class Error:
    """The standard error of a measure's logarithm to plan with: `found` by the pilot, times `widened`.

    `guessed`: the pilot is too small for an interval, and its spread stands for it.
    """

    found: float
    widened: float
    guessed: bool = False

    @property
    def value(self) -> float:
        """To plan with."""
        return self.found * self.widened


def error(run: Observed, measure: Measure) -> Error:
    """The error of one measure in a pilot. Raises UsageError for a pilot that says nothing."""
    if not measure.stat:
        return Error(0.0, 1.0)  # one number per level: only runs differ
    interval = run.interval(measure)
    if interval.n < FEWEST:
        raise UsageError(
            f"pilot {run.id} has {interval.n} values of {measure.name}: too few to plan by, at least "
            f"{FEWEST} are needed; choose another with --pilot."
        )
    if interval.log_error:
        return Error(interval.log_error, _widened(interval, measure))
    return _guessed(run, measure)


def _widened(interval: Interval, measure: Measure) -> float:
    """By how much the error may be larger, with 90 % confidence: few values lie within the interval."""
    p = measure.quantile
    inside = 2 * interval.n_eff if p is None else 2 * _Z * math.sqrt(interval.n_eff * p * (1 - p))
    return _factor(inside)


def _factor(values: float) -> float:
    return 1 + _UPPER / math.sqrt(max(1.0, values))


def _guessed(run: Observed, measure: Measure) -> Error:
    """As if the values were lognormal: their quantile's error from their spread."""
    values = run.sample(measure.metric)
    logs = np.log(values[np.isfinite(values) & (values > 0)])
    p = measure.quantile or 0.5
    n = max(2, effective(logs))
    found = float(logs.std(ddof=1)) * math.sqrt(p * (1 - p) / n) / NORMAL.pdf(NORMAL.inv_cdf(p))
    return Error(found, _factor(2 * _Z * math.sqrt(n * p * (1 - p))), guessed=True)


def words(errors: dict[str, Error], requests: int) -> str:
    """What a reader is told of it; empty where the pilot is large."""
    wide = {name: each for name, each in errors.items() if each.widened > _TELLING}
    if not wide:
        return ""
    most = max(each.widened for each in wide.values())
    guessed = [name for name, each in wide.items() if each.guessed]
    more = f"; for {', '.join(guessed)} it has no interval, and its spread stands for one" if guessed else ""
    return (
        f"the pilot of {requests:,} requests is small: its scatter is taken up to {most - 1:.0%} larger than "
        f"it shows ({', '.join(wide)}){more}"
    )
