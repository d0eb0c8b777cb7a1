"""Frames to plotly figures, for the dashboard and the reports.

In scope: how measured numbers are drawn, in a light and a dark theme. Out of scope: SQL, pages, arithmetic
on samples.
"""

from __future__ import annotations

from loadlab.figures.curves import cost_curve, tradeoff
from loadlab.figures.density import density
from loadlab.figures.distribution import ecdf, histogram
from loadlab.figures.forest import forest
from loadlab.figures.gpus import gpu_lanes, power_scatter, served
from loadlab.figures.lanes import LANES, Lane, lane_statistics, lanes
from loadlab.figures.over_time import Band, bands_of, errors_over_time, latency_over_time
from loadlab.figures.request_lane import request_lane
from loadlab.figures.rules import MAX_RULES, RuleRow, gate_trend, rule_dots
from loadlab.figures.slo import Limit
from loadlab.figures.spending import Paid, idle_hours, list_and_effective, spend_per_day
from loadlab.figures.theme import DARK, LIGHT, MAX_SERIES, THEMES, Theme

__all__ = [
    "DARK",
    "LANES",
    "LIGHT",
    "MAX_RULES",
    "MAX_SERIES",
    "THEMES",
    "Band",
    "Lane",
    "Limit",
    "Paid",
    "RuleRow",
    "Theme",
    "bands_of",
    "cost_curve",
    "density",
    "ecdf",
    "errors_over_time",
    "forest",
    "gate_trend",
    "gpu_lanes",
    "histogram",
    "idle_hours",
    "lane_statistics",
    "lanes",
    "latency_over_time",
    "list_and_effective",
    "power_scatter",
    "request_lane",
    "rule_dots",
    "served",
    "spend_per_day",
    "tradeoff",
]
