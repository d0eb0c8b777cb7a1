"""Readings of hardware, server and generator as lanes on the run's clock. A pause in sampling is a gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.analysis.percentiles import describe
from loadlab.core.units import NS_PER_S
from loadlab.figures.over_time import CLOCK, Band, add_bands
from loadlab.figures.theme import LIGHT, MAX_SERIES, Theme, figure, series_style

MAX_POINTS = 600
_LANE_PX, _EDGE_PX = 118, 110


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: readings of `source`, each metric with the word for it in the legend, times `factor`.

    With `rate` the metrics are counters, and what they gain per second is drawn. `device` keeps the lane to
    one. `ticks` are metrics of which only the moments above 0 are marked, at the foot of the lane.
    """

    title: str
    source: str
    metrics: dict[str, str]
    factor: float = 1.0
    top: float | None = None
    rate: bool = False
    device: str | None = None
    ticks: Mapping[str, str] = field(default_factory=dict)


LANES = (
    Lane("GPU busy (%)", "nvml", {"utilisation_percent": ""}, top=100),
    Lane("GPU memory used (GB)", "nvml", {"memory_used_bytes": ""}, factor=1e-9),
    Lane("GPU power (W)", "nvml", {"power_w": ""}),
    Lane("GPU temperature (°C)", "nvml", {"temperature_c": ""}),
    Lane("GPU SM clock (MHz)", "nvml", {"sm_clock_mhz": ""}),
    Lane(
        "GPU held back (1: yes)",
        "nvml",
        {
            "throttled_by_power": "by power",
            "throttled_by_heat": "by heat",
            "throttled_otherwise": "otherwise",
        },
        top=1,
    ),
    Lane("PCIe (GB/s)", "nvml", {"pcie_tx_bytes_per_s": "out", "pcie_rx_bytes_per_s": "in"}, factor=1e-9),
    Lane("NVLink (GB/s)", "nvml", {"nvlink_tx_bytes": "out", "nvlink_rx_bytes": "in"}, 1e-9, rate=True),
    Lane("Server's own tokens (1/s)", "server", {"generation_tokens": ""}, rate=True),
    Lane("Requests in the server", "server", {"running": "running", "waiting": "waiting"}),
    Lane("KV cache used (%)", "server", {"kv_cache_use": ""}, factor=100, top=100),
    Lane(
        "Host CPU (%)", "host", {"cpu_percent": "all cores", "busiest_core_percent": "busiest core"}, top=100
    ),
    Lane("Host memory used (GB)", "host", {"memory_used_bytes": ""}, factor=1e-9),
    Lane("Load generator CPU (% of a core)", "generator", {"cpu_percent": ""}),
    Lane("Load generator stalls (ms)", "generator", {"hub_stall_ms": ""}),
)


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    t_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    values: np.ndarray[tuple[int], np.dtype[np.float64]]


def lanes(
    readings: pd.DataFrame,
    bands: Sequence[Band] = (),
    theme: Theme = LIGHT,
    wanted: Sequence[Lane] = LANES,
) -> go.Figure:
    """A lane for each kind of reading that is there, one line per device; at most 600 points a line.

    `readings` are the store's rows. The figure has no lane when nothing known was read.
    """
    known = [(lane, series) for lane in wanted if (series := list(_series(lane, readings)))]
    chart = figure(theme, _EDGE_PX + _LANE_PX * len(known), showlegend=True)
    if not known:
        return chart
    for place, (lane, series) in enumerate(known):
        _add_lane(chart, lane, series, place, len(known), theme)
        _add_ticks(chart, lane, readings, place, theme)
    last = max((float(each.t_s[-1]) for _, series in known for each in series))
    chart.update_xaxes(title=CLOCK, range=[0, last], anchor=_axis("y", len(known) - 1))
    add_bands(chart, bands, theme)
    return _each_name_once(chart)


def _each_name_once(chart: go.Figure) -> go.Figure:
    """One legend entry for lines of one name and look; clicking it hides them all."""
    seen = set()
    for trace in chart.data:
        look = (trace.name, trace.line.color, trace.line.dash)
        trace.update(legendgroup=trace.name, showlegend=trace.showlegend is not False and look not in seen)
        seen.add(look)
    return chart


def lane_statistics(readings: pd.DataFrame, wanted: Sequence[Lane] = LANES) -> list[dict[str, Any]]:
    """One dict per line of `lanes`: lane, series, n, mean, p95 and max in the lane's unit."""
    return [
        {"lane": lane.title, "series": each.name, **describe(each.values)}
        for lane in wanted
        for each in _series(lane, readings)
    ]


def _series(lane: Lane, readings: pd.DataFrame) -> Iterator[_Series]:
    own = _own(lane, readings, list(lane.metrics))
    order: dict[Any, int] = {metric: place for place, metric in enumerate(lane.metrics)}
    groups = sorted(own.groupby(["device", "metric"]), key=lambda group: (group[0][0], order[group[0][1]]))
    for (device, metric), rows in groups[:MAX_SERIES]:
        word = lane.metrics[str(metric)]
        t_s, values = rows["at_ns"].to_numpy(np.float64) / NS_PER_S, rows["value"].to_numpy(np.float64)
        if lane.rate:
            t_s, values = _per_s(t_s, values)
        if len(t_s):
            t_s, values = _with_gaps(t_s, values)
            name = word if lane.device and word else f"{device} {word}".strip()
            yield _Series(name, t_s, values * lane.factor)


def _own(lane: Lane, readings: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    chosen = (readings["source"] == lane.source) & readings["metric"].isin(metrics)
    return readings[chosen if lane.device is None else chosen & (readings["device"] == lane.device)]


def _per_s(
    t_s: np.ndarray[tuple[int], np.dtype[np.float64]], values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """What a counter gained per second up to each reading; unknown where it went back."""
    gained, took = np.diff(values), np.diff(t_s)
    known = took > 0
    rates = np.where(gained[known] < 0, np.nan, gained[known] / took[known])
    return t_s[1:][known], rates


def _with_gaps(
    t_s: np.ndarray[tuple[int], np.dtype[np.float64]], values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """At most 600 points, with a NaN wherever three periods or more passed without a reading."""
    step = len(t_s) // MAX_POINTS + 1
    t_s, values = t_s[::step], values[::step]
    pauses = np.diff(t_s)
    gaps = np.flatnonzero(pauses > 3 * np.median(pauses)) + 1 if len(pauses) else np.array([], dtype=int)
    return np.insert(t_s, gaps, t_s[gaps - 1]), np.insert(values, gaps, np.nan)


def _add_lane(
    chart: go.Figure, lane: Lane, series: Sequence[_Series], place: int, lanes: int, theme: Theme
) -> None:
    top, height = 1 - place / lanes, 1 / lanes
    domain = [max(0.0, top - height * 0.96), top - height * 0.24]  # the title stands above it
    end = {"range": [0, lane.top * 1.05]} if lane.top else {"rangemode": "tozero"}
    chart.update_layout({_axis("yaxis", place): {"domain": domain, "nticks": 4, **end}})
    chart.add_annotation(
        text=lane.title, x=0, xref="paper", xanchor="left", y=domain[1], yref="paper", yanchor="bottom",
        showarrow=False, font={"size": 12, "color": theme.text},
    )  # fmt: skip
    for index, each in enumerate(series):
        colour, _, dash = series_style(index, theme)
        chart.add_scatter(
            x=each.t_s, y=each.values, mode="lines", name=each.name, xaxis="x", yaxis=_axis("y", place),
            line={"color": colour, "dash": dash, "width": 1.5}, connectgaps=False,
            showlegend=len(series) > 1,
            hovertemplate="%{y:,.4~g} at %{x:.1f} s<extra>" + each.name + "</extra>",
        )  # fmt: skip


def _add_ticks(chart: go.Figure, lane: Lane, readings: pd.DataFrame, place: int, theme: Theme) -> None:
    own = _own(lane, readings, list(lane.ticks))
    for index, (metric, word) in enumerate(lane.ticks.items()):
        rows = own[(own["metric"] == metric) & (own["value"] > 0)]
        if rows.empty:
            continue
        t_s = rows["at_ns"].to_numpy(np.float64)[:: len(rows) // MAX_POINTS + 1] / NS_PER_S
        colour, symbol, _ = series_style(index + 1, theme)
        chart.add_scatter(
            x=t_s, y=np.zeros(len(t_s)), mode="markers", name=f"{lane.device or ''} {word}".strip(),
            xaxis="x", yaxis=_axis("y", place), cliponaxis=False,
            marker={"color": colour, "symbol": f"{symbol}-open", "size": 7},
            hovertemplate="%{x:.1f} s<extra>" + word + "</extra>",
        )  # fmt: skip


def _axis(name: str, place: int) -> str:
    return f"{name}{place + 1}" if place else name
