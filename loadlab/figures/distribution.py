"""How a metric is spread: the empirical distribution, or a histogram; every sample counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from loadlab.figures.axes import Axis, axis, bounds, quantity, scale
from loadlab.figures.theme import LIGHT, MAX_SERIES, Theme, figure, series_style

MAX_POINTS = 1_000
BINS = 60

Sample = npt.NDArray[np.float64]


def ecdf(
    samples: Mapping[str, Sample],
    metric: str | Axis,
    limit: float | None = None,
    theme: Theme = LIGHT,
    baseline: str | None = None,
) -> go.Figure:
    """Share of samples (%) at or below each value, one step curve per series with its n, at most six.

    `limit` draws the SLO at that value; the series named `baseline` is grey. Drawn with at most 1,000 points
    a series: the slowest are all kept.
    """
    words = metric if isinstance(metric, Axis) else axis(metric)
    known = {
        name: np.sort(values[np.isfinite(values)]) for name, values in list(samples.items())[:MAX_SERIES]
    }
    ends = [end for values in known.values() if values.size for end in (values[0], values[-1])]
    chart = figure(
        theme, 340,
        xaxis={"title": words.title, **scale([*ends, *([limit] if limit else [])])},
        yaxis={"title": "Share of samples (%)", "range": [0, 101], "tickvals": [0, 25, 50, 75, 95]},
    )  # fmt: skip
    for place, (name, values) in enumerate(known.items()):
        style = (theme.baseline, "solid") if name == baseline else series_style(place, theme)[::2]
        _add_steps(chart, f"{name} (n = {values.size:,})", values, style, words.unit)
    if limit:
        chart.add_vline(x=limit, line={"color": theme.slo, "width": 2, "dash": "dash"}, name="SLO")
    return chart.update_layout(showlegend=True)


def _add_steps(chart: go.Figure, name: str, values: Sample, style: tuple[str, ...], unit: str) -> None:
    ranks = _ranks(values.size)
    colour, dash = style
    chart.add_scatter(
        x=values[ranks], y=100 * (ranks + 1) / max(values.size, 1), name=name, mode="lines",
        line={"color": colour, "dash": dash, "width": 2, "shape": "hv"},
        customdata=[quantity(float(value), unit) for value in values[ranks]],
        hovertemplate="%{y:.1f} % at or below %{customdata}<extra>" + name + "</extra>",
    )  # fmt: skip


def _ranks(n: int) -> npt.NDArray[np.int64]:
    if n <= MAX_POINTS:
        return np.arange(n)
    tail = MAX_POINTS // 5
    return np.unique(
        np.concatenate([np.linspace(0, n - tail, MAX_POINTS - tail).astype(int), np.arange(n - tail, n)])
    )


def histogram(
    samples: Mapping[str, Sample], metric: str, limit: float | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Share of samples (%) in each of 60 bins, equally wide on the axis, one outline per series, at most six.

    `limit` draws the SLO at that value.
    """
    words = axis(metric)
    known = {name: values[np.isfinite(values)] for name, values in list(samples.items())[:MAX_SERIES]}
    settings = scale([value for values in known.values() for value in values])
    low, high = bounds(settings)
    edges = (
        np.geomspace(low, high, BINS + 1) if settings["type"] == "log" else np.linspace(low, high, BINS + 1)
    )
    chart = figure(
        theme, 340, xaxis={"title": words.title, **settings},
        yaxis={"title": "Share of samples (%)", "rangemode": "tozero"},
    )  # fmt: skip
    for place, (name, values) in enumerate(known.items()):
        colour, _, dash = series_style(place, theme)
        counts = np.histogram(values, bins=edges)[0]
        chart.add_scatter(
            x=edges[:-1], y=100 * counts / max(values.size, 1), mode="lines",
            name=f"{name} (n = {values.size:,})",
            line={"color": colour, "dash": dash, "width": 2, "shape": "hv"},
            customdata=[_between(float(edges[at]), float(edges[at + 1]), words.unit) for at in range(BINS)],
            hovertemplate="%{y:.1f} % from %{customdata}<extra>" + name + "</extra>",
        )  # fmt: skip
    if limit:
        chart.add_vline(x=limit, line={"color": theme.slo, "width": 2, "dash": "dash"}, name="SLO")
    return chart.update_layout(showlegend=True)


def _between(low: float, high: float, unit: str) -> str:
    return f"{quantity(low, unit)} to {quantity(high, unit)}"
