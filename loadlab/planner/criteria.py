"""What a plan must hold, each requirement as a number per request that must stay at or below its limit.

    chat                        a preset of loadlab.core.slos: a share of the requests keeps every limit
    ttft_ms=300,tpot_ms=50      the same with limits of one's own
    ttft_ms.p95=500             a percentile, or the mean, of the answers

Knows samples and limits. Refuses to know at which load they were taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadlab.analysis import measures
from loadlab.analysis.measures import Measure, Observed
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, ok
from loadlab.core import slos
from loadlab.core.errors import NoDataError, UsageError
from loadlab.core.metrics import METRICS
from loadlab.core.units import number

ERRORS, SHARE = 0.01, 0.95
USUAL = "ttft_ms.p95=500"
_BRIEF = {
    "ttft_ms": "TTFT", "ttft_planned_ms": "TTFT from plan", "itl_ms": "ITL", "tpot_ms": "TPOT",
    "e2e_ms": "end-to-end", "e2e_planned_ms": "end-to-end from plan",
}  # fmt: skip
_MOST = 1e4  # a latency 10,000 times its limit is as bad as none at all


@dataclass(frozen=True, slots=True)
class Criterion:
    """One requirement; its values are shares of the limit, so that 1 just keeps it.

    `quantile` of the values counts, their mean where it is None. `limits`: by metric, in its unit. `failed`:
    a request that failed breaks it. Of errors the values are 0 and 1, and `ceiling` is the share allowed.
    """

    name: str
    words: str
    limits: Mapping[str, float]
    quantile: float | None
    failed: bool = False
    ceiling: float = 1.0

    @property
    def logarithmic(self) -> bool:
        """Whether it is interpolated in logarithms: latencies are, the share of errors is not."""
        return bool(self.limits)

    def values(self, seen: Observed) -> Sample:
        """One value per request or gap, in the order planned. Raises NoDataError where nothing has one."""
        if not self.limits:
            return (~ok(seen.requests)).astype(np.float64)
        if not self.failed:
            ((metric, limit),) = self.limits.items()
            return _measured(seen.sample(metric) / limit, self, seen)
        return _worst(self, seen)


def _worst(criterion: Criterion, seen: Observed) -> Sample:
    """How near each request came to its nearest limit; one that failed is beyond."""
    parts = [REQUEST_METRICS[name](seen.requests) / limit for name, limit in criterion.limits.items()]
    known = [_measured(part, criterion, seen, keep=True) for part in parts]
    # What is not defined for an answer (the pace of one token) breaks no limit.
    worst = np.fmax.reduce([np.nan_to_num(part, nan=0.0) for part in known])
    return np.where(ok(seen.requests), np.minimum(worst, _MOST), _MOST)


def _measured(values: Sample, criterion: Criterion, seen: Observed, keep: bool = False) -> Sample:
    answered = ok(seen.requests).any()
    known = np.isfinite(values)
    if answered and not known.any():
        metrics = " and ".join(criterion.limits)
        raise NoDataError(
            f"run {seen.id} measured no {metrics} at {seen.level.label}: set an SLO on what it measured."
        )
    return values if keep else np.minimum(values[known], _MOST)


def slo_criteria(
    text: str, share: float = SHARE, errors: float = ERRORS, config: Mapping[str, Any] | None = None
) -> tuple[Criterion, ...]:
    """The requirements of a preset's name or of limits, the share of errors last. Raises UsageError.

    `share`: of the requests must keep limits without a statistic; a preset brings its own.
    """
    if "=" not in text:
        preset = slos.slo(text.strip(), config or {})
        return (_goodput(preset.limits, preset.share, preset.name), _errors(errors))
    parts = [_part(part) for part in text.split(",") if part.strip()]
    each = {measure.metric: limit for measure, limit in parts if not measure.stat}
    found = [_percentile(measure, limit) for measure, limit in parts if measure.stat]
    return (*([_goodput(each, share)] if each else []), *found, _errors(errors))


def _part(text: str) -> tuple[Measure, float]:
    name, _, value = text.partition("=")
    metric = name.strip().partition(".")[0]
    measure = measures.parse(name) if "." in name or metric not in REQUEST_METRICS else Measure(metric)
    if measure.of.per == "level":
        raise UsageError(
            f"--slo '{text.strip()}': {metric} is one number per level; limit a latency instead."
        )
    if measure.stat in ("min", "max"):
        raise UsageError(f"--slo '{text.strip()}': an extreme cannot be planned for; take .p99 or .p95.")
    return measure, _limit(text, value)


def _limit(text: str, value: str) -> float:
    try:
        limit = float(value)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 1e9:
        raise UsageError(f"--slo '{text.strip()}' is not understood; write it like ttft_ms.p95=500 or chat.")
    return limit


def _goodput(limits: Mapping[str, float], share: float, name: str = "") -> Criterion:
    if not 0.5 <= share < 1:
        raise UsageError(f"--share {share:g} cannot be planned for; it must be at least 50% and below 100%.")
    told = " and ".join(words_of(metric, limit) for metric, limit in limits.items())
    words = f"{100 * share:.4g} % of the requests: {told}"
    return Criterion(name or "goodput", words, dict(limits), share, failed=True)


def _percentile(measure: Measure, limit: float) -> Criterion:
    words = words_of(measure.metric, limit, measure.stat)
    return Criterion(measure.name, words, {measure.metric: limit}, measure.quantile)


def _errors(share: float) -> Criterion:
    if not 0 <= share < 1:
        raise UsageError(f"--errors {share:g} cannot be; give a share such as 1%.")
    return Criterion("errors", f"errors ≤ {100 * share:g} %", {}, None, failed=True, ceiling=share)


def words_of(metric: str, limit: float, stat: str = "") -> str:
    """ "TTFT p95 ≤ 500 ms"."""
    name = _BRIEF.get(metric, METRICS[metric].label)
    shown = f"{number(limit / 1000)} s" if limit >= 10_000 else f"{limit:g} ms"
    return f"{name} {stat} ≤ {shown}".replace("  ", " ")


def promise(criteria: Sequence[Criterion]) -> str:
    """Every requirement in one phrase."""
    return ", ".join(criterion.words for criterion in criteria)
