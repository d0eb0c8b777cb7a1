"""Figures of a plan, asserted as data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from loadlab.figures import DARK, LIGHT, planning

STEPS = pd.DataFrame({"peak": [10.0, 20.0, 30.0, 40.0], "replicas": [2, 3, 4, 5], "fewest": [2, 3, 3, 4]})
LEVERS = pd.DataFrame(
    {"name": ["Traffic", "Spare"], "low": [3, 4], "low_words": ["20 % less", "0"], "high": [7, 6],
     "high_words": ["20 % more", "2"]}
)  # fmt: skip
EVEN = pd.DataFrame({"mtok": [1.0, 10.0, 100.0], "own": [50.0, 50.0, 100.0], "api": [2.0, 20.0, 200.0]})
POINTS = pd.DataFrame(
    {"load": [2.0, 4.0], "share": [0.5, 3.0], "low": [0.4, 2.5], "high": [0.6, 4.0],
     "offered": ["2 req/s", "4 req/s"], "answers": [3000, 9000], "repeats": [1, 3]}
)  # fmt: skip


def trace(figure, name):  # type: ignore[no-untyped-def]
    return next(each for each in figure.data if each.name == name)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_replicas_are_steps_with_the_plan_on_them(theme) -> None:  # type: ignore[no-untyped-def]
    figure = planning.replica_steps(STEPS, (20.0, 3), "req/s", theme)
    line, chosen = trace(figure, "planned (low end)"), trace(figure, "this plan")
    assert line.line.shape == "hv"
    assert list(line.y) == [2, 3, 4, 5]
    assert (list(chosen.x), list(chosen.y), list(chosen.text)) == ([20.0], [3], ["3"])
    assert figure.layout.xaxis.title.text == "Peak load (req/s)"


def test_a_requirement_shows_limit_interval_and_what_is_planned_with() -> None:
    curve = pd.DataFrame({"load": [2.0, 3.0, 4.0], "share": [0.5, 1.0, 3.0]})
    figure = planning.requirement(curve, POINTS, (2.8, 3.0, 3.2), "req/s", "TTFT p95 ≤ 500 ms")
    shapes = {shape.name: shape for shape in figure.layout.shapes}
    assert (shapes["interval"].x0, shapes["interval"].x1) == (2.8, 3.2)
    assert shapes["SLO"].y0 == 1
    assert shapes["planned with"].x0 == 2.8
    bars = trace(figure, "measured").error_y
    assert list(bars.array) == pytest.approx([0.1, 1.0])
    assert list(bars.arrayminus) == pytest.approx([0.1, 0.5])
    assert "n = 9,000, measured 3 times" in trace(figure, "measured").customdata[1]
    assert {note.text for note in figure.layout.annotations} == {
        "planned with 2.80 req/s",
        "TTFT p95 ≤ 500 ms",
    }


def test_a_day_is_demand_and_one_line_per_policy() -> None:
    day = pd.DataFrame({"hour": np.arange(1440) / 60, "demand": 5.0, "static": 20.0, "reactive": 10.0})
    figure = planning.daily_profile(day, ("static", "reactive"))
    assert [each.name for each in figure.data] == ["demand", "static holds", "reactive holds"]
    assert {each.line.dash for each in figure.data[1:]} == {"solid", "dash"}
    assert tuple(figure.layout.xaxis.range) == (0, 24.0)


def test_a_tornado_goes_both_ways_from_the_plan_strongest_on_top() -> None:
    figure = planning.tornado(LEVERS, 5)
    low, high = trace(figure, "low"), trace(figure, "high")
    assert list(low.y) == ["Spare", "Traffic"]
    assert (list(low.x), list(high.x)) == ([-1, -2], [1, 2])
    assert low.base == high.base == 5
    assert "7 (20 % more)" in {note.text for note in figure.layout.annotations}


def test_break_even_is_logarithmic_and_marks_both_volumes() -> None:
    figure = planning.break_even(EVEN, 10.0, 30.0, "api/x")
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert trace(figure, "own replicas").line.shape == "hv"
    assert [shape.x0 for shape in figure.layout.shapes] == [10.0, 30.0]
    assert len(planning.break_even(EVEN, 10.0, None, "api/x").layout.shapes) == 1
