"""Effects of switching something on: order, ratios, intervals."""

from __future__ import annotations

import random

import pytest

from loadlab.analysis.effects import effects, order, student


@pytest.mark.parametrize(
    ("freedom", "table"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (15, 2.131), (30, 2.042)],
)
def test_student_s_quantile_is_that_of_the_tables(freedom: int, table: float) -> None:
    assert student(freedom) == pytest.approx(table, rel=0.005)


def test_blocks_come_off_on_on_off() -> None:
    assert list(order(3)) == [False, True, True, False, False, True]


def blocks(*values: float | None) -> list[dict[str, float | None]]:
    return [{"itl_ms": value} for value in values]


def test_an_effect_is_the_mean_ratio_of_pairs() -> None:
    (found,) = effects(blocks(10, 20), blocks(20, 10), ["itl_ms"])
    assert (found.ratio, found.pairs) == (pytest.approx(1), 2)
    assert not found.seen
    (found,) = effects(blocks(10, 20, 40), blocks(5.1, 9.9, 20.1), ["itl_ms"])
    assert found.ratio == pytest.approx(0.5, rel=0.02)
    assert found.seen
    assert found.low
    assert found.high
    assert found.low < found.ratio < found.high


def test_one_pair_has_no_interval_and_unknown_numbers_no_effect() -> None:
    (found,) = effects(blocks(10), blocks(5), ["itl_ms"])
    assert (found.low, found.high, found.seen) == (None, None, False)
    assert effects(blocks(None, 0), blocks(3, 4), ["itl_ms", "usd"]) == []


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    luck, covered = random.Random(3), 0
    for _ in range(1000):
        off = blocks(*(luck.lognormvariate(0, 0.1) for _ in range(5)))
        on = blocks(*(0.8 * luck.lognormvariate(0, 0.1) for _ in range(5)))
        (found,) = effects(off, on, ["itl_ms"])
        assert found.low
        assert found.high
        covered += found.low <= 0.8 <= found.high
    assert 925 <= covered <= 975
