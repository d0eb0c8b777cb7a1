"""The newest runs as a page for Prometheus: a gauge per metric of the registry, a series per run and level.

A stored run does not change, so a scrape finds the same numbers again: a board's way to them, no history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily

from loadlab import analysis
from loadlab.analysis.nouns import LevelSummary, Summary
from loadlab.core.metrics import METRICS, Metric
from loadlab.exporters import level_values

_RUN = ("run", "scenario", "target", "model")
_LEVEL = (*_RUN, "level", "offered")
_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")


def page(summaries: Sequence[Summary]) -> str:
    """The text format, ending in a newline; what is not known has no line."""
    text: str = generate_latest(_Families(summaries)).decode()
    return text


class Latest:
    """The newest runs of a store; summaries of runs that have ended are computed once."""

    def __init__(self, store: Any, limit: int) -> None:
        self._store, self._limit = store, limit
        self._ended: dict[str, Summary] = {}

    def summaries(self) -> list[Summary]:
        """One per run, newest first."""
        ids = [str(run) for run in self._store.runs(limit=self._limit)["id"]]
        self._ended = {run: summary for run, summary in self._ended.items() if run in ids}
        return [self._ended.get(run) or self._computed(run) for run in ids]

    def _computed(self, run: str) -> Summary:
        summary = analysis.summary_of(self._store, run)
        if summary.run["state"] != "running":
            self._ended[run] = summary
        return summary


class _Families:
    """What `generate_latest` asks of a registry."""

    def __init__(self, summaries: Sequence[Summary]) -> None:
        self._summaries = summaries

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family that has a value."""
        yield _runs(self._summaries)
        yield _requests(self._summaries)
        for metric in METRICS.values():
            family = _per_level(metric, self._summaries)
            if family.samples:
                yield family


def _runs(summaries: Iterable[Summary]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "loadlab_run_info", "1 for each run; its verdict and state.", labels=(*_RUN, "verdict", "state")
    )
    for summary in summaries:
        family.add_metric([*_of_run(summary), summary.run["verdict"], summary.run["state"]], 1)
    return family


def _requests(summaries: Iterable[Summary]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("loadlab_requests", "Measured requests.", labels=(*_LEVEL, "result"))
    for summary, level in _levels(summaries):
        for result in ("ok", "failed"):
            family.add_metric([*_of_level(summary, level), result], level.requests[result])
    return family


def _per_level(metric: Metric, summaries: Iterable[Summary]) -> GaugeMetricFamily:
    spread = metric.per != "level"
    labels = (*_LEVEL, "statistic") if spread else _LEVEL
    family = GaugeMetricFamily(f"loadlab_{metric.name}", f"{metric.title}: {metric.help}", labels=labels)
    for summary, level in _levels(summaries):
        of = _of_level(summary, level)
        if spread:
            for statistic in _STATISTICS:
                _add(family, [*of, statistic], level.metrics[metric.name][statistic])
        else:
            _add(family, of, level_values(level).get(metric.name))
    return family


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)


def _levels(summaries: Iterable[Summary]) -> Iterator[tuple[Summary, LevelSummary]]:
    return ((summary, level) for summary in summaries for level in summary.levels)


def _of_run(summary: Summary) -> list[str]:
    endpoint = summary.spec.endpoint
    return [summary.run["id"], summary.spec.scenario, endpoint.name, endpoint.model]


def _of_level(summary: Summary, level: LevelSummary) -> list[str]:
    return [*_of_run(summary), str(level.index), level.label]
