"""Two sets of runs, metric by metric: the ratio, its interval, and whether it matters in practice.

The run is what is repeated. With one run on each side only the scatter inside them is known, and a verdict is
tentative; runs of the same kind in the store say how much runs differ from each other. In scope: differences.
Out of scope: pass or fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal
from urllib.parse import urlsplit

from loadlab.analysis.comparable import Apart, apart, lengths_apart
from loadlab.analysis.distributions import NORMAL, student_quantile
from loadlab.analysis.intervals import CONFIDENCE
from loadlab.analysis.measures import Measure, Observed, observe, parse

PRACTICAL = 0.03
_FEWEST_EARLIER, _MOST_EARLIER = 3, 20
BY_LENGTH = ("tpot_ms", "e2e_ms", "e2e_planned_ms", "requests_per_s")

Judged = Literal["better", "worse", "same", "unclear", "not comparable"]

MEASURES = tuple(
    parse(name) for name in (
        "ttft_ms.p50", "ttft_ms.p95", "ttft_ms.p99", "itl_ms.p50", "itl_ms.p99", "tpot_ms.p50",
        "tpot_ms.p95", "e2e_ms.p50", "e2e_ms.p95", "requests_per_s", "output_tokens_per_s",
        "usd_per_mtok_output",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """How much runs of one kind differ: the standard deviation of a measure's logarithm, and its degrees."""

    sd: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two sides: b / a with its interval, the verdict, and `why` where it is not plain."""

    measure: Measure
    a: float | None
    b: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: Judged
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Side b against side a. `refused` says why the numbers must not be compared, or is empty."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    environment: tuple[Apart, ...]
    refused: str
    doubts: tuple[str, ...]
    differences: tuple[Difference, ...]


def compare(
    a: Sequence[Observed],
    b: Sequence[Observed],
    measures: Sequence[Measure] = MEASURES,
    earlier: Mapping[str, Spread] | None = None,
    practical: float = PRACTICAL,
    vary: Sequence[str] = (),
) -> Comparison:
    """Side b against side a. `earlier`: by measure name, what `between_runs` gives."""
    differs = _environment(a, b, vary)
    refused = refusal(a, b, differs)
    alike = lengths_apart(a[0], b[0])
    found = (
        []
        if refused
        else [_difference(measure, a, b, (earlier or {}).get(measure.name), practical, alike)
              for measure in measures]
    )  # fmt: skip
    return Comparison(
        tuple(dict.fromkeys(run.id for run in a)),  # repeats are measured in one run
        tuple(dict.fromkeys(run.id for run in b)),
        tuple(differs),
        refused,
        tuple(doubts([*a, *b])),
        tuple(found),
    )


def _environment(a: Sequence[Observed], b: Sequence[Observed], vary: Sequence[str]) -> list[Apart]:
    """What differs between any run of b, or another run of a, and the first of a; said once."""
    seen = {each.words: each for run in (*b, *a[1:]) for each in apart(a[0], run, vary)}
    return sorted(seen.values(), key=lambda each: not each.grave)


def refusal(a: Sequence[Observed], b: Sequence[Observed], differs: Sequence[Apart]) -> str:
    """Why two sides must not be compared, in one sentence; empty where they may."""
    grave = [each.words for each in differs if each.grave]
    if grave:
        return f"the runs are not comparable: {'; '.join(grave)}"
    for run in (*a, *b):
        if run.level.verdict == "INVALID":
            return f"run {run.id} is INVALID: {run.level.reasons[0]}"
    return ""


def doubts(runs: Sequence[Observed]) -> list[str]:
    """What makes a run SUSPECT, with its id."""
    named = (
        (run.id if run.level.repeat is None else f"{run.id} #{run.level.repeat + 1}", run.level)
        for run in runs
    )
    return [f"run {name}: {reason}" for name, level in named for reason in level.reasons]


def _difference(
    measure: Measure,
    a: Sequence[Observed],
    b: Sequence[Observed],
    earlier: Spread | None,
    practical: float,
    lengths: str | None,
) -> Difference:
    ones, others = _values(a, measure), _values(b, measure)
    middle_a, middle_b = _geometric(ones), _geometric(others)
    if lengths and measure.metric in BY_LENGTH:
        return Difference(measure, middle_a, middle_b, None, None, None, "not comparable", lengths)
    if middle_a is None or middle_b is None:
        return Difference(measure, middle_a, middle_b, None, None, None, "unclear", _missing(a, b, measure))
    middle = math.log(middle_b / middle_a)
    half, why = half_width(measure, a, b, earlier)
    if half is None:
        return Difference(measure, middle_a, middle_b, math.exp(middle), None, None, "unclear", why)
    low, high = math.exp(middle - half), math.exp(middle + half)
    found = verdict(measure, math.exp(middle), low, high, practical)
    return Difference(measure, middle_a, middle_b, math.exp(middle), low, high, found, why)


def _values(side: Sequence[Observed], measure: Measure) -> list[float]:
    """Of the runs that have one above 0: a ratio knows no other."""
    found = (run.value(measure) for run in side)
    return [value for value in found if value is not None and value > 0]


def _missing(a: Sequence[Observed], b: Sequence[Observed], measure: Measure) -> str:
    lacking = [run.id for run in (*a, *b) if not run.value(measure)]
    return f"not measured in {', '.join(lacking)}"


def _geometric(values: Sequence[float]) -> float | None:
    return math.exp(fmean(map(math.log, values))) if values else None


def half_width(
    measure: Measure, a: Sequence[Observed], b: Sequence[Observed], earlier: Spread | None
) -> tuple[float | None, str]:
    """Half the interval of the log ratio, and what limits it; None where nothing is known of it."""
    sides = [[math.log(value) for value in _values(side, measure)] for side in (a, b)]
    share = sum(1 / len(side) for side in sides)
    if (spread := between(sides, earlier)) is not None:
        return student_quantile((1 + CONFIDENCE) / 2, spread.freedom) * spread.sd * math.sqrt(share), ""
    errors = [run.interval(measure).log_error for run in (*a, *b)]
    if any(error is None for error in errors):
        reason = next(
            why for run in (*a, *b) if (why := run.interval(measure).why or "an end of the interval is 0")
        )
        return None, f"one run each, and {reason}"
    z = NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    inside = math.sqrt(sum(error**2 for error in errors if error is not None))
    return z * inside, "one run each: how much runs differ from each other is not in the interval"


def between(sides: Sequence[Sequence[float]], earlier: Spread | None) -> Spread | None:
    """The scatter between runs: of the repeated sides pooled, and at least that of earlier runs."""
    freedom = sum(len(side) - 1 for side in sides)
    if not freedom:
        return earlier
    squares = sum((len(side) - 1) * stdev(side) ** 2 for side in sides if len(side) > 1)
    sd = math.sqrt(squares / freedom)
    if earlier is not None and earlier.sd > sd:
        return earlier
    return Spread(sd, freedom)


def _host(url: str) -> str | None:
    """Without the port, which a server that is started for a run has anew each time."""
    return urlsplit(url).hostname


def verdict(measure: Measure, ratio: float, low: float, high: float, practical: float) -> Judged:
    """In practice the same, or better, or worse, or unclear: what the interval of b / a says."""
    if low >= 1 - practical and high <= 1 + practical:
        return "same"
    if low <= 1 <= high or abs(math.log(ratio)) < math.log1p(practical):
        return "unclear"
    return "worse" if (ratio > 1) == (measure.of.better == "lower") else "better"


def between_runs(
    store: Any,
    like: Observed,
    measures: Sequence[Measure],
    but: Sequence[str] = (),
    of: Callable[[Any, str], Observed] = observe,
) -> dict[str, Spread]:
    """By measure name, how much stored runs of the same kind and host differ, those of `but` left out.

    Fewer than three say nothing. `of` reads a run; only its summary is looked at.
    """
    runs = store.runs()
    spec = like.summary.spec
    same = runs[
        (runs["scenario"] == spec.scenario)
        & (runs["url"].map(_host) == _host(spec.endpoint.url))
        & (runs["model"] == spec.endpoint.model)
        & (runs["state"] == "finished")
        & (runs["verdict"] == "VALID")
        & (runs["n_levels"] == 1)
        & ~runs["id"].isin(list(but))
    ]
    found = (of(store, ref) for ref in same["id"].head(_MOST_EARLIER))
    kind = [run for run in found if not any(each.grave for each in apart(like, run))]
    return {
        measure.name: Spread(stdev(logs), len(logs) - 1)
        for measure in measures
        if len(logs := [math.log(value) for value in _values(kind, measure)]) >= _FEWEST_EARLIER
    }
