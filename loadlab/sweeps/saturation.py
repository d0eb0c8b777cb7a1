"""Is a level that is still under way over capacity for certain? Then more of it only costs time.

The rule is that of the verdict (`steady.growth`), on what is complete: up to the first planned arrival that
has no answer yet. It is looked at again and again, so it must answer twice in a row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import column
from loadlab.analysis.steady import Growth, growth
from loadlab.core.nouns import Level
from loadlab.shapes import arrivals, schedule_seed


def judged(level: Level) -> bool:
    """Whether the rule applies: an open loop of one rate. A closed loop holds itself back."""
    return level.rate is not None and not (level.profile or level.trace)


def growing(level: Level, seed: int, started_ns: float, requests: pd.DataFrame) -> Growth | None:
    """The growth of requests under way and TTFT so far, where it lasts; else None."""
    if not judged(level) or requests.empty:
        return None
    complete = requests[column(requests, "planned_ns") < _open_since(level, seed, started_ns, requests)]
    found = growth(complete) if len(complete) else None
    return found if found and found.lasting else None


def _open_since(level: Level, seed: int, started_ns: float, requests: pd.DataFrame) -> float:
    """When the first arrival was planned that has no row yet."""
    rows: Sample = np.sort(column(requests, "planned_ns"))
    last = rows[-1] - started_ns
    planned = []
    for offset in arrivals(level, schedule_seed(seed, level.index)):
        if offset > last:
            break
        planned.append(started_ns + offset)
    missing = np.setdiff1d(np.array(planned), rows, assume_unique=False)
    return float(missing[0]) if missing.size else float(rows[-1]) + 1.0


def words(found: Growth) -> str:
    """Why a level was ended, for people."""
    return (
        f"over capacity: requests under way rose by {found.in_flight:.0%} and TTFT by {found.ttft:.0%} of "
        "their means"
    )
