"""The numbers of a judged run that are kept: every measure of every level, with its interval.

Made once from all requests; whoever reads history reads these. In scope: the usual statistics. Out of scope:
where they are stored, what they mean beside other runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from loadlab.analysis.measures import Measure, Observed, level_of, parse
from loadlab.analysis.nouns import Summary
from loadlab.analysis.samples import REQUEST_METRICS
from loadlab.core.judged import JudgedLevel, Statistic
from loadlab.core.metrics import METRICS

_STATS = ("mean", "p50", "p90", "p95", "p99")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
UNKNOWN = "unknown hardware"


def measures() -> Iterator[Measure]:
    """Every measure that is kept of a level, where it was measured."""
    for name in (*REQUEST_METRICS, "itl_ms"):
        yield from (Measure(name, stat) for stat in _STATS)
    yield from (parse(metric.name) for metric in METRICS.values() if metric.per == "level")


def judged(store: Any, summary: Summary) -> list[JudgedLevel]:
    """What is kept of a stored run whose Summary this is; `store` is what `loadlab.store.open` returns."""
    observed = (level_of(store, summary, level.index) for level in summary.levels)
    return [
        JudgedLevel(run.level.index, run.level.verdict, hardware(run), list(_statistics(run)))
        for run in observed
    ]


def _statistics(run: Observed) -> Iterator[Statistic]:
    for measure in measures():
        found = run.interval(measure)
        if found.value is not None and math.isfinite(found.value):
            yield Statistic(measure.name, found.value, found.low, found.high, found.n)


def hardware(run: Observed) -> str:
    """What served: as the target's label `hardware` says, else its GPUs, else the CPUs of this host."""
    endpoint, server = run.summary.spec.endpoint, run.environment.get("server", {})
    if said := endpoint.labels.get("hardware"):
        return str(said)
    if gpus := run.level.hardware.get("gpus"):
        return f"{gpus} × {server.get('gpu', 'GPU')}"
    if urlsplit(endpoint.url).hostname in _LOOPBACK and (cpu := run.environment.get("cpu")):
        return f"{run.environment.get('cpus')} × {cpu}"
    return UNKNOWN
