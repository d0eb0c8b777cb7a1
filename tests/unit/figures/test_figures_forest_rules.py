"""Forest plots and rules of gates, asserted as data."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from loadlab.analysis.compare import Difference
from loadlab.analysis.measures import parse
from loadlab.figures import LIGHT, MAX_RULES, RuleRow, forest, gate_trend, rule_dots


def difference(name: str, ratio: float | None, low: float | None, high: float | None) -> Difference:
    return Difference(parse(name), 100.0, 110.0, ratio, low, high, "worse")


SLOWER = [
    difference("ttft_ms.p95", 1.2, 1.1, 1.3),
    difference("usd_per_mtok_output", 0.8, None, None),
    difference("output_tokens_per_s", 0.9, 0.85, 0.95),
    difference("e2e_ms.p50", None, None, None),
]


def points(figure: go.Figure) -> list[tuple[str, float]]:
    return [(trace.xaxis, ratio) for trace in figure.data for ratio in trace.x]


def test_forest_separates_metrics_by_their_better_side() -> None:
    figure = forest({"b": SLOWER})
    assert points(figure) == [("x", 1.2), ("x", 0.8), ("x2", 0.9)]
    assert figure.layout.yaxis.ticktext == ("Time to first token p95", "Cost per million output tokens")
    notes = {note.text: note.xanchor for note in figure.layout.annotations}
    assert notes == {"◀ better": "left", "better ▶": "right"}


def test_forest_is_logarithmic_with_a_line_at_one_and_a_band_around_it() -> None:
    layout = forest({"b": SLOWER}).layout
    assert layout.xaxis.type == layout.xaxis2.type == "log"
    assert layout.xaxis.range == layout.xaxis2.range
    assert [(shape.x0, shape.x1) for shape in layout.shapes if shape.name == "the same"] == [(1, 1)] * 2
    assert (layout.shapes[0].x0, layout.shapes[0].x1) == (0.97, 1.03)


def test_forest_ratio_without_an_interval_is_hollow() -> None:
    trace = forest({"b": SLOWER}).data[0]
    assert list(trace.marker.symbol) == ["diamond", "diamond-open"]
    assert list(trace.error_x.array) == pytest.approx([0.1, 0.0])


def test_forest_series_stand_apart_on_their_row() -> None:
    figure = forest({"b": SLOWER[:1], "c": SLOWER[:1]})
    assert [list(trace.y) for trace in figure.data] == [[-0.175], [0.175]]
    assert figure.data[0].marker.color != figure.data[1].marker.color


def test_rule_has_a_dot_per_run_and_its_limit() -> None:
    row = RuleRow("ttft_ms.p50", "FAIL", "ms", (50.0, 52.0), (60.0,), 61.0, 58.0, 64.0, 56.0)
    figure = rule_dots([row])
    dots = {trace.name: list(trace.x) for trace in figure.data}
    assert dots == {"base": [50, 52], "candidate": [60], "judged": [61]}
    assert [shape.x0 for shape in figure.layout.shapes if shape.name == "limit"] == [56]
    (tint,) = [shape for shape in figure.layout.shapes if shape.name == "within the limit"]
    assert tint.x1 == 56
    assert figure.layout.annotations[0].text == "<b>ttft_ms.p50</b> · FAIL · limit 56.0 ms"
    assert figure.data[0].marker.color == LIGHT.baseline


def test_rule_that_bounds_from_below_is_tinted_above() -> None:
    row = RuleRow("output_tokens_per_s", "PASS", "tok/s", candidate=(120.0,), limit=100.0, upper=False)
    (tint,) = [shape for shape in rule_dots([row]).layout.shapes if shape.name == "within the limit"]
    assert tint.x0 == 100


def test_no_more_rules_than_lanes() -> None:
    rows = [RuleRow(str(place), "PASS", "ms", candidate=(1.0,)) for place in range(MAX_RULES + 2)]
    assert len(rule_dots(rows).data) == MAX_RULES


def test_trend_stacks_outcomes_and_leaves_out_those_that_never_came() -> None:
    days = {"2026-11-20": {"PASS": 2, "FAIL": 0, "INVALID": 0}, "2026-11-21": {"PASS": 1, "FAIL": 3}}
    figure = gate_trend(days)
    assert {bar.name: list(bar.y) for bar in figure.data} == {"PASS (3)": [2, 1], "FAIL (3)": [0, 3]}
    assert figure.data[0].marker.pattern.shape != figure.data[1].marker.pattern.shape
