"""Relative rules: is the candidate worse than the base? Pairs measured in turn, or runs against stored ones.

Two numbers decide: FAIL needs the candidate to be surely worse than the tolerance, PASS needs it to be surely
within the margin; in between more has to be measured. In scope: runs in, checks out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from loadlab.analysis.comparable import apart, lengths_apart
from loadlab.analysis.compare import BY_LENGTH, Spread, between
from loadlab.analysis.intervals import wilson
from loadlab.analysis.measures import Measure, Observed
from loadlab.analysis.multiple import LOOKS, benjamini_hochberg, holm
from loadlab.gates import evidence
from loadlab.gates.evidence import Evidence
from loadlab.gates.nouns import Check
from loadlab.gates.rules import Gate, RegressRule

ERRORS_APART = 0.005

Side = Sequence[Observed]


class Found(NamedTuple):
    """What there is about one measure; without evidence `why` says what is missing."""

    evidence: Evidence | None
    why: str


def invalid(gate: Gate, base: Side, candidate: Side) -> list[str]:
    """Why the runs must not be judged by their times: INVALID ones, and those not asked the same."""
    found = [
        f"{role} run {run.id} is INVALID: {run.level.reasons[0]}"
        for role, side in (("base", base), ("candidate", candidate))
        for run in side
        if run.level.verdict == "INVALID"
    ]
    both = {run.id for run in base} & {run.id for run in candidate}
    found += [f"run {run} is on both sides: it says nothing about itself" for run in sorted(both)]
    if base:
        others = (each for run in (*base[1:], *candidate) for each in apart(base[0], run, gate.vary))
        differs = dict.fromkeys(each.words for each in others if each.grave)
        found += [f"base and candidate are not comparable: {words}" for words in differs]
    return found


def judge(
    gate: Gate, base: Side, candidate: Side, earlier: Mapping[str, Spread] | None = None, look: int = 0
) -> list[Check]:
    """A check for each rule of `regress` and `inform`, and one for the share of failures.

    `look`: which of the 1 + gate.extensions looks at the growing data this is.
    """
    alpha = LOOKS[gate.extensions]
    source = _source(gate.paired, base, candidate, earlier or {})
    primary = [source(rule.measure) for rule in gate.regress]
    known = [found.evidence for found in primary]
    ps = [
        1.0 if e is None else e.above(math.log1p(rule.tolerance))
        for e, rule in zip(known, gate.regress, strict=True)
    ]
    worse = holm(ps, alpha)
    checks = [
        _check(rule, found, fails, alpha, gate.paired)
        for rule, found, fails in zip(gate.regress, primary, worse, strict=True)
    ]
    inform = [measure for measure in gate.inform if measure not in [rule.measure for rule in gate.regress]]
    return [_errors(base, candidate), *checks, *_informed(inform, [source(measure) for measure in inform])]


def _source(
    paired: bool, base: Side, candidate: Side, earlier: Mapping[str, Spread]
) -> Callable[[Measure], Found]:
    lengths = next(
        (words for a, b in zip(base, candidate, strict=False) if (words := lengths_apart(a, b))), None
    )

    def found(measure: Measure) -> Found:
        if lengths and measure.metric in BY_LENGTH:
            return Found(None, lengths)
        sides = [[_log(run, measure) for run in side] for side in (base, candidate)]
        if missing := sum(_log(run, measure) is None for run in (*base, *candidate)):
            return Found(None, f"not measured, or 0, in {missing} of {len(base) + len(candidate)} runs")
        logs = [[value for value in side if value is not None] for side in sides]
        if paired:
            apart_by = [b - a for a, b in zip(*logs, strict=False)]
            return Found(evidence.of_pairs(apart_by), f"{len(apart_by)} pair, at least 2 are needed")
        spread = between(logs, earlier.get(measure.name))
        return Found(
            evidence.of_sides(logs[0], logs[1], spread),
            "one run on each side, no earlier ones: how much runs differ is unknown; take 3 runs, or pairs",
        )

    return found


def _log(run: Observed, measure: Measure) -> float | None:
    """The logarithm turned so that more is worse; None where there is none."""
    value = run.value(measure)
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    return -math.log(value) if measure.of.better == "higher" else math.log(value)


def _check(rule: RegressRule, found: Found, worse: bool, alpha: float, paired: bool) -> Check:
    name, limit = rule.measure.name, f"≤ {rule.tolerance:.0%} worse, surely ≤ {rule.margin:.0%}"
    if found.evidence is None:
        lengths = "tokens on average" in found.why
        return Check(name, "regress", "INVALID" if lengths else "INCONCLUSIVE", found.why, limit=limit)
    known = found.evidence
    outcome = evidence.outcome(known, worse, rule.tolerance, rule.margin, alpha)
    low, high = known.bounds(alpha)
    words = f"{_change(known.mean)} ({_change(math.log(low))} … {_change(math.log(high))})"
    if outcome == "INCONCLUSIVE":
        words += _hint(known, rule, worse, alpha, paired)
    return Check(name, "regress", outcome, words, math.exp(known.mean), low, high, limit, "ratio", known.n)


def _hint(known: Evidence, rule: RegressRule, worse: bool, alpha: float, paired: bool) -> str:
    if worse:
        return "; single outliers decide it: the robust estimate disagrees"
    more = evidence.pairs_wanted(known, rule.tolerance, rule.margin, alpha)
    if more is None:
        return "; too close to call at this scatter: longer runs, or a quieter machine"
    return f"; about {more} {'pairs' if paired else 'runs on each side'} like these would settle it"


def _change(log_ratio: float) -> str:
    """ "3.1 % worse"."""
    ratio = math.exp(abs(log_ratio)) - 1
    return f"{100 * ratio:.1f} % {'worse' if log_ratio >= 0 else 'better'}"


def _informed(measures: Sequence[Measure], found: Sequence[Found]) -> list[Check]:
    """What blocks nothing; of those said to have changed a tenth may be chance."""
    ps = [1.0 if each.evidence is None else each.evidence.changed() for each in found]
    changed = benjamini_hochberg(ps)
    return [_info(*each) for each in zip(measures, found, changed, strict=True)]


def _info(measure: Measure, found: Found, changed: bool) -> Check:
    if found.evidence is None:
        return Check(measure.name, "inform", "INFO", found.why)
    known = found.evidence
    low, high = known.bounds()
    span = f"{_change(known.mean)} ({_change(math.log(low))} … {_change(math.log(high))})"
    words = span if changed else f"no change shown: {span}"
    return Check(measure.name, "inform", "INFO", words, math.exp(known.mean), low, high, "", "ratio", known.n)


def _errors(base: Side, candidate: Side) -> Check:
    """Fast failures improve latency: the candidate may not fail more often than the base."""
    (failed_a, n_a), (failed_b, n_b) = _failures(base), _failures(candidate)
    if not n_a or not n_b:
        return Check("errors", "errors", "INVALID", "no request was sent on one of the sides", timeless=True)
    usual, low = failed_a / n_a, wilson(failed_b / n_b, n_b)[0]
    words = f"{failed_b:,} of {n_b:,} failed, of the base {failed_a:,} of {n_a:,}"
    return Check(
        "errors", "errors", "FAIL" if low > usual + ERRORS_APART else "PASS", words, 100 * failed_b / n_b,
        limit=f"surely ≤ {100 * (usual + ERRORS_APART):.2f} %", unit="%", n=n_b, timeless=True,
    )  # fmt: skip


def _failures(side: Side) -> tuple[int, int]:
    counts = [run.level.requests for run in side]
    return sum(each["failed"] for each in counts), sum(each["sent"] for each in counts)
