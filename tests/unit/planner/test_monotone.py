"""PAVA and the monotone cubic against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from loadlab.planner import monotone


def test_what_falls_is_pooled_by_weight() -> None:
    y = monotone.isotonic(np.array([1.0, 4.0, 2.0, 5.0]), np.array([1.0, 1.0, 3.0, 1.0]))
    assert y == pytest.approx([1.0, 2.5, 2.5, 5.0])


def test_rows_are_pooled_each_by_itself() -> None:
    y = monotone.isotonic(np.array([[3.0, 1.0], [1.0, 3.0]]), np.ones(2))
    assert y == pytest.approx(np.array([[2.0, 2.0], [1.0, 3.0]]))


def test_the_slopes_are_those_of_fritsch_and_butland() -> None:
    """x = 0, 1, 3, 4 and y = 0, 1, 2, 6: secants 1, 0.5, 4, and h = 1, 2, 1."""
    slopes = monotone.slopes(np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0, 6.0]))
    # (w1 + w2) / (w1 / before + w2 / after) with w1 = 2 h2 + h1, w2 = h2 + 2 h1.
    assert slopes[1] == pytest.approx(9 / (5 / 1.0 + 4 / 0.5))
    assert slopes[2] == pytest.approx(9 / (4 / 0.5 + 5 / 4.0))
    assert slopes[0] == pytest.approx((4 * 1.0 - 1 * 0.5) / 3)
    assert slopes[3] == pytest.approx((4 * 4.0 - 1 * 0.5) / 3)


def test_it_goes_through_the_points_and_never_turns() -> None:
    x, y = np.array([1.0, 2.0, 5.0, 6.0]), np.array([0.0, 0.0, 3.0, 3.5])
    heights = [monotone.at(x, y, load) for load in np.linspace(1, 6, 200)]
    assert [monotone.at(x, y, load) for load in x] == pytest.approx(y.tolist())
    assert np.diff(np.array(heights, float)).min() >= -1e-12


@pytest.mark.parametrize("load", [0.99, 6.01])
def test_nothing_is_known_beyond_the_ends(load: float) -> None:
    assert monotone.at(np.array([1.0, 6.0]), np.array([0.0, 1.0]), load) is None


def test_the_highest_load_within_a_limit() -> None:
    x = np.array([1.0, 2.0, 4.0])
    rows = np.array([[0.0, 1.0, 3.0], [0.0, 0.5, 0.9], [2.0, 3.0, 4.0], [0.0, 1.0, 1.0]])
    found = monotone.highest_within(x, rows, 1.0)
    assert found[:2] == pytest.approx([2.0, 4.0])
    assert np.isnan(found[2])
    assert found[3] == 4.0


def test_between_points_it_is_where_the_curve_crosses() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 5.0]), np.array([0.0, 0.2, 1.5, 4.0])
    (load,) = monotone.highest_within(x, y[None, :], 1.0)
    assert monotone.at(x, y, float(load)) == pytest.approx(1.0, abs=1e-6)


def test_one_point_is_known_at_itself() -> None:
    assert monotone.highest_within(np.array([3.0]), np.array([[0.5]]), 1.0) == pytest.approx([3.0])
    assert monotone.at(np.array([3.0]), np.array([0.5]), 3.0) == 0.5
