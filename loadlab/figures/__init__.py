"""Frames to plotly figures, for the dashboard and the reports.

In scope: how measured numbers are drawn, in a light and a dark theme. Out of scope: SQL, pages, arithmetic
on samples.
"""

from __future__ import annotations

from loadlab.figures.curves import cost_curve, tradeoff
from loadlab.figures.distribution import ecdf
from loadlab.figures.lanes import lane_statistics, lanes
from loadlab.figures.over_time import Band, bands_of, errors_over_time, latency_over_time
from loadlab.figures.slo import Limit
from loadlab.figures.theme import DARK, LIGHT, MAX_SERIES, THEMES, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "MAX_SERIES",
    "THEMES",
    "Band",
    "Limit",
    "Theme",
    "bands_of",
    "cost_curve",
    "ecdf",
    "errors_over_time",
    "lane_statistics",
    "lanes",
    "latency_over_time",
    "tradeoff",
]
