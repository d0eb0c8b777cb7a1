"""Throughput against latency and the cost curve, asserted as data."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from curve_frames import curve

from loadlab.core.errors import UnknownNameError
from loadlab.figures import DARK, LIGHT, MAX_SERIES, Limit, cost_curve, tradeoff

TTFT = Limit("ttft_ms_p95", 500.0)


def traces(figure: go.Figure, mode: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.mode.startswith(mode)]


def shapes(figure: go.Figure, name: str) -> list[Any]:
    return [shape for shape in figure.layout.shapes if shape.name == name]


def test_axes_name_unit_and_direction() -> None:
    layout = tradeoff({"a": curve()}, limits=[TTFT]).layout
    assert layout.xaxis.title.text == "Time to first token p95 (ms), lower is better"
    assert layout.yaxis.title.text == "Output throughput (tok/s), higher is better"


def test_staircase_leaves_out_what_another_level_beats() -> None:
    (stairs,) = traces(tradeoff({"a": curve()}), "lines")
    assert list(stairs.x) == [80, 120, 400]
    assert list(stairs.y) == [90, 160, 240]
    assert stairs.line.shape == "hv"


def test_staircase_of_a_higher_is_better_axis_steps_the_other_way() -> None:
    (stairs,) = traces(tradeoff({"a": curve()}, x="interactivity_tok_s"), "lines")
    assert list(stairs.x) == [55, 80, 95]
    assert stairs.line.shape == "vh"


def test_invalid_level_is_hollow_uncoloured_and_off_the_staircase() -> None:
    frame = curve(verdict=["VALID", "VALID", "INVALID", "VALID"])
    figure = tradeoff({"a": frame})
    hollow = [trace for trace in traces(figure, "markers") if "circle-open" in trace.marker.symbol]
    assert [list(trace.x) for trace in hollow] == [[400]]
    assert hollow[0].marker.color == LIGHT.series[0]
    assert list(hollow[0].text) == ["4 INVALID"]
    assert 400 not in traces(figure, "lines")[0].x


def test_beaten_level_is_faded() -> None:
    (points,) = traces(tradeoff({"a": curve()}), "markers")
    assert list(points.marker.opacity) == [1, 1, 1, 0.5]


def test_price_colours_points_in_a_trace_of_their_own() -> None:
    figure = tradeoff({"a": curve()})
    (points,), (line,) = traces(figure, "markers"), traces(figure, "lines")
    assert points.marker.coloraxis == "coloraxis"
    assert line.marker.color is None
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["$0.330", "$0.545", "$0.900"]


def test_unpriced_run_keeps_the_series_colour() -> None:
    figure = tradeoff({"a": curve(usd_per_mtok_output=[None] * 4)})
    assert traces(figure, "markers")[0].marker.color == LIGHT.series[0]
    assert figure.layout.coloraxis.cmin is None


def test_slo_line_and_shade_reach_from_the_good_edge_to_the_limit() -> None:
    figure = tradeoff({"a": curve()}, limits=[TTFT])
    (line,), (shade,) = shapes(figure, "SLO"), shapes(figure, "meets SLO")
    assert (line.x0, line.x1) == (500, 500)
    assert shade.x1 == 500
    assert shade.x0 == pytest.approx(80 / 1.5)
    assert "SLO 500 ms" in [note.text for note in figure.layout.annotations]


def test_slo_on_the_other_axis_lies_across() -> None:
    figure = tradeoff({"a": curve()}, x="output_tokens_per_s", y="ttft_ms_p95", limits=[TTFT])
    assert shapes(figure, "SLO")[0].y0 == 500


def test_slo_on_neither_axis_draws_no_line() -> None:
    assert not tradeoff({"a": curve()}, x="interactivity_tok_s", limits=[TTFT]).layout.shapes


def test_hover_carries_n_verdict_and_why_the_slo_is_missed() -> None:
    (points,) = traces(tradeoff({"a": curve()}, limits=[TTFT]), "markers")
    assert "n = 80 · SUSPECT" in points.customdata[2]
    assert points.customdata[2].endswith("meets the SLO")
    assert points.customdata[3].endswith("misses the SLO: TTFT p95 900 ms")


def test_series_differ_in_colour_symbol_and_dash() -> None:
    figure = tradeoff({"a": curve(), "b": curve()}, theme=DARK)
    first, second = traces(figure, "lines")
    assert first.line.color != second.line.color
    assert first.line.dash != second.line.dash
    one, other = traces(figure, "markers")
    assert one.marker.symbol[0] != other.marker.symbol[0]
    assert figure.layout.showlegend


def test_at_most_six_curves_are_drawn() -> None:
    figure = tradeoff({str(n): curve() for n in range(MAX_SERIES + 3)})
    assert len(traces(figure, "lines")) == MAX_SERIES


def test_one_level_is_drawn() -> None:
    figure = tradeoff({"a": curve().head(1)}, limits=[TTFT])
    assert list(traces(figure, "markers")[0].x) == [80]
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["$0.900"]


def test_open_loop_levels_are_labelled_by_rate() -> None:
    frame = curve(users=[None] * 4, rate=[0.5, 1.0, 2.0, 4.0])
    assert list(traces(tradeoff({"a": frame}), "markers")[0].text) == ["0.5/s", "1/s", "2/s", "4/s"]


def test_themes_differ_in_paper_and_series() -> None:
    light, dark = (tradeoff({"a": curve()}, theme=theme) for theme in (LIGHT, DARK))
    assert light.layout.template.layout.paper_bgcolor == "#FFFFFF"
    assert dark.layout.template.layout.paper_bgcolor == "#1A1B1E"
    assert traces(light, "lines")[0].line.color != traces(dark, "lines")[0].line.color


def test_unknown_axis_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ttft_ms_p95'"):
        tradeoff({"a": curve()}, x="ttft_ms_p59")


def test_figure_is_light_enough_to_send() -> None:
    assert len(tradeoff({"a": curve()}, limits=[TTFT]).to_json()) < 8_000


def test_cost_curve_draws_priced_levels_by_throughput() -> None:
    figure = cost_curve({"a": curve(usd_per_mtok_output=[0.9, None, 0.33, 0.34])})
    (line,) = traces(figure, "lines")
    assert list(line.x) == [90, 230, 240]
    assert list(line.y) == [0.9, 0.34, 0.33]
    assert "lower is better" in figure.layout.yaxis.title.text
    assert figure.layout.yaxis.tickformat == "$,.2f"


def test_measured_interval_is_drawn_as_error_bars() -> None:
    frame = curve(ttft_ms_p95_low=[70.0, 100.0, 300.0, np.nan], ttft_ms_p95_high=[95.0, 150.0, 600.0, np.nan])
    (points,) = traces(tradeoff({"a": frame}), "markers")
    assert list(points.error_x.array) == [15, 30, 200, 0]
    assert list(points.error_x.arrayminus) == [10, 20, 100, 0]
    assert points.error_y.array is None


def test_dominated_levels_can_be_left_out() -> None:
    (points,) = traces(tradeoff({"a": curve()}, hide_dominated=True), "markers")
    assert list(points.x) == [80, 120, 400]


def test_axes_can_be_forced() -> None:
    assert tradeoff({"a": curve()}, kind="linear").layout.xaxis.type == "linear"
    assert tradeoff({"a": curve()}, kind="log").layout.yaxis.type == "log"
    nothing = curve(ttft_ms_p95=[0.0, 120.0, 400.0, 900.0])
    assert tradeoff({"a": nothing}, kind="log").layout.xaxis.type == "linear"
