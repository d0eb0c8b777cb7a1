"""Throughput against latency, and what a million tokens cost at each level.

Frames are those of `analysis.curve`, one row per measured level. Measured points only: nothing is
interpolated beyond the staircase, which says "at least this much" and no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from loadlab.core import units
from loadlab.figures.axes import SCALES, Axis, axis, bounds, scale
from loadlab.figures.marks import COST, Curve, curves_of, line, points
from loadlab.figures.slo import Limit
from loadlab.figures.theme import LIGHT, Theme, figure

_ARROWS = {
    ("lower", "higher"): "↖",
    ("higher", "higher"): "↗",
    ("lower", "lower"): "↙",
    ("higher", "lower"): "↘",
}


def tradeoff(
    frames: Mapping[str, pd.DataFrame],
    x: str = "ttft_ms_p95",
    y: str = "output_tokens_per_s",
    limits: Sequence[Limit] = (),
    theme: Theme = LIGHT,
    kind: str = SCALES[0],
    hide_dominated: bool = False,
) -> go.Figure:
    """The staircase of what was reached, the measured points coloured by $/Mtok, the region meeting `limits`.

    Hollow points are INVALID, faded ones are beaten by another level on both axes, or left out with
    `hide_dominated`. Columns `<x>_low` and `<x>_high` (and those of y) are drawn as intervals. `kind` is of
    SCALES. At most six curves are drawn. Raises UnknownNameError for a column that is no axis.
    """
    across, up = axis(x), axis(y)
    curves = curves_of(frames, x, y, theme)
    if hide_dominated:
        curves = [replace(curve, frame=_undominated(curve.frame, x, y)) for curve in curves]
    x_scale, y_scale = (_scale(curves, column, limits, kind) for column in (x, y))
    chart = figure(
        theme, 440, xaxis={"title": across.title, **x_scale}, yaxis={"title": up.wrapped, **y_scale},
        showlegend=len(curves) > 1, margin_t=_top(curves),
    )  # fmt: skip
    costs = [cost for curve in curves for cost in curve.values(COST)]
    if costs:
        chart.update_layout(coloraxis=_cost_colours(costs, theme))
    for curve in curves:
        _add_curve(chart, curve, across, up, limits)
    for limit in limits:
        if limit.column in (x, y):
            _add_limit(chart, limit, x_scale if limit.column == x else y_scale, limit.column == x, theme)
    _add_better_corner(chart, across, up, theme)
    return chart


def cost_curve(
    frames: Mapping[str, pd.DataFrame], limits: Sequence[Limit] = (), theme: Theme = LIGHT
) -> go.Figure:
    """What a million output tokens cost ($) at each measured throughput; unpriced levels are left out."""
    x, y = "output_tokens_per_s", COST
    curves = curves_of(frames, x, y, theme)
    y_scale = _scale(curves, y, ())
    chart = figure(
        theme, 320, xaxis={"title": axis(x).title, **_scale(curves, x, ())}, margin_t=_top(curves),
        yaxis={"title": axis(y).wrapped, **y_scale, **money_ticks(y_scale)}, showlegend=len(curves) > 1,
    )  # fmt: skip
    for curve in curves:
        beside = "bottom center" if curve.place % 2 else "top center"
        chart.add_trace(line(curve, curve.frame.sort_values(x), x, y))
        chart.add_trace(points(curve, curve.frame, x, y, limits, beside))
    return chart


def frontier(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The levels no other level beats on both axes, ordered by `x`."""
    ordered = frame.sort_values([x, y], ascending=[axis(x).better != "higher", axis(y).better == "lower"])
    best = ordered[y].cummin() if axis(y).better == "lower" else ordered[y].cummax()
    return ordered[(ordered[y] == best) & ~best.duplicated()].sort_values(x)


def _undominated(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The levels of the staircase, and those that are INVALID: they are no part of it."""
    valid = frame["verdict"] != "INVALID"
    return frame[~valid | frame["level"].isin(frontier(frame[valid], x, y)["level"])]


def _top(curves: Sequence[Curve]) -> int:
    """Room above the plot: the legend, which one curve does not need, over the label of the SLO."""
    return 28 if len(curves) == 1 else 56 if len(curves) < 4 else 76


def _scale(
    curves: Sequence[Curve], column: str, limits: Sequence[Limit], kind: str = SCALES[0]
) -> dict[str, Any]:
    columns = (column, f"{column}_low", f"{column}_high")
    known = [
        value for curve in curves for name in columns if name in curve.frame for value in curve.values(name)
    ]
    return scale([*known, *(limit.value for limit in limits if limit.column == column)], kind)


def money_ticks(settings: dict[str, Any]) -> dict[str, Any]:
    """The ticks of a scale of USD."""
    if settings["type"] == "log":
        return {"ticktext": [units.usd(tick) for tick in settings["tickvals"]]}
    decimals = max(2, 1 - math.floor(math.log10(settings["range"][1])))
    return {"tickformat": f"$,.{decimals}f"}


def _add_curve(chart: go.Figure, curve: Curve, across: Axis, up: Axis, limits: Sequence[Limit]) -> None:
    x, y = across.column, up.column
    valid = curve.frame[curve.frame["verdict"] != "INVALID"]
    stairs = frontier(valid, x, y)
    chart.add_trace(line(curve, stairs, x, y, shape="vh" if across.better == "higher" else "hv"))
    # Two curves often share their x: the labels of the second go below, away from the stairs.
    below = "bottom left" if across.better == "higher" else "bottom right"
    beside = below if curve.place % 2 else "top center"
    priced = valid[valid[COST].notna()]
    # What has no price, or is not to be believed, keeps the series colour: a numeric scale cannot say that.
    plain = curve.frame.drop(priced.index)
    if len(priced):
        colours = {"color": [_exponent(cost) for cost in priced[COST]], "coloraxis": "coloraxis"}
        look = {**colours, "opacity": _opacity(priced, stairs)}
        chart.add_trace(points(curve, priced, x, y, limits, beside, **look))
    if len(plain):
        chart.add_trace(points(curve, plain, x, y, limits, beside, opacity=_opacity(plain, stairs)))


def _opacity(levels: pd.DataFrame, stairs: pd.DataFrame) -> list[float]:
    kept = levels["level"].isin(stairs["level"]) | (levels["verdict"] == "INVALID")
    return [1.0 if clear else 0.5 for clear in kept]


def _exponent(cost: float) -> float:
    return math.log10(max(cost, 1e-9))


def _cost_colours(costs: Sequence[float], theme: Theme) -> dict[str, Any]:
    low, high = _exponent(min(costs)), _exponent(max(costs))
    ticks = [low, (low + high) / 2, high]
    if high - low < 0.02:  # one price: a scale still needs two ends, but only the price is true
        low, high, ticks = low - 0.15, high + 0.15, [low]
    return {
        "colorscale": [[place / 2, colour] for place, colour in enumerate(theme.cost)],
        "cmin": low,
        "cmax": high,
        "colorbar": {
            "title": {"text": "$/Mtok output", "side": "right", "font": {"size": 12}},
            "tickvals": ticks,
            "ticktext": [units.usd(10**tick) for tick in ticks],
            "thickness": 12,
            "outlinewidth": 0,
        },
    }


def _add_limit(chart: go.Figure, limit: Limit, settings: dict[str, Any], upright: bool, theme: Theme) -> None:
    line_look = {"color": theme.slo, "width": 2, "dash": "dash"}
    shade = {"fillcolor": theme.shade, "line_width": 0, "layer": "below", "name": "meets SLO"}
    low, high = bounds(settings)
    ends = (limit.value, high) if limit.axis.better == "higher" else (low, limit.value)
    # Annotations on a log axis take the exponent where shapes take the value.
    place = math.log10(limit.value) if settings["type"] == "log" else limit.value
    if upright:
        chart.add_vline(x=limit.value, line=line_look, name="SLO").add_vrect(x0=ends[0], x1=ends[1], **shade)
        where = {"x": place, "y": 1, "yref": "paper"}
    else:
        chart.add_hline(y=limit.value, line=line_look, name="SLO").add_hrect(y0=ends[0], y1=ends[1], **shade)
        where = {"x": 1, "y": place, "xref": "paper", "xanchor": "right"}
    label = f"SLO {limit.axis.text(limit.value)}"
    font = {"color": theme.slo, "size": 12}
    chart.add_annotation(text=label, showarrow=False, yanchor="bottom", font=font, **where)


def _add_better_corner(chart: go.Figure, across: Axis, up: Axis, theme: Theme) -> None:
    arrow = _ARROWS.get((across.better, up.better))
    if arrow is None:
        return
    x, anchor = (0.99, "right") if across.better == "higher" else (0.01, "left")
    chart.add_annotation(
        text=f"{arrow} better", xref="paper", yref="paper", x=x, y=0.98 if up.better == "higher" else 0.02,
        xanchor=anchor, showarrow=False, font={"color": theme.muted, "size": 12},
    )  # fmt: skip
