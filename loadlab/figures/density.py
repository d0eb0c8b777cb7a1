"""How many requests had which TTFT when: a heat map, time across, TTFT (log) up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.analysis.samples import column, ok, request_metrics
from loadlab.core.units import NS_PER_S
from loadlab.figures.axes import axis, bounds, quantity, scale
from loadlab.figures.over_time import CLOCK, Band, add_bands
from loadlab.figures.theme import LIGHT, Theme, figure

ACROSS, UP = 80, 40


def density(requests: pd.DataFrame, bands: Sequence[Band] = (), theme: Theme = LIGHT) -> go.Figure:
    """Successful requests (the store's rows) by when they were sent and their TTFT, in 80 × 40 cells."""
    answered = requests[ok(requests)]
    t_s, ttft = column(answered, "sent_ns") / NS_PER_S, request_metrics(answered)["ttft_ms"].to_numpy()
    known = np.isfinite(t_s) & np.isfinite(ttft) & (ttft > 0)
    t_s, ttft = t_s[known], ttft[known]
    settings = scale(ttft)
    low, high = bounds(settings)
    log = settings["type"] == "log"
    edges = np.geomspace(low, high, UP + 1) if log else np.linspace(low, high, UP + 1)
    times = np.linspace(0, float(np.max(t_s, initial=1.0)) * 1.001, ACROSS + 1)
    counts = np.histogram2d(ttft, t_s, bins=(edges, times))[0]
    chart = figure(
        theme, 340, xaxis={"title": CLOCK, "range": [0, times[-1]]},
        yaxis={"title": axis("ttft_ms").title, **settings},
    )  # fmt: skip
    chart.add_heatmap(
        x=_middles(times, log=False), y=_middles(edges, log=log), z=np.where(counts > 0, counts, np.nan),
        colorscale=[[place / 2, colour] for place, colour in enumerate(theme.cost)], hoverongaps=False,
        colorbar={"title": {"text": "Requests", "side": "right"}, "outlinewidth": 0, "tickformat": ",d"},
        customdata=[[quantity(float(value), "ms")] * ACROSS for value in _middles(edges, log=log)],
        hovertemplate="%{z:,d} requests near %{customdata} at %{x:.1f} s<extra></extra>",
    )  # fmt: skip
    add_bands(chart, bands, theme)
    return chart


def _middles(edges: np.ndarray[tuple[int], np.dtype[np.float64]], *, log: bool) -> list[float]:
    found = np.sqrt(edges[:-1] * edges[1:]) if log else (edges[:-1] + edges[1:]) / 2
    return [float(value) for value in found]
