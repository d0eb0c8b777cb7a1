"""A measured level counted by the rules of an SLO: how many requests were beyond what each of them allows.

In scope: rules that get worse with load. Out of scope: which load to try next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from loadlab.analysis import early_stopping, generator_rules
from loadlab.analysis.intervals import design_effect
from loadlab.analysis.measures import Observed
from loadlab.analysis.nouns import LevelSummary
from loadlab.analysis.percentiles import Sample, percentile, wanted
from loadlab.analysis.samples import REQUEST_METRICS, ok
from loadlab.core.errors import UsageError
from loadlab.gates.rules import SloRule, slo_rules
from loadlab.sweeps.search import Count, Probe

ERRORS = "error_rate <= 1%"
SURE = 0.999
_FAILED = 1e9  # beyond any limit
_HALF = 0.5


def rules_of(written: Sequence[str]) -> tuple[SloRule, ...]:
    """The rules of --slo, as in [gate], and one on failures where none is given. Raises UsageError."""
    from loadlab.core import config

    if not written:
        raise UsageError(
            'under which SLO? give --slo chat, or --slo "ttft_ms.p95 <= 200ms"; see docs/gates.md.'
        )
    rules = slo_rules(written, config.load())
    for rule in rules:
        _check(rule)
    if not any(_of_errors(rule) for rule in rules):
        rules += slo_rules([ERRORS], {})
    return rules


def _of_errors(rule: SloRule) -> bool:
    return rule.measure is not None and rule.measure.metric == "error_rate"


def _check(rule: SloRule) -> None:
    measure = rule.measure
    if measure is None or _of_errors(rule):
        return
    if measure.quantile is None or measure.of.better != "lower":
        raise UsageError(
            f"--slo '{rule.text}': a search counts requests beyond a limit; give a percentile of a latency, "
            "a goodput, the name of an SLO, or error_rate."
        )


def requests_wanted(rules: Sequence[SloRule]) -> int:
    """How many requests leave ten beyond the rarest quantile that a rule looks at."""
    return max((wanted(1 - _allowed(rule)) for rule in rules if not _of_errors(rule)), default=wanted(0.9))


def _allowed(rule: SloRule) -> float:
    """The share of requests that may be beyond the limit."""
    if _of_errors(rule):
        return max(rule.limit / 100, 1e-4)
    quantile = rule.limit if rule.measure is None else rule.measure.quantile
    return max(1 - (quantile or 0.0), 1e-4)


def probe(rules: Sequence[SloRule], level: Observed, load: float) -> Probe:
    """The level as a search sees it."""
    counts = tuple(_count(rule, level.requests, level.itl_ms) for rule in rules)
    saturated = level.level.unstable or bool(level.level.ended)
    return Probe(load, counts, saturated, _unfit(level.level) or "")


def _unfit(level: LevelSummary) -> str | None:
    """Why a level says nothing of the server: the generator was late, or left arrivals out."""
    return generator_rules.late_generator(level) or generator_rules.dropped_arrivals(level)


def _count(rule: SloRule, requests: pd.DataFrame, itl_ms: Sample | None) -> Count:
    strain, allowed = _strain(rule, requests, itl_ms), _allowed(rule)
    beyond = (strain > 1).astype(np.float64)
    value = percentile(strain, 1 - allowed)
    margin = math.inf if value is None else math.log(min(max(value, 1e-6), 1e6))
    return Count(rule.text, beyond.size, int(beyond.sum()), allowed, margin, design_effect(beyond))


def _strain(rule: SloRule, requests: pd.DataFrame, itl_ms: Sample | None) -> Sample:
    """value / limit of each request or gap. A failed request is beyond any limit, or has no latency."""
    good = ok(requests)
    if rule.slo:
        kept = [_ratio(metric, limit, requests) for metric, limit in rule.slo.limits.items()]
        return np.where(good, np.maximum.reduce(kept), _FAILED)
    assert rule.measure
    if _of_errors(rule):
        return np.where(good, 0.0, _FAILED)
    if rule.measure.metric == "itl_ms":
        return (np.zeros(0) if itl_ms is None else itl_ms) / rule.limit
    values = REQUEST_METRICS[rule.measure.metric](
        requests if rule.measure.metric == "send_lag_ms" else requests[good]
    )
    return values[~np.isnan(values)] / rule.limit


def _ratio(metric: str, limit: float, requests: pd.DataFrame) -> Sample:
    # An answer of one token has no pace that could be too slow.
    missing = 0.0 if metric == "tpot_ms" else _FAILED
    return np.nan_to_num(REQUEST_METRICS[metric](requests) / limit, nan=missing)


def surely_broken(rules: Sequence[SloRule], requests: pd.DataFrame) -> str | None:
    """Which rule a level under way is far beyond, by its requests so far: more than half of them are."""
    for rule in rules:
        if rule.measure and rule.measure.metric == "itl_ms":
            continue
        count = _count(rule, requests, None)
        free = math.floor(count.n / count.effect)
        over = math.floor(count.over / count.effect)
        if (
            count.over > _HALF * count.n
            and early_stopping.shown(free, over, 1 - count.allowed, SURE) == "broken"
        ):
            return rule.text
    return None
