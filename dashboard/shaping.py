"""Curves with what only their requests can tell: intervals of a percentile, and goodput under limits.

Kept per run and question, at most 256 answers: the rows of a run that has ended do not change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from loadlab.analysis.goodput import goodput_per_s
from loadlab.analysis.intervals import quantile_interval
from loadlab.analysis.percentiles import LEVELS
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok
from loadlab.figures import Limit

from .choice import Choice, split
from .source import Source

GOODPUT = "goodput_per_s"
_KEPT = 256


class Shaped:
    """Adds columns to curves of a source, and keeps what took reading requests."""

    def __init__(self) -> None:
        self._known: OrderedDict[Any, dict[int, Any]] = OrderedDict()

    def curve(self, source: Source, ref: str, choice: Choice) -> pd.DataFrame:
        """The curve of a run with the columns that the choice asks for."""
        curve = source.curve(ref)
        if curve.empty:
            return curve.assign(**{GOODPUT: pd.Series(dtype=float)})
        good = self._goodput(source, ref, choice) if GOODPUT in (choice.x, choice.y) else {}
        curve[GOODPUT] = curve["level"].map(good).astype(float)
        if "intervals" not in choice.hidden:
            for name in (choice.x, choice.y):
                metric, stat = split(name)
                if stat in LEVELS:
                    ends = self._once(
                        source, (ref, name), lambda m=metric, s=stat: _intervals(source, ref, m, s)
                    )
                    curve[f"{name}_low"] = (
                        curve["level"].map({at: end[0] for at, end in ends.items()}).astype(float)
                    )
                    curve[f"{name}_high"] = (
                        curve["level"].map({at: end[1] for at, end in ends.items()}).astype(float)
                    )
        return curve

    def _goodput(self, source: Source, ref: str, choice: Choice) -> dict[int, float]:
        limits = request_limits(choice.limits)
        windows = {level.index: level.window_s for level in source.summary(ref).levels}
        key = (ref, GOODPUT, *sorted(limits.items()))
        return self._once(source, key, lambda: goodput_per_s(source.store.requests(ref), windows, limits))

    def _once(self, source: Source, key: tuple[Any, ...], read: Any) -> dict[int, Any]:
        if source.summary(key[0]).run["state"] == "running":
            return dict(read())
        key = (source.where, *key)
        if key not in self._known:
            self._known[key] = read()
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[key]


def request_limits(limits: Sequence[Limit]) -> dict[str, float]:
    """The limits that single requests can keep, by metric; of several on one metric the strictest."""
    found: dict[str, float] = {}
    for limit in limits:
        metric, stat = split(limit.column)
        if stat and metric in REQUEST_METRICS:
            found[metric] = min(limit.value, found.get(metric, limit.value))
    return found


def _intervals(source: Source, ref: str, metric: str, stat: str) -> dict[int, tuple[Any, Any]]:
    """By level, the ends of the 95 % interval of a percentile; None where there are too few values."""
    if metric == "itl_ms":
        rows = source.store.gaps(ref)
        rows = rows[flag(rows, "ok") & ~flag(rows, "warmup")]
        values = column(rows, "itl_ms")
    else:
        rows = source.store.requests(ref)
        rows = rows[ok(rows) & ~flag(rows, "warmup")]
        values = REQUEST_METRICS[metric](rows)
    levels = column(rows, "level")
    found = {int(level): quantile_interval(values[levels == level], LEVELS[stat]) for level in set(levels)}
    return {level: (each.low, each.high) for level, each in found.items()}
