"""Frames to plotly figures, for the dashboard and the reports.

In scope: how measured numbers are drawn, in a light and a dark theme. Out of scope: SQL, pages, arithmetic
on samples.
"""

from __future__ import annotations

from loadlab.figures.curves import cost_curve, tradeoff
from loadlab.figures.density import density
from loadlab.figures.distribution import ecdf, histogram
from loadlab.figures.forest import forest
from loadlab.figures.lanes import lane_statistics, lanes
from loadlab.figures.over_time import Band, bands_of, errors_over_time, latency_over_time
from loadlab.figures.request_lane import request_lane
from loadlab.figures.rules import MAX_RULES, RuleRow, gate_trend, rule_dots
from loadlab.figures.slo import Limit
from loadlab.figures.theme import DARK, LIGHT, MAX_SERIES, THEMES, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "MAX_RULES",
    "MAX_SERIES",
    "THEMES",
    "Band",
    "Limit",
    "RuleRow",
    "Theme",
    "bands_of",
    "cost_curve",
    "density",
    "ecdf",
    "errors_over_time",
    "forest",
    "gate_trend",
    "histogram",
    "lane_statistics",
    "lanes",
    "latency_over_time",
    "request_lane",
    "rule_dots",
    "tradeoff",
]
