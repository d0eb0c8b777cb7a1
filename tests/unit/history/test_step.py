"""Two stretches of runs: by how much they differ, and two opinions on whether they do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadlab.history.step import median_shift, step

RNG = np.random.default_rng(1)


def test_a_short_side_borrows_the_others_scatter() -> None:
    left, right = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 5.0, 6.0])
    found = step(left, right)
    pooled = math.sqrt((5.0 + 2.0) / 5 * (1 / 4 + 1 / 3))
    assert (found.shift, found.freedom) == (2.5, 5.0)
    assert found.error == pytest.approx(pooled)
    assert found.p == pytest.approx(0.03953, abs=1e-5)  # two-sided, t = 2.767 with 5 degrees of freedom


def test_long_sides_have_their_own_scatter() -> None:
    left, right = RNG.normal(0, 1, 10), RNG.normal(0, 5, 40)
    found = step(left, right)
    a, b = left.var(ddof=1) / 10, right.var(ddof=1) / 40
    assert found.error == pytest.approx(math.sqrt(a + b))
    assert found.freedom == pytest.approx((a + b) ** 2 / (a * a / 9 + b * b / 39))


def test_the_ratio_holds_its_interval_around_it() -> None:
    left, right = RNG.normal(0, 0.02, 20), RNG.normal(math.log(1.1), 0.02, 20)
    ratio, low, high = step(left, right).ratio
    assert low < ratio < high
    assert low < 1.1 < high


def test_sides_without_any_scatter() -> None:
    assert step(np.zeros(4), np.zeros(4)).p == 1.0
    assert step(np.zeros(4), np.ones(4)).p == 0.0
    assert step(np.zeros(9), np.ones(9)).p == 0.0


def test_outliers_do_not_move_the_median_shift() -> None:
    left, right = RNG.normal(0, 0.02, 20), RNG.normal(0.1, 0.02, 10)
    quiet = median_shift(left, right)
    right[0] = 50.0
    wild = median_shift(left, right)
    assert quiet is not None
    assert wild is not None
    assert quiet[0] < 0.1 < quiet[1]
    assert wild == pytest.approx(quiet, abs=0.01)


def test_few_runs_have_no_interval_of_the_median_shift() -> None:
    assert median_shift(np.zeros(2), np.ones(2)) is None


def test_the_interval_of_the_median_shift_holds_the_truth() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        found = median_shift(rng.standard_t(4, 20), 1 + rng.standard_t(4, 8))
        hits += found is not None and found[0] <= 1 <= found[1]
    assert 0.92 <= hits / 400 <= 0.99
