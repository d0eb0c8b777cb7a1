"""Tiers say what was found and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from loadlab.analysis.blocks import quantiles
from loadlab.analysis.tiers import FEWEST_SLOTS, Pair, gap_found, pairs, tiers, typical


def logs(offset: float, slots: int = 20, seed: int = 1, noise: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(offset, noise, slots)


def test_what_is_far_apart_is_told_apart_and_what_is_alike_is_not() -> None:
    found = {
        (pair.a, pair.b): pair for pair in pairs({"a": logs(0), "b": logs(0, seed=2), "c": logs(0.5, seed=3)})
    }
    assert not found["a", "b"].apart
    assert found["a", "c"].apart
    assert found["b", "c"].apart
    assert found["a", "c"].ratio == pytest.approx(np.exp(0.5), rel=0.05)
    assert found["a", "b"].low < 1 < found["a", "b"].high


def test_what_a_slot_does_to_all_is_no_difference() -> None:
    hour = np.random.default_rng(9).normal(0, 2.0, 20)
    (pair,) = pairs({"a": hour + logs(0), "b": hour + logs(0.2, seed=2)})
    assert pair.apart


def test_few_slots_tell_nothing() -> None:
    (pair,) = pairs({"a": logs(0, FEWEST_SLOTS - 1), "b": logs(3, FEWEST_SLOTS - 1)})
    assert (pair.apart, pair.ratio, pair.slots) == (False, None, FEWEST_SLOTS - 1)


def test_slots_that_one_of_two_lacks_do_not_count() -> None:
    short = logs(0)
    short[:5] = np.nan
    (pair,) = pairs({"a": short, "b": logs(0, seed=2)})
    assert pair.slots == 15


def test_equal_values_are_alike_and_not_an_error() -> None:
    (pair,) = pairs({"a": np.zeros(10), "b": np.zeros(10)})
    assert (pair.apart, pair.ratio) == (False, 1.0)


def apart(*names: str) -> list[Pair]:
    return [Pair(name[0], name[1], 20, 1.0, 1.0, 1.0, 0.0, True) for name in names]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (apart("ab", "ac", "bc"), [["a"], ["b"], ["c"]]),
        (apart("ac", "bc"), [["a", "b"], ["c"]]),
        (apart("ac"), [["a", "b", "c"]]),  # b is like both: no cut is true
        ([], [["a", "b", "c"]]),
    ],
)
def test_a_cut_needs_every_pair_across_it(told: list[Pair], expected: list[list[str]]) -> None:
    assert tiers({"c": 3.0, "a": 1.0, "b": 2.0}, told, higher=False) == expected


def test_where_more_is_better_the_most_comes_first_and_the_unknown_in_no_tier() -> None:
    found = tiers({"a": 1.0, "b": 2.0, "c": None}, apart("ab"), higher=True)
    assert found == [["b"], ["a"]]


def test_the_middle_is_firm_against_an_outlier() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0, 100.0], [1.0, 2.0, 3.0, np.nan, np.nan]])
    assert typical(values) == pytest.approx([3.0, 2.0])
    assert np.isnan(typical(np.full((1, 3), np.nan)))[0]


def test_more_slots_find_smaller_gaps() -> None:
    gaps = [gap_found(0.4, 0.05, 10, slots, 6) for slots in (8, 28, 56)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0.10 < gaps[-1] < 0.15
    assert gap_found(0.4, 0.05, 10, 5, 6) is None


def test_block_intervals_hold_the_median_and_know_when_to_be_silent() -> None:
    rng = np.random.default_rng(4)
    blocks = [rng.lognormal(0, 0.4, 10) for _ in range(20)]
    middle, tail, far = quantiles(blocks, [0.5, 0.95, 0.99])
    assert middle.low < middle.value < middle.high
    assert tail.low < tail.value < tail.high
    assert (far.low, far.high) == (None, None)
    assert "368" in far.why
    (alone,) = quantiles(blocks[:1], [0.5])
    assert (alone.low, alone.n) == (None, 10)
    assert quantiles([np.array([np.nan])], [0.5])[0].value is None
