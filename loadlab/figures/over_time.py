"""A run along its own clock: latency, throughput, open requests, failures. Seconds since the run began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.analysis.nouns import label
from loadlab.analysis.samples import column, ok, request_metrics
from loadlab.core.units import NS_PER_S
from loadlab.figures.axes import axis, quantity, scale
from loadlab.figures.theme import DASHES, LIGHT, MAX_SERIES, Theme, figure, series_style

MAX_DOTS = 2_000
_BINS = 60
CLOCK = "Time since the run began (s)"


@dataclass(frozen=True, slots=True)
class Band:
    """A level's stretch of the run: its label and its ends in seconds."""

    label: str
    start_s: float
    end_s: float


def bands_of(levels: pd.DataFrame, requests: pd.DataFrame) -> tuple[Band, ...]:
    """The stretch of each level that began, from the store's rows; an open one ends with its last request."""
    last = requests[["planned_ns", "done_ns"]].max().max()
    return tuple(
        Band(_level_label(row), row["started_ns"] / NS_PER_S, end / NS_PER_S)
        for row in levels.dropna(subset=["started_ns"]).to_dict("records")
        if pd.notna(end := last if pd.isna(row["finished_ns"]) else row["finished_ns"])
    )


def _level_label(row: dict[Any, Any]) -> str:
    return label({**row, "users": None if pd.isna(row["users"]) else int(row["users"])})


def latency_over_time(
    timeline: pd.DataFrame,
    requests: pd.DataFrame,
    bands: Sequence[Band] = (),
    ttft_limit_ms: float | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Three lanes on one clock: TTFT of each request with p50 and p95 per bin, output tok/s, open requests.

    `timeline` is that of `analysis.timeline`; `requests` are the store's rows, of which at most 2,000 are
    drawn, the slowest always. The SLO line stands in the first lane.
    """
    dots = _dots(requests)
    ttft = axis("ttft_ms")
    limits = [ttft_limit_ms] if ttft_limit_ms else []
    chart = figure(
        theme, 560,
        xaxis={"title": CLOCK, "anchor": "y3", "range": [0, _last_s(requests)]},
        yaxis={"title": ttft.short, "domain": [0.56, 1], **scale([*dots["ttft_ms"], *limits])},
        yaxis2={"title": "Output (tok/s)", "domain": [0.29, 0.50], "rangemode": "tozero"},
        yaxis3={"title": "Open requests", "domain": [0, 0.22], "rangemode": "tozero"},
    )  # fmt: skip
    _add_dots(chart, dots, theme)
    _add_percentiles(chart, timeline, theme)
    _add_lane(chart, timeline["t_s"], _per_second(timeline), "y2", "Output throughput", "tok/s", 2, theme)
    _add_lane(chart, timeline["t_s"], timeline["in_flight"], "y3", "Open requests", "", 5, theme)
    add_bands(chart, bands, theme)
    if ttft_limit_ms:
        chart.add_hline(
            y=ttft_limit_ms, line={"color": theme.slo, "width": 2, "dash": "dash"}, name="SLO", yref="y"
        )
    return chart


def errors_over_time(requests: pd.DataFrame, bands: Sequence[Band] = (), theme: Theme = LIGHT) -> go.Figure:
    """Failed requests per bin, stacked by error kind; the five commonest kinds have their own colour."""
    failed = requests[~ok(requests)]
    at = _ended_s(failed)
    edges = np.linspace(0, _last_s(requests), _BINS + 1)
    chart = figure(
        theme, 260, barmode="stack",
        xaxis={"title": CLOCK, "range": [0, edges[-1]]},
        yaxis={"title": "Failed requests", "rangemode": "tozero", "tickformat": ",d"},
    )  # fmt: skip
    for place, (kind, chosen) in enumerate(_kinds(failed)):
        counts = np.histogram(at[chosen], bins=edges)[0]
        chart.add_bar(
            x=edges[:-1] + np.diff(edges) / 2, y=counts, width=np.diff(edges),
            name=f"{kind} ({counts.sum():,})",
            marker={"color": series_style(place, theme)[0], "pattern": {"shape": _PATTERNS[place]}},
            hovertemplate="%{y} " + kind + "<extra></extra>",
        )  # fmt: skip
    add_bands(chart, bands, theme)
    most = np.histogram(at, bins=edges)[0].max(initial=0)
    return chart.update_layout(showlegend=True, yaxis_dtick=1 if most <= 5 else None)


_PATTERNS = ("", "/", "x", "-", "+", ".")


def _kinds(failed: pd.DataFrame) -> list[tuple[str, pd.Series[bool]]]:
    named = list(failed["error_kind"].value_counts().index)
    own, rest = named[: MAX_SERIES - 1], named[MAX_SERIES - 1 :]
    chosen = [(str(kind), failed["error_kind"] == kind) for kind in own]
    return [*chosen, ("other kinds", failed["error_kind"].isin(rest))] if rest else chosen


def _ended_s(requests: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    done = column(requests, "done_ns")
    return np.where(np.isnan(done), column(requests, "planned_ns"), done) / NS_PER_S


def _last_s(requests: pd.DataFrame) -> float:
    return float(np.max(_ended_s(requests), initial=1.0)) * 1.001


def _dots(requests: pd.DataFrame) -> pd.DataFrame:
    answered = requests[ok(requests)]
    dots = pd.DataFrame(
        {"t_s": column(answered, "sent_ns") / NS_PER_S, "ttft_ms": request_metrics(answered)["ttft_ms"]}
    ).dropna()
    if len(dots) <= MAX_DOTS:
        return dots
    slowest = dots.nlargest(MAX_DOTS // 10, "ttft_ms")
    rest = dots.drop(slowest.index)
    return pd.concat([slowest, rest.iloc[:: len(rest) // (MAX_DOTS - len(slowest)) + 1]])


def _add_dots(chart: go.Figure, dots: pd.DataFrame, theme: Theme) -> None:
    chart.add_scatter(
        x=dots["t_s"], y=dots["ttft_ms"], mode="markers", name="TTFT of one request", xaxis="x", yaxis="y",
        marker={"color": theme.muted, "size": 5, "opacity": 0.55},
        hovertemplate="%{y:,.0f} ms at %{x:.1f} s<extra>one request</extra>",
    )  # fmt: skip


def _add_percentiles(chart: go.Figure, timeline: pd.DataFrame, theme: Theme) -> None:
    width = _width(timeline)
    for place, name in enumerate(("ttft_ms_p50", "ttft_ms_p95")):
        known = timeline.dropna(subset=[name])
        chart.add_scatter(
            x=known["t_s"] + width / 2, y=known[name], mode="lines", xaxis="x", yaxis="y",
            name=f"TTFT {name[-3:]} per {width:g} s",
            line={"color": theme.series[place], "dash": DASHES[place]},
            customdata=[quantity(float(value), "ms") for value in known[name]],
            hovertemplate="%{customdata}<extra>" + name[-3:] + "</extra>",
        )  # fmt: skip


def _add_lane(
    chart: go.Figure, t_s: pd.Series[float], values: pd.Series[float], yaxis: str, name: str, unit: str,
    place: int, theme: Theme,
) -> None:  # fmt: skip
    chart.add_scatter(
        x=t_s, y=values, mode="lines", name=name, xaxis="x", yaxis=yaxis, showlegend=False,
        line={"color": theme.series[place], "width": 1.5, "shape": "hv"},
        hovertemplate="%{y:,.3~g} " + unit + "<extra>" + name + "</extra>",
    )  # fmt: skip


def _per_second(timeline: pd.DataFrame) -> pd.Series[float]:
    return timeline["output_tokens"] / _width(timeline)


def _width(timeline: pd.DataFrame) -> float:
    """The bin width in seconds. A run of one bin does not tell: it is read as one second."""
    steps = timeline["t_s"].diff().dropna()
    return round(float(steps.iloc[0]), 6) if len(steps) else 1.0


def add_bands(chart: go.Figure, bands: Sequence[Band], theme: Theme) -> None:
    """Shades every second band and writes the label of each that is wide enough above the plot."""
    whole = max((band.end_s for band in bands), default=0.0) - min(
        (band.start_s for band in bands), default=0.0
    )
    for place, band in enumerate(bands):
        if place % 2:
            chart.add_shape(
                type="rect", xref="x", yref="paper", x0=band.start_s, x1=band.end_s, y0=0, y1=1,
                fillcolor=theme.grid, opacity=0.45, line_width=0, layer="below",
            )  # fmt: skip
        if band.end_s - band.start_s >= 0.06 * whole:  # narrower, and the labels would overlap
            chart.add_annotation(
                text=band.label, x=(band.start_s + band.end_s) / 2, xref="x", y=1, yref="paper",
                yanchor="bottom", showarrow=False, font={"size": 11, "color": theme.muted},
            )  # fmt: skip
