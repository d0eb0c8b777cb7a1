"""A number that two runs can be compared by: a metric of the registry with a statistic, such as ttft_ms.p95.

Knows how they are written and how one is taken from a level. Refuses to judge it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadlab.analysis.intervals import Interval, mean_interval, quantile_interval
from loadlab.analysis.nouns import LevelSummary, Summary
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.metrics import METRICS, Metric

STATS = ("mean", "p50", "p90", "p95", "p99", "min", "max")
_ALIASES = {"avg": "mean", "med": "p50", "median": "p50"}
_QUANTILE = re.compile(r"p\(?(\d{1,2}(?:\.\d+)?)\)?")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric and, where it has one value per request or gap, the statistic over them."""

    metric: str
    stat: str = ""

    @property
    def name(self) -> str:
        """As it is written: ttft_ms.p95, error_rate."""
        return f"{self.metric}.{self.stat}" if self.stat else self.metric

    @property
    def of(self) -> Metric:
        """Its entry of the registry."""
        return METRICS[self.metric]

    @property
    def quantile(self) -> float | None:
        """0.95 of p95; None where the statistic is no percentile."""
        found = _QUANTILE.fullmatch(self.stat)
        return float(found[1]) / 100 if found else None

    @property
    def title(self) -> str:
        """For people: "Time to first token p95"."""
        return f"{self.of.label} {self.stat}".strip()


def parse(text: str) -> Measure:
    """The measure of "ttft_ms.p95" or "output_tokens_per_s". Raises UnknownNameError or UsageError."""
    metric, _, stat = text.strip().partition(".")
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if METRICS[metric].per == "level":
        if stat:
            raise UsageError(f"'{text}': {metric} is one number per level and has no .{stat}; drop it.")
        return Measure(metric)
    return Measure(metric, _stat(text, _ALIASES.get(stat, stat)))


def _stat(text: str, stat: str) -> str:
    if not stat:
        raise UsageError(f"'{text}' has a value per request; say which statistic: {text}.p50 or {text}.p95.")
    found = _QUANTILE.fullmatch(stat)
    if found and 0 < float(found[1]) < 100:
        return f"p{float(found[1]):g}"
    if stat not in STATS:
        raise UnknownNameError("statistic", stat, STATS)
    return stat


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """One level of one run: its summary, its measured requests as planned in time, and their gaps (ms)."""

    summary: Summary
    level: LevelSummary
    requests: Any
    itl_ms: Sample
    environment: Any = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The run's."""
        return str(self.summary.run["id"])

    def sample(self, metric: str) -> Sample:
        """The metric's values of successful requests, in the order planned."""
        if metric == "itl_ms":
            return self.itl_ms
        every = metric == "send_lag_ms"
        return REQUEST_METRICS[metric](self.requests if every else self.requests[ok(self.requests)])

    def interval(self, measure: Measure) -> Interval:
        """The measure's value with what the run itself says of its error."""
        if not measure.stat:
            return _level_value(self.level, measure.metric)
        values = self.sample(measure.metric)
        if (quantile := measure.quantile) is not None:
            return quantile_interval(values, quantile)
        if measure.stat == "mean":
            return mean_interval(values)
        kept = values[np.isfinite(values)]
        extreme = {"min": np.min, "max": np.max}[measure.stat]
        n = int(kept.size)
        return Interval(float(extreme(kept)) if n else None, None, None, n, n, "an extreme has no interval")

    def value(self, measure: Measure) -> float | None:
        """The measure's value; None where it was not measured. What the summary has is not computed again."""
        stats = self.level.metrics.get(measure.metric, {})
        return stats[measure.stat] if measure.stat in stats else self.interval(measure).value


def _level_value(level: LevelSummary, metric: str) -> Interval:
    sent = level.requests["sent"]
    known = {**level.hardware, **level.cost, **level.rates}
    known["error_rate"] = 100 * level.requests["failed"] / sent if sent else None
    return Interval(known.get(metric), None, None, sent, sent, "one number per level")


def observe(store: Any, ref: str, level: int | None = None) -> Observed:
    """A level of a stored run, its only one when not named. Raises NoDataError or UsageError.

    `store` is what `loadlab.store.open` returns.
    """
    from loadlab.analysis import summary_of

    summary = summary_of(store, ref)
    return level_of(store, summary, _chosen(summary, level).index)


def observe_load(store: Any, ref: str, level: int | None = None) -> list[Observed]:
    """A level of a stored run and its repeats; without one, of the only load. Raises as `observe`."""
    from loadlab.analysis import summary_of

    summary = summary_of(store, ref)
    loads = [each.offered for each in summary.levels]
    alone = level is None and bool(loads) and all(each == loads[0] for each in loads)
    chosen = summary.levels[0] if alone else _chosen(summary, level)
    alike = [each for each in summary.levels if each.offered == chosen.offered]
    return [level_of(store, summary, each.index) for each in alike]


def level_of(store: Any, summary: Summary, index: int) -> Observed:
    """A level of a stored run whose Summary is known."""
    run = summary.run["id"]
    requests, gaps = store.requests(run, index), store.gaps(run, index)
    counted = flag(gaps, "ok") & ~flag(gaps, "warmup")
    return Observed(
        summary,
        _chosen(summary, index),
        requests[~flag(requests, "warmup")],
        column(gaps[counted], "itl_ms"),
        store.run(run).environment,
    )


def _chosen(summary: Summary, level: int | None) -> LevelSummary:
    run = summary.run["id"]
    if not summary.levels:
        raise UsageError(f"run {run} has no level: nothing was measured.")
    if level is None and len(summary.levels) > 1:
        offered = ", ".join(f"{each.index}: {each.label}" for each in summary.levels)
        raise UsageError(f"run {run} has {len(summary.levels)} levels ({offered}); choose with --level N.")
    found = [each for each in summary.levels if level is None or each.index == level]
    if not found:
        raise UsageError(f"run {run} has no level {level}; it has {len(summary.levels)}, counted from 0.")
    return found[0]
