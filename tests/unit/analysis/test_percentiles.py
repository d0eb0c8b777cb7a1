"""Percentiles against hand counts and against numpy's own nearest rank."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from loadlab.analysis.percentiles import LEVELS, describe, percentile, rank, wanted


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("n", "p", "expected"),
    [
        (1, 0.5, 1), (1, 0.99, 1), (2, 0.5, 1), (3, 0.5, 2), (10, 0.9, 9), (11, 0.9, 10), (20, 0.95, 19),
        (21, 0.95, 20), (100, 0.99, 99), (101, 0.99, 100), (100, 0.07, 7), (71, 0.99, 71), (5, 0.0, 1),
    ],
)  # fmt: skip
def test_rank_is_the_smallest_that_covers_the_share(n: int, p: float, expected: int) -> None:
    assert rank(n, p) == expected


@pytest.mark.parametrize("p", ["0.5", "0.9", "0.95", "0.99", "0.999", "0.07", "0.29"])
def test_rank_is_exact_where_binary_floats_are_not(p: str) -> None:
    for n in (*range(1, 2_000), 10**6, 10**7):
        assert rank(n, float(p)) == max(1, math.ceil(Fraction(p) * n))


def test_percentile_by_hand() -> None:
    values = array(15, 20, 35, 40, 50)
    assert [percentile(values, p) for p in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15, 20, 20, 35, 50]


def test_percentile_is_one_of_the_values_and_never_between_two() -> None:
    assert percentile(array(1, 1000), 0.5) == 1


def test_unknown_values_are_left_out() -> None:
    assert percentile(array(np.nan, 3, np.nan, 1), 0.5) == 1
    assert describe(array(np.nan, 3, 1))["n"] == 2


@pytest.mark.parametrize("values", [array(), array(np.nan, np.nan)])
def test_nothing_known_is_none_and_not_nan(values: np.ndarray) -> None:
    assert percentile(values, 0.99) is None
    assert describe(values) == {"n": 0, **dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max"))}


@pytest.mark.parametrize("seed", range(40))
def test_describe_agrees_with_numpy(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.lognormal(3, 1, int(random.integers(1, 3_000)))
    expected = {name: float(np.quantile(values, p, method="inverted_cdf")) for name, p in LEVELS.items()}
    found = describe(values)
    assert {name: found[name] for name in LEVELS} == expected
    assert found["n"] == len(values)
    assert found["max"] == values.max()
    assert found["mean"] == pytest.approx(values.mean())


def test_describe_leaves_its_input_in_order() -> None:
    values = array(3, 1, 2)
    describe(values)
    assert values.tolist() == [3, 1, 2]


def test_wanted_leaves_ten_beyond() -> None:
    assert {name: wanted(p) for name, p in LEVELS.items()} == {"p50": 20, "p90": 100, "p95": 200, "p99": 1000}
