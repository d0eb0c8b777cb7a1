"""Vendors side by side: values with their intervals, the map of the day, listed and effective prices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.core.units import usd
from loadlab.figures.axes import Axis, scale
from loadlab.figures.curves import money_ticks
from loadlab.figures.theme import LIGHT, Theme, figure, series_style

_ROW_PX, _EDGE_PX = 44, 96


@dataclass(frozen=True, slots=True)
class Estimate:
    """A vendor's value with its 95 % interval and n; `note` stands beside the name, such as its tier."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""

    @property
    def label(self) -> str:
        """The name with its note, as the axis has it."""
        return f"{self.name} · {self.note}" if self.note else self.name


@dataclass(frozen=True, slots=True)
class Priced:
    """A vendor's listed and effective price in USD per million tokens; None is not known."""

    name: str
    listed: float | None
    effective: float | None


def forest(estimates: Sequence[Estimate], words: Axis, theme: Theme = LIGHT) -> go.Figure:
    """Each vendor's value as a point on a line of its own, the interval as a bar; in the order given."""
    known = [each for each in estimates if each.value is not None]
    ends = [end for each in known for end in (each.value, each.low, each.high) if end is not None]
    chart = figure(
        theme, _height(len(known)), showlegend=False, margin={"l": 16, "r": 24, "t": 24, "b": 52},
        xaxis={"title": words.title, **_close_scale(ends)}, yaxis=_names([each.label for each in known]),
    )  # fmt: skip
    for place, each in enumerate(known):
        chart.add_trace(_point(each, place, words, theme))
    return chart


def _height(rows: int) -> int:
    return _EDGE_PX + _ROW_PX * max(rows, 1)


def _names(labels: Sequence[str]) -> dict[str, Any]:
    """An axis of names, the first on top."""
    count = len(labels)
    return {
        "tickmode": "array", "tickvals": list(range(count)), "ticktext": list(labels),
        "range": [count - 0.4, -0.6], "showgrid": False,
    }  # fmt: skip


def _close_scale(ends: Sequence[float]) -> dict[str, Any]:
    """Around the values, as intervals are to be seen: points are no bars, and need no zero."""
    chosen = scale(ends)
    if chosen["type"] == "log" or not ends:
        return chosen
    low, high = min(ends), max(ends)
    room = 0.12 * ((high - low) or abs(high) or 1.0)
    return {**chosen, "range": [max(0.0, low - room), high + room]}


def _point(each: Estimate, place: int, words: Axis, theme: Theme) -> go.Scatter:
    colour, symbol, _ = series_style(place, theme)
    value = each.value or 0.0
    bar = None
    if each.low is not None and each.high is not None:
        bar = {
            "type": "data", "symmetric": False,
            "array": [each.high - value], "arrayminus": [value - each.low],
            "color": colour, "thickness": 2, "width": 6,
        }  # fmt: skip
    return go.Scatter(
        x=[value], y=[place], mode="markers+text", name=each.name, error_x=bar, cliponaxis=False,
        marker={"color": colour, "symbol": symbol, "size": 11},
        text=[words.text(each.value)], textposition="top center", textfont={"size": 11},
        customdata=[told(each, words)], hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def told(each: Estimate, words: Axis) -> str:
    """The value with its interval and n: "412 ms (398 ms … 431 ms), n = 560"."""
    span = "no interval"
    if each.low is not None and each.high is not None:
        span = f"{words.text(each.low)} … {words.text(each.high)}"
    return f"{each.name}: {words.text(each.value)} ({span}), n = {each.n:,}"


def day_map(hours: pd.DataFrame, vendors: Sequence[str], words: Axis, theme: Theme = LIGHT) -> go.Figure:
    """The median of a measure by vendor and part of the day (UTC), n in every cell.

    `hours` is that of `analysis.vendors`. A cell with too few answers has its n and no colour.
    """
    parts = sorted({(int(row["from_hour"]), int(row["hours"])) for row in hours.to_dict("records")})
    labels = [f"{start:02d}–{start + length:02d} h" for start, length in parts]
    values = np.full((len(vendors), len(parts)), np.nan)
    counts = np.zeros(values.shape, int)
    for row in hours.to_dict("records"):
        at = vendors.index(row["vendor"]), [start for start, _ in parts].index(row["from_hour"])
        values[at], counts[at] = row[words.column], row["n"]
    chart = figure(
        theme, _height(len(vendors)) + 20, margin={"l": 16, "r": 24, "t": 24, "b": 52},
        xaxis={"title": "Part of the day (UTC)", "tickmode": "array", "tickvals": [*range(len(parts))],
               "ticktext": labels, "showgrid": False, "range": [-0.5, max(len(parts), 1) - 0.5]},
        yaxis={**_names(list(vendors)), "range": [len(vendors) - 0.5, -0.5]},
    )  # fmt: skip
    chart.add_trace(_cells(values, counts, words, theme))
    for (vendor, part), count in np.ndenumerate(counts):
        if count and math.isnan(values[vendor, part]):
            chart.add_annotation(
                x=part,
                y=vendor,
                text=f"n = {count}",
                showarrow=False,
                font={"size": 11, "color": theme.muted},
            )
    return chart


def _cells(values: Any, counts: Any, words: Axis, theme: Theme) -> go.Heatmap:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    texts = [
        [
            "" if math.isnan(value) else f"{words.text(value)}<br>n = {count:,}"
            for value, count in zip(*row, strict=True)
        ]
        for row in zip(values, counts, strict=True)
    ]
    colours = theme.cost if words.better != "higher" else theme.cost[::-1]
    return go.Heatmap(
        z=values, text=texts, texttemplate="%{text}", textfont={"size": 11}, xgap=2, ygap=2,
        zmin=low if high > low else low - 1, zmax=high if high > low else low + 1, showscale=False,
        colorscale=[[place / 2, colour] for place, colour in enumerate(colours)],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def prices(listed: Sequence[Priced], theme: Theme = LIGHT) -> go.Figure:
    """Listed (hollow) and effective (filled) price of each vendor, joined: USD per million tokens."""
    known = [each for each in listed if each.listed is not None]
    dollars = scale([end for each in known for end in (each.listed, each.effective) if end is not None])
    chart = figure(
        theme, _height(len(known)) + 24, margin={"l": 16, "r": 24, "t": 44, "b": 52}, showlegend=True,
        xaxis={"title": "USD per million tokens, lower is better", **dollars, **money_ticks(dollars)},
        yaxis=_names([each.name for each in known]),
    )  # fmt: skip
    for place, each in enumerate(known):
        if each.effective is not None:
            chart.add_scatter(
                x=[each.listed, each.effective], y=[place, place], mode="lines", showlegend=False,
                hoverinfo="skip", line={"color": theme.muted, "width": 2},
            )  # fmt: skip
    for name, mark, values in (
        ("listed", "circle-open", [each.listed for each in known]),
        ("effective", "diamond", [each.effective for each in known]),
    ):
        place = 0 if name == "listed" else 1
        chart.add_scatter(
            x=values, y=list(range(len(known))), mode="markers+text", name=name, cliponaxis=False,
            marker={"symbol": mark, "size": 11, "color": theme.series[place], "line": {"width": 2}},
            text=[_price_label(each, name) for each in known],
            textposition="top center" if place else "bottom center", textfont={"size": 11},
            hovertemplate="%{text}<extra>" + name + "</extra>",
        )  # fmt: skip
    return chart


def _price_label(each: Priced, name: str) -> str:
    """The price beside its point; where both are one, said once."""
    value = each.listed if name == "listed" else each.effective
    same = each.listed and each.effective and abs(each.effective / each.listed - 1) < 0.005
    return "" if value is None or (same and name == "listed") else usd(value)
