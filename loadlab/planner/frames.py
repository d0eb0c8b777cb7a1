"""A plan as frames: what figures draw and tables show. One row per point; unknown is NaN."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from loadlab.planner import monotone
from loadlab.planner.answer import Part, Plan
from loadlab.planner.breakeven import BreakEven
from loadlab.planner.fitted import Fitted

_SPAN, _POINTS = 2.0, 161
_FINE = 120


def steps(plan: Plan) -> pd.DataFrame:
    """Replicas for peaks from nothing to twice the plan's: peak, replicas, fewest (by the high end)."""
    peaks = np.linspace(0, _SPAN * plan.demand.peak, _POINTS)[1:]
    rows = [
        (peak, _replicas(plan, peak / plan.demand.peak), _fewest(plan, peak / plan.demand.peak))
        for peak in peaks
    ]
    return pd.DataFrame(rows, columns=["peak", "replicas", "fewest"])


def _replicas(plan: Plan, times: float) -> int:
    return sum(part.replicas(plan.ask, times) or 0 for part in plan.parts)


def _fewest(plan: Plan, times: float) -> int:
    return sum(part.replicas(plan.ask, times, per_replica=part.sized.high) or 0 for part in plan.parts)


def day(plan: Plan) -> pd.DataFrame:
    """Minute by minute: hour, demand, per policy what its replicas hold (req/s). Empty without a day."""
    minutes = plan.demand.minutes
    if minutes is None or not plan.courses:
        return pd.DataFrame(columns=["hour", "demand"])
    holds = sum(part.share / _rate(part) for part in plan.parts)
    each = 1 / holds
    found = {"hour": np.arange(len(minutes)) / 60, "demand": minutes}
    return pd.DataFrame({**found, **{course.policy: course.serving * each for course in plan.courses}})


def _rate(part: Part) -> float:
    """What one replica holds in req/s, by its low end."""
    return (
        part.sized.per_replica if part.sized.unit == "req/s" else part.sized.peak_rate / part.sized.replicas
    )


def levers(plan: Plan) -> pd.DataFrame:
    """What moves the answer, the strongest first: name, low, low_words, high, high_words."""
    return pd.DataFrame([lever._asdict() for lever in plan.levers])


def even(found: BreakEven) -> pd.DataFrame:
    """Money by volume: mtok (a month), own and api (USD a month)."""
    return pd.DataFrame({"mtok": found.mtok, "own": found.own_curve, "api": found.api_curve})


def binding(part: Part) -> Fitted:
    """The latency requirement that is nearest to its limit at the capacity."""
    fits = [fit for fit in part.found.fits if fit.criterion.logarithmic]
    return max(fits, key=lambda fit: fit.at(part.found.load) or 0.0)


def curve(part: Part) -> pd.DataFrame:
    """The binding requirement between the measured loads: load, share of the limit."""
    fit = binding(part)
    loads = np.unique(np.concatenate([np.linspace(fit.x[0], fit.x[-1], _FINE), fit.x]))
    shares = [monotone.at(fit.x, fit.y, float(load)) for load in loads]
    return pd.DataFrame({"load": loads, "share": [math.exp(min(share or 0.0, 9.2)) for share in shares]})


def points(part: Part) -> pd.DataFrame:
    """The measured loads of the binding requirement: load, share, low, high (90 %), offered, answers."""
    fit = binding(part)
    low, high = np.exp(np.minimum(np.quantile(fit.draws, [0.05, 0.95], axis=0), 9.2))
    measured = part.measured.stable
    return pd.DataFrame(
        {
            "load": fit.x, "share": np.exp(np.minimum(fit.raw, 9.2)), "low": low, "high": high,
            "offered": [step.label for step in measured], "answers": [step.answers for step in measured],
            "repeats": [len(step.seen) for step in measured],
        }
    )  # fmt: skip
