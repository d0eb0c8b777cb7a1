"""Money and GPUs as figures, asserted as data."""

from __future__ import annotations

import pandas as pd
import pytest

from loadlab.figures import (
    MAX_SERIES,
    Paid,
    gpu_lanes,
    idle_hours,
    lanes,
    list_and_effective,
    power_scatter,
    served,
    spend_per_day,
)
from loadlab.figures.spending import OTHERS

S = 1_000_000_000


def spent(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["day", "target", "usd"])


def test_days_are_stacked_by_group_the_dearest_first() -> None:
    figure = spend_per_day(
        spent(("d1", "a", 1.0), ("d1", "b", 5.0), ("d2", "a", 2.0), ("d1", "a", 1.0)), "target"
    )
    bars = {bar.name: list(bar.y) for bar in figure.data}
    assert bars == {"b ($5.00)": [5, 0], "a ($4.00)": [2, 2]}
    assert figure.layout.barmode == "stack"


def test_more_groups_than_colours_share_one() -> None:
    rows = spent(*(("d1", f"t{n}", float(10 - n)) for n in range(MAX_SERIES + 2)))
    figure = spend_per_day(rows, "target")
    assert len(figure.data) == MAX_SERIES
    assert figure.data[-1].name.startswith(OTHERS)
    assert list(figure.data[-1].y) == [5 + 4 + 3]


def test_budget_is_a_line() -> None:
    figure = spend_per_day(spent(("d1", "a", 1.0)), "target", 2.5)
    assert [shape.y0 for shape in figure.layout.shapes if shape.name == "budget"] == [2.5]


def test_dumbbell_joins_list_and_paid() -> None:
    figure = list_and_effective([Paid("a", 1.0, 1.5), Paid("b", 0.5, 0.4)])
    joined = [list(trace.x) for trace in figure.data if trace.mode == "lines"]
    assert joined == [[1.0, 1.5], [0.5, 0.4]]
    assert list(figure.layout.yaxis.ticktext) == ["a", "b"]


def test_idle_hours_divide_the_cost_and_mark_the_duty_in_force() -> None:
    line, mark = idle_hours({"a": (1.0, 0.5)}).data
    assert line.y[-1] == pytest.approx(1.0)
    assert line.y[0] == pytest.approx(20.0)
    assert (list(mark.x), list(mark.y)) == ([50], [2.0])


def readings(*rows: tuple[float, str, str, float]) -> pd.DataFrame:
    columns = ["at_ns", "source", "device", "metric", "value"]
    return pd.DataFrame([(t * S, "nvml", *rest) for t, *rest in rows], columns=columns)


def test_each_gpu_has_lanes_of_its_own_with_limit_and_marks() -> None:
    rows = [(float(t), gpu, metric, value) for t in range(5) for gpu in ("gpu0", "gpu1")
            for metric, value in (("power_w", 300.0), ("power_limit_w", 500.0), ("sm_clock_mhz", 1900.0),
                                  ("throttled_by_heat", float(t == 2)))]  # fmt: skip
    figure = lanes(readings(*rows), wanted=gpu_lanes(["gpu0"]))
    drawn = {trace.name: list(trace.y) for trace in figure.data}
    assert drawn["limit"] == [500] * 5
    assert drawn["drawn"] == [300] * 5
    (marks,) = [trace for trace in figure.data if trace.mode == "markers"]
    assert (list(marks.x), marks.name) == ([2.0], "gpu0 held back by heat")
    assert "gpu1" not in str(figure.layout.annotations)


def test_what_came_out_is_a_lane_on_the_same_clock() -> None:
    timeline = pd.DataFrame({"t_s": [0.0, 0.5], "output_tokens": [10.0, 20.0], "in_flight": [1.0, 2.0]})
    rows = served(timeline)
    assert rows["at_ns"].tolist()[:2] == [0.25 * S, 0.75 * S]
    figure = lanes(rows, wanted=gpu_lanes([]))
    assert [list(trace.y) for trace in figure.data] == [[20, 40], [1, 2]]


def test_power_scatter_has_a_series_per_level_and_energy_per_token() -> None:
    points = pd.DataFrame({"label": ["1 user", "2 users"], "power_w": [100.0, 150.0],
                           "output_tokens_per_s": [50.0, 0.0]})  # fmt: skip
    one, two = power_scatter(points).data
    assert (one.name, list(one.customdata)) == ("1 user", ["2.00 J/tok"])
    assert list(two.customdata) == ["–"]
