"""Goodput: how many requests a second kept every limit. Knows request rows; judges no level.

A limit is one of single requests. Of gaps between tokens there is none: a request has many.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from loadlab.analysis.cost import met_slo
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok


def goodput_per_s(
    requests: pd.DataFrame, windows_s: Mapping[int, float | None], limits: Mapping[str, float]
) -> dict[int, float]:
    """By level, measured requests per second that succeeded and kept `limits` (metric of requests: its unit).

    `windows_s` gives the length of each level's window; a level without one has NaN.
    """
    known = {name: limit for name, limit in limits.items() if name in REQUEST_METRICS}
    answered = requests[ok(requests) & ~flag(requests, "warmup")]
    good = column(answered[met_slo(answered, known)], "level")
    return {
        level: float((good == level).sum()) / window_s if window_s else np.nan
        for level, window_s in windows_s.items()
    }
