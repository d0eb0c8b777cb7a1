"""Intervals of one run: exact ranks, coverage on known truth, and what neighbours in time do to it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from loadlab.analysis import distributions, early_stopping, intervals
from loadlab.analysis.percentiles import Sample

TRIALS = 300
SIGMA = 0.3


def lognormal(rng: np.random.Generator, n: int, rho: float = 0.0) -> Sample:
    """Values of known quantiles; neighbours resemble each other by `rho`."""
    draws = rng.standard_normal(n)
    for at in range(1, n if rho else 0):
        draws[at] = rho * draws[at - 1] + math.sqrt(1 - rho * rho) * draws[at]
    values: Sample = np.exp(SIGMA * draws)
    return values


def coverage(p: float, n: int, rho: float = 0.0, *, shuffled: bool = False) -> float:
    rng = np.random.default_rng(7)
    true, hits = math.exp(SIGMA * NormalDist().inv_cdf(p)), 0
    for _ in range(TRIALS):
        values = lognormal(rng, n, rho)
        if shuffled:
            rng.shuffle(values)
        found = intervals.quantile_interval(values, p)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= true <= found.high
    return hits / TRIALS


def test_the_tails_are_exact() -> None:
    assert distributions.binomial_at_most(3, 10, 0.5) == pytest.approx(176 / 1024)
    assert distributions.student_quantile(0.975, 5) == pytest.approx(2.570581836)
    assert distributions.student_quantile(0.05, 7) == pytest.approx(-1.894578605)
    assert distributions.student_above(0.0, 3.5) == 0.5


@pytest.mark.parametrize(("p", "n"), [(0.90, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_an_interval_takes_so_many_values(p: float, n: int) -> None:
    assert intervals.fewest(p) == n
    values = np.random.default_rng(1).permutation(np.arange(float(n)))
    assert intervals.quantile_interval(values, p).low is not None
    few = intervals.quantile_interval(values[1:], p)
    assert few.low is None
    assert f"{n - 1} independent values" in few.why
    assert str(n) in few.why


def test_three_values_have_a_p99_and_no_interval() -> None:
    found = intervals.quantile_interval(np.array([1.0, np.nan, 3.0, 2.0]), 0.99)
    assert (found.value, found.low, found.n) == (3.0, None, 3)


def test_nothing_measured_is_said() -> None:
    assert intervals.quantile_interval(np.array([np.nan]), 0.5).why == "no value was measured"


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_free_values_are_covered(p: float) -> None:
    assert 0.925 <= coverage(p, 1000) <= 0.985


@pytest.mark.parametrize("p", [0.5, 0.95])
def test_values_that_resemble_their_neighbours_are_covered_too(p: float) -> None:
    assert 0.915 <= coverage(p, 1500, 0.5) <= 0.985


def test_without_their_order_the_interval_would_be_too_narrow() -> None:
    assert coverage(0.5, 1500, 0.5, shuffled=True) < 0.87


def test_wilson_on_known_numbers() -> None:
    assert intervals.wilson(0.9, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    low, high = intervals.wilson(1.0, 50)
    assert (round(low, 3), high) == (0.929, 1.0)


def test_a_share_in_bursts_is_known_less_well() -> None:
    bursts = np.repeat(np.random.default_rng(2).integers(0, 2, 50).astype(float), 20)
    mixed = np.random.default_rng(3).permutation(bursts)
    assert intervals.share_interval(bursts).n_eff < intervals.share_interval(mixed).n_eff / 4


EARLY = {
    0.90: [44, 64, 127, 197],
    0.95: [90, 130, 259, 398],
    0.99: [459, 662, 1307, 2010],
    0.999: [4603, 6636, 13105, 20140],
}


@pytest.mark.parametrize("p", EARLY)
def test_the_table_of_early_stopping(p: float) -> None:
    assert [early_stopping.fewest(over, p, early_stopping.LOADGEN) for over in (0, 1, 5, 10)] == EARLY[p]


@pytest.mark.parametrize(
    ("n", "over", "found"),
    [(662, 1, "held"), (661, 1, "undecided"), (3, 0, "undecided"), (1000, 30, "broken"), (0, 0, "undecided")],
)
def test_a_limit_is_held_broken_or_open(n: int, over: int, found: str) -> None:
    assert early_stopping.shown(n, over, 0.99, early_stopping.LOADGEN) == found


def test_how_many_more_would_settle_it() -> None:
    wanted = early_stopping.wanted(100, 0, 0.99)
    assert wanted is not None
    assert 299 <= wanted <= 400
    assert early_stopping.wanted(100, 3, 0.99) is None
