"""Gates on made-up servers of known truth: how often the rules are wrong. Nothing is sent.

Latencies are lognormal; runs differ from each other; the three metrics of a gate are judged by the same code
as measured ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from loadlab.analysis.multiple import LOOKS, holm
from loadlab.analysis.percentiles import Sample, percentile
from loadlab.gates import evidence
from loadlab.gates.nouns import Outcome
from loadlab.gates.rules import MARGIN, TOLERANCE

NOISES = ("iid", "autocorrelated", "drift")
OUTCOMES: tuple[Outcome, ...] = ("PASS", "FAIL", "INCONCLUSIVE")
SIGMA, RUN_SD, RHO, DRIFT = 0.3, 0.015, 0.5, 0.05
QUANTILES = (0.50, 0.95, 0.50)


def rates(
    noise: str,
    *,
    regression: float,
    trials: int,
    pairs: int,
    requests: int,
    seed: int,
    quantiles: Sequence[float] = QUANTILES,
    regressed: int = len(QUANTILES),
) -> Mapping[Outcome, float]:
    """How often a gate of three metrics ends how, when the first `regressed` are worse in truth."""
    rng = np.random.default_rng(seed)
    truth = [regression if at < regressed else 0.0 for at in range(len(quantiles))]
    counts = Counter(gate(rng, noise, truth, pairs, requests, quantiles) for _ in range(trials))
    return {outcome: counts[outcome] / trials for outcome in OUTCOMES}


def gate(
    rng: np.random.Generator,
    noise: str,
    truth: Sequence[float],
    pairs: int,
    requests: int,
    quantiles: Sequence[float],
) -> Outcome:
    """One gate, judged as a measured one: Holm over its metrics, FAIL before INCONCLUSIVE before PASS."""
    logs = [
        _pairs(rng, noise, regression, pairs, requests, p)
        for regression, p in zip(truth, quantiles, strict=True)
    ]
    found = [known for each in logs if (known := evidence.of_pairs(each))]
    worse = holm([known.above(math.log1p(TOLERANCE)) for known in found], LOOKS[0])
    outcomes = {
        evidence.outcome(known, fails, TOLERANCE, MARGIN, LOOKS[0])
        for known, fails in zip(found, worse, strict=True)
    }
    return next(each for each in ("FAIL", "INCONCLUSIVE", "PASS") if each in outcomes)


def _pairs(
    rng: np.random.Generator, noise: str, regression: float, pairs: int, requests: int, p: float
) -> list[float]:
    """The log ratios of one metric; a drift is shared by the two runs of a pair."""
    drift = np.cumsum(rng.normal(0, DRIFT, pairs)) if noise == "drift" else np.zeros(pairs)
    sides = [
        [_run(rng, noise, level + shift, requests, p) for level in drift]
        for shift in (0.0, math.log1p(regression))
    ]
    return [b - a for a, b in zip(*sides, strict=True)]


def _run(rng: np.random.Generator, noise: str, level: float, requests: int, p: float) -> float:
    """The logarithm of a percentile of one run."""
    draws = rng.standard_normal(requests)
    if noise == "autocorrelated":
        draws = alike(draws, RHO)
    value = percentile(np.exp(SIGMA * draws), p)
    assert value is not None
    return math.log(value) + level + float(rng.normal(0, RUN_SD))


def alike(draws: Sample, rho: float) -> Sample:
    """The draws turned into ones of which neighbours resemble each other, of the same spread."""
    past: Sample = np.convolve(draws, rho ** np.arange(40), mode="full")[: draws.size]
    return past * math.sqrt(1 - rho * rho)
