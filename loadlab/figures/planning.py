"""A capacity plan drawn: what a replica holds, replicas by peak, a day, what moves it, own against API.

Frames are those of `loadlab.planner.frames`. Nothing is computed here; nothing lies beyond a measured load.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from loadlab.core import units
from loadlab.figures.axes import scale
from loadlab.figures.theme import DASHES, LIGHT, Theme, figure

_SLO = {"width": 2, "dash": "dash"}


def requirement(
    curve: pd.DataFrame,
    points: pd.DataFrame,
    capacity: tuple[float, float, float],
    unit: str,
    words: str,
    theme: Theme = LIGHT,
) -> go.Figure:
    """The binding requirement over the load of one replica: 1 just keeps the limit.

    `capacity` is (low, point, high) in `unit`; between its ends it is shaded. Points carry their 90 %
    interval.
    """
    low, _, high = capacity
    shares = [*curve["share"], *points["low"], *points["high"], 1.0]
    chart = figure(
        theme, 330, showlegend=False, margin_t=28,
        xaxis={"title": f"Load on one replica ({unit})", "range": [0, float(points["load"].max()) * 1.08]},
        yaxis={"title": "Share of the limit, lower is better", **scale(shares)},
    )  # fmt: skip
    chart.add_scatter(
        x=curve["load"], y=curve["share"], mode="lines", name="curve", hoverinfo="skip",
        line={"color": theme.series[0], "width": 2},
    )  # fmt: skip
    chart.add_scatter(
        x=points["load"], y=points["share"], mode="markers", name="measured", cliponaxis=False,
        marker={"color": theme.series[0], "size": 9},
        error_y={
            "type": "data", "symmetric": False, "array": (points["high"] - points["share"]).clip(lower=0),
            "arrayminus": (points["share"] - points["low"]).clip(lower=0),
            "color": theme.series[0], "thickness": 1.2,
        },
        customdata=[_point_words(row) for row in points.to_dict("records")],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    chart.add_hline(y=1, line={"color": theme.slo, **_SLO}, name="SLO")
    chart.add_vrect(x0=low, x1=high, fillcolor=theme.shade, line_width=0, layer="below", name="interval")
    chart.add_vline(x=low, line={"color": theme.series[1], "width": 2}, name="planned with")
    label = f"planned with {units.number(low)} {unit}"
    right = low < 0.55 * float(points["load"].max())
    chart.add_annotation(
        text=label, x=low, y=1, yref="paper", yanchor="bottom", showarrow=False,
        xanchor="left" if right else "right", font={"size": 12, "color": theme.series[1]},
    )  # fmt: skip
    return _limit_label(chart, words, theme)


def _limit_label(chart: go.Figure, words: str, theme: Theme) -> go.Figure:
    # Annotations on a log axis take the exponent where lines take the value.
    height = 0 if chart.layout.yaxis.type == "log" else 1
    return chart.add_annotation(
        text=words, x=0.01, xref="paper", y=height, yref="y", yanchor="bottom", xanchor="left",
        showarrow=False, font={"size": 12, "color": theme.slo},
    )  # fmt: skip


def _point_words(row: dict[Any, Any]) -> str:
    runs = "once" if row["repeats"] == 1 else f"{row['repeats']} times"
    return (
        f"<b>{row['offered']}</b><br>{units.number(row['share'])} of the limit, 90 %: "
        f"{units.number(row['low'])} … {units.number(row['high'])}<br>n = {row['answers']:,}, measured {runs}"
    )


def replica_steps(
    steps: pd.DataFrame, chosen: tuple[float, int], unit: str, theme: Theme = LIGHT
) -> go.Figure:
    """Replicas (spare included) by peak load; the band below them is what the interval leaves open."""
    peak, count = chosen
    chart = figure(
        theme, 330, showlegend=True,
        xaxis={"title": f"Peak load ({unit})", "range": [0, float(steps["peak"].max())], "tickformat": ","},
        yaxis={"title": "Replicas, spare included", "rangemode": "tozero", "tickformat": ",d"},
    )  # fmt: skip
    chart.add_scatter(
        x=steps["peak"], y=steps["fewest"], mode="lines", name="by the high end of the capacity",
        hoverinfo="skip", line={"color": theme.muted, "width": 1.5, "dash": DASHES[2], "shape": "hv"},
    )  # fmt: skip
    chart.add_scatter(
        x=steps["peak"], y=steps["replicas"], mode="lines", name="planned (low end)", fill="tonexty",
        fillcolor=theme.shade, line={"color": theme.series[0], "width": 2, "shape": "hv"},
        hovertemplate="%{y} replicas up to %{x:,.3~g} " + unit + "<extra></extra>",
    )  # fmt: skip
    chart.add_scatter(
        x=[peak], y=[count], mode="markers+text", name="this plan", text=[f"{count:,}"],
        textposition="top left", marker={"color": theme.series[1], "size": 13, "symbol": "diamond"},
        cliponaxis=False,
        hovertemplate=f"{count:,} replicas for %{{x:,.3~g}} {unit}<extra>this plan</extra>",
    )  # fmt: skip
    return chart


def daily_profile(day: pd.DataFrame, policies: tuple[str, ...], theme: Theme = LIGHT) -> go.Figure:
    """Demand over the hours, and what the replicas of each policy hold; below the demand it queues."""
    chart = figure(
        theme, 340, showlegend=True,
        xaxis={"title": "Hour", "range": [0, len(day) / 60], "dtick": 3 if len(day) > 600 else 1},
        yaxis={"title": "Requests per second", "rangemode": "tozero", "tickformat": ","},
    )  # fmt: skip
    chart.add_scatter(
        x=day["hour"], y=day["demand"], mode="lines", name="demand", fill="tozeroy", fillcolor=theme.shade,
        line={"color": theme.slo, "width": 2, "shape": "hv"},
        hovertemplate="%{y:,.3~g} req/s<extra>demand</extra>",
    )  # fmt: skip
    thin = day.iloc[:: max(1, len(day) // 1440)]
    for place, policy in enumerate(policies):
        chart.add_scatter(
            x=thin["hour"], y=thin[policy], mode="lines", name=f"{policy} holds",
            line={"color": theme.series[place], "width": 1.8, "dash": DASHES[place], "shape": "hv"},
            hovertemplate="%{y:,.3~g} req/s<extra>" + policy + "</extra>",
        )  # fmt: skip
    return chart


def tornado(levers: pd.DataFrame, replicas: int, theme: Theme = LIGHT) -> go.Figure:
    """Replicas when one thing changes, the strongest on top; the line is the plan."""
    rows = levers.iloc[::-1]
    chart = figure(
        theme, 90 + 46 * len(rows), showlegend=False, barmode="overlay", margin_t=16,
        xaxis={"title": "Replicas", "tickformat": ",d", "range": _around(levers, replicas)},
        yaxis={"type": "category"},
    )  # fmt: skip
    for side, place in (("low", 0), ("high", 1)):
        moved = rows[side] - replicas
        chart.add_bar(
            y=rows["name"], x=moved, base=replicas, orientation="h", name=side, width=0.5,
            marker={"color": theme.series[place], "pattern": {"shape": ("", "/")[place]}},
            customdata=[f"{row[side]:,} replicas at {row[f'{side}_words']}" for _, row in rows.iterrows()],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )  # fmt: skip
        for _, row in rows.iterrows():
            chart.add_annotation(
                x=row[side], y=row["name"], text=f"{row[side]:,} ({row[f'{side}_words']})", showarrow=False,
                xanchor="right" if side == "low" else "left", xshift=-6 if side == "low" else 6,
                font={"size": 12, "color": theme.muted},
            )  # fmt: skip
    return chart.add_vline(x=replicas, line={"color": theme.text, "width": 1.5})


def _around(levers: pd.DataFrame, replicas: int) -> list[float]:
    """Room for the labels on both sides."""
    low, high = float(min(levers["low"].min(), replicas)), float(max(levers["high"].max(), replicas))
    room = max(1.0, 0.9 * (high - low))
    return [low - room, high + room]


def break_even(
    even: pd.DataFrame, planned: float, cheaper_from: float | None, api: str, theme: Theme = LIGHT
) -> go.Figure:
    """USD a month by million tokens a month, both logarithmic: own in steps, the API in proportion."""
    money, volume = [*even["own"], *even["api"]], list(even["mtok"])
    chart = figure(
        theme, 340, showlegend=True,
        xaxis={"title": "Prompt and output tokens (Mtok a month)", **_log(volume)},
        yaxis={"title": "USD a month, lower is better", **_log([value for value in money if value > 0], "$")},
    )  # fmt: skip
    for place, (column, name) in enumerate((("own", "own replicas"), ("api", api))):
        chart.add_scatter(
            x=even["mtok"], y=even[column], mode="lines", name=name,
            line={
                "color": theme.series[place], "dash": DASHES[place], "width": 2,
                "shape": ("hv", "linear")[place],
            },
            hovertemplate="$%{y:,.3~s} at %{x:,.3~s} Mtok<extra>" + name + "</extra>",
        )  # fmt: skip
    marks = [(planned, "this plan", theme.text), (cheaper_from, "own is cheaper from here", theme.slo)]
    for at, words, colour in marks:
        if at:
            chart.add_vline(x=at, line={"color": colour, "width": 1.5, "dash": "dot"}, name=words)
            chart.add_annotation(**_label(at, words, colour, even, low=words != "this plan"))
    return chart


def _label(at: float, words: str, colour: str, even: pd.DataFrame, low: bool) -> dict[str, Any]:
    middle = math.sqrt(float(even["mtok"].iloc[0] * even["mtok"].iloc[-1]))
    return {
        "x": math.log10(at), "y": 0.88 if low else 0.98, "yref": "paper", "text": words, "showarrow": False,
        "xanchor": "left" if at <= middle else "right", "yanchor": "top",
        "font": {"size": 12, "color": colour},
    }  # fmt: skip


def _log(values: list[float], sign: str = "") -> dict[str, Any]:
    """A logarithmic axis with a label per decade."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    ticks = [10.0**power for power in range(low, high + 1)]
    words = [sign + (f"{tick:,.0f}" if tick >= 1 else f"{tick:g}") for tick in ticks]
    ends = [math.log10(min(values)), math.log10(max(values) * 1.3)]
    return {"type": "log", "range": ends, "tickvals": ticks, "ticktext": words}
