"""An open loop against its own seeded schedule: what should have been sent, and when.

The schedule is computed again from the run's seed, so nothing that went wrong in the generator can be in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import column, flag
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level
from loadlab.core.units import NS_PER_S
from loadlab.shapes import arrivals, schedule_seed


@dataclass(frozen=True, slots=True)
class Planned:
    """A level's schedule beside what became of it; both rates are over the same arrivals, warm-up left out.

    `arrivals` and `missing` count the whole level: missing are those without any request.
    """

    arrivals: int
    missing: int
    asked_per_s: float | None
    span_s: float


def planned(every: pd.DataFrame, level: Level, run_seed: int, started_ns: float | None) -> Planned | None:
    """The schedule of a level that has one, as far as its requests reach; None where it cannot be had."""
    if level.rate is None or started_ns is None or every.empty:
        return None
    offsets = _offsets(level, run_seed)
    if offsets is None:
        return None
    measured = column(every[~flag(every, "warmup")], "planned_ns") - started_ns
    judged = offsets[offsets >= level.warmup_s * NS_PER_S][: measured.size]
    span_s = float(judged[-1] - judged[0]) / NS_PER_S if judged.size > 1 else 0.0
    asked = (judged.size - 1) / span_s if span_s else None
    # Rows from before the start are of an attempt that was broken off, and resumed.
    sent = int((column(every, "planned_ns") >= started_ns).sum())
    return Planned(offsets.size, max(0, offsets.size - sent), asked, span_s)


def _offsets(level: Level, run_seed: int) -> Sample | None:
    """None for a schedule without an end, and for a trace that is no longer there."""
    if level.requests is None and level.duration_s is None and not (level.profile or level.trace):
        return None
    try:
        return np.fromiter(arrivals(level, schedule_seed(run_seed, level.index)), np.float64)
    except UsageError:
        return None
