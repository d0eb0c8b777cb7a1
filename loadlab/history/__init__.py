"""Regressions over time: stored runs as series, the places where they change, and incidents of those.

In scope: numbers of judged runs in, steps out. Out of scope: SQL, sending load, drawing.
"""

from __future__ import annotations

from loadlab.history.found import Found, found
from loadlab.history.segments import FEWEST_RUNS, Cut, cuts
from loadlab.history.series import MEASURES, History, Kind, Point, Series, of_store
from loadlab.history.watch import Checked, Seen, check, look

__all__ = [
    "FEWEST_RUNS",
    "MEASURES",
    "Checked",
    "Cut",
    "Found",
    "History",
    "Kind",
    "Point",
    "Seen",
    "Series",
    "check",
    "cuts",
    "found",
    "look",
    "of_store",
]
