"""Absolute rules: is a limit kept, on the evidence of one run? Held, broken, or not yet shown.

A percentile under a limit, and a share of good requests, are counts: so many of n on the wrong side. They are
judged as MLPerf's LoadGen stops early, on counts divided by the design effect, since neighbours resemble each
other. A number without such counts (a rate, a mean) is judged by its interval, or at its face value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
import pandas as pd

from loadlab.analysis import early_stopping
from loadlab.analysis.intervals import Interval, design_effect, known, share_interval
from loadlab.analysis.measures import Measure, Observed
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, ok
from loadlab.core.slos import Slo
from loadlab.core.units import number
from loadlab.gates.nouns import Check, Outcome
from loadlab.gates.rules import SloRule

_OUTCOME: dict[str, Outcome] = {"held": "PASS", "broken": "FAIL", "undecided": "INCONCLUSIVE"}


def judge(rule: SloRule, runs: Sequence[Observed]) -> Check:
    """The rule on one run, or on the requests of several together."""
    run = pooled(runs)
    if rule.slo is not None:
        return _goodput(rule, rule.slo, run)
    assert rule.measure is not None
    if rule.measure.metric == "error_rate":
        return _errors(rule, run)
    if rule.measure.quantile is not None:
        return _quantile(rule, rule.measure.quantile, run)
    return _plain(rule, run if rule.measure.stat else None, runs)


def pooled(runs: Sequence[Observed]) -> Observed:
    """The requests of several runs one after the other; its level is that of the first."""
    first, *others = runs
    if not others:
        return first
    requests = pd.concat([run.requests for run in runs], ignore_index=True)
    itl_ms = np.concatenate([run.itl_ms for run in runs])
    return replace(first, requests=requests, itl_ms=itl_ms)


def _counted(beyond: Sample, p: float) -> tuple[Outcome, str]:
    """What the ones of `beyond` show of a p-quantile, and how many more it takes."""
    n, over = beyond.size, int(beyond.sum())
    effect = design_effect(beyond)
    free, free_over = math.floor(n / effect), math.ceil(over / effect - 1e-9)
    found = early_stopping.shown(free, free_over, p)
    words = f"{over:,} of {n:,} beyond the limit"
    if effect > 1.05:
        words += f" (worth {free_over:,} of {free:,}: neighbours are alike)"
    if found == "undecided" and (more := early_stopping.wanted(free, free_over, p)) is not None:
        words += f"; about {math.ceil(more * effect):,} requests would show it"
    elif found == "undecided":
        words += "; too close to the limit for any number of requests like these"
    return _OUTCOME[found], words


def _quantile(rule: SloRule, p: float, run: Observed) -> Check:
    assert rule.measure is not None
    values = known(run.sample(rule.measure.metric))
    found = run.interval(rule.measure)
    if not values.size:
        return _nothing(rule)
    upward = rule.sign[0] == "<"
    strict = "=" not in rule.sign
    beyond = (values >= rule.limit if strict else values > rule.limit) if upward else values < rule.limit
    outcome, words = _counted(beyond.astype(np.float64), p if upward else 1 - p)
    return Check(
        rule.text, "slo", outcome, f"{_value(rule, found.value)}: {words}", found.value, found.low,
        found.high, _limit(rule), rule.measure.of.unit, values.size,
    )  # fmt: skip


def good(slo: Slo, run: Observed) -> Sample:
    """One for each measured request that kept every limit, zero for the others, failed ones too."""
    kept = ok(run.requests)
    for metric, limit in slo.limits.items():
        values = REQUEST_METRICS[metric](run.requests)
        # An answer of one token has no pace that could be too slow.
        kept = kept & ((values <= limit) | (np.isnan(values) & (metric == "tpot_ms")))
    return kept.astype(np.float64)


def _goodput(rule: SloRule, slo: Slo, run: Observed) -> Check:
    kept = good(slo, run)
    if not kept.size:
        return _nothing(rule)
    found = share_interval(kept)
    outcome, words = _counted(1 - kept, rule.limit)
    limits = ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in slo.limits.items())
    said = f"{found.value:.2%} of the requests kept {limits}: {words}"
    return Check(
        rule.text, "slo", outcome, said, found.value, found.low, found.high, f"{rule.sign} {rule.limit:.2%}",
        "", kept.size, timeless=not ok(run.requests).any(),
    )  # fmt: skip


def _errors(rule: SloRule, run: Observed) -> Check:
    failed = (~ok(run.requests)).astype(np.float64)
    if not failed.size:
        return _nothing(rule)
    found = share_interval(failed)
    outcome, words = _few(rule, failed)
    low, high = (None if bound is None else 100 * bound for bound in (found.low, found.high))
    rate = 100 * float(failed.mean())
    return Check(
        rule.text, "slo", outcome, f"{number(rate)} % failed: {words}", rate, low, high, _limit(rule), "%",
        failed.size, timeless=True,
    )  # fmt: skip


def _few(rule: SloRule, failed: Sample) -> tuple[Outcome, str]:
    """Of no failure at all there is no statistic: the first one breaks it."""
    if rule.limit > 0:
        return _counted(failed, max(0.0, 1 - rule.limit / 100))
    n = int(failed.sum())
    return ("FAIL" if n else "PASS"), f"{n:,} of {failed.size:,} failed, and none may"


def _plain(rule: SloRule, run: Observed | None, runs: Sequence[Observed]) -> Check:
    assert rule.measure is not None
    found = run.interval(rule.measure) if run else _of_runs(rule.measure, runs)
    if found.value is None or not math.isfinite(found.value):
        return _nothing(rule)
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    sides = [_kept(rule, low), _kept(rule, high)]
    outcome: Outcome = "PASS" if all(sides) else "INCONCLUSIVE" if any(sides) else "FAIL"
    basis = "at face value: one number per run" if found.low is None else f"{number(low)} … {number(high)}"
    return Check(
        rule.text, "slo", outcome, f"{_value(rule, found.value)} ({basis})", found.value, found.low,
        found.high, _limit(rule), rule.measure.of.unit, found.n,
    )  # fmt: skip


def _of_runs(measure: Measure, runs: Sequence[Observed]) -> Interval:
    """One number per run: their mean, between the smallest and the largest where there are several."""
    values = [value for run in runs if (value := run.value(measure)) is not None and math.isfinite(value)]
    if len(values) < 2:
        return Interval(values[0] if values else None, None, None, len(values), len(values))
    return Interval(fmean(values), min(values), max(values), len(values), len(values))


def _kept(rule: SloRule, value: float) -> bool:
    return {
        "<": value < rule.limit, "<=": value <= rule.limit, ">": value > rule.limit,
        ">=": value >= rule.limit,
    }[rule.sign]  # fmt: skip


def _nothing(rule: SloRule) -> Check:
    return Check(rule.text, "slo", "INVALID", "nothing was measured: no value to judge", limit=_limit(rule))


def _value(rule: SloRule, value: float | None) -> str:
    assert rule.measure is not None
    return f"{rule.measure.name} is {number(value)} {rule.measure.of.unit}"


def _limit(rule: SloRule) -> str:
    if rule.measure is None:
        return f"{rule.sign} {rule.limit:.2%}"
    return f"{rule.sign} {number(rule.limit)} {rule.measure.of.unit}"
