"""GPUs along a run's clock, below what the run got out of them; and output against power.

Which lanes a GPU has is data. A pause in the readings is a gap, as in every lane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.core.units import NS_PER_S
from loadlab.figures.axes import quantity, scale
from loadlab.figures.lanes import LANES, Lane
from loadlab.figures.theme import LIGHT, MAX_SERIES, Theme, figure, series_style

CLIENT = "client"
_HELD = {
    "throttled_by_power": "held back by power",
    "throttled_by_heat": "held back by heat",
    "throttled_otherwise": "held back otherwise",
}
_RUN = (
    Lane("Output, as the client saw it (tok/s)", CLIENT, {"output_tokens_per_s": "output"}, device="run"),
    Lane("Open requests, and those waiting in the server", CLIENT, {"open": "open"}, device="run"),
)
_AROUND = tuple(lane for lane in LANES if lane.source in ("server", "host", "generator"))


def gpu_lanes(devices: Sequence[str]) -> tuple[Lane, ...]:
    """The lanes of a page about hardware: the run, each GPU of `devices`, then server, host and generator."""
    own = [lane for device in devices for lane in _of(device)]
    return (*_RUN, *own, *_AROUND)


def _of(device: str) -> list[Lane]:
    busy = {"utilisation_percent": "busy", "memory_busy_percent": "memory busy"}
    return [
        Lane(f"{device}: busy (%)", "nvml", busy, top=100, device=device),
        Lane(f"{device}: power (W)", "nvml", {"power_w": "drawn", "power_limit_w": "limit"}, device=device),
        Lane(f"{device}: memory used (GB)", "nvml", {"memory_used_bytes": "used"}, 1e-9, device=device),
        Lane(f"{device}: temperature (°C)", "nvml", {"temperature_c": "temperature"}, device=device),
        Lane(
            f"{device}: SM clock (MHz), marks where it was held back", "nvml", {"sm_clock_mhz": "clock"},
            device=device, ticks=_HELD,
        ),
    ]  # fmt: skip


def served(timeline: pd.DataFrame) -> pd.DataFrame:
    """A timeline (of `analysis.timeline`) as readings of source "client", for the lanes of `gpu_lanes`."""
    if timeline.empty:
        return pd.DataFrame(columns=["at_ns", "source", "device", "metric", "value"])
    width_s = _width_s(timeline)
    middle_ns = (timeline["t_s"] + width_s / 2) * NS_PER_S
    columns = {"output_tokens_per_s": timeline["output_tokens"] / width_s, "open": timeline["in_flight"]}
    parts = [
        pd.DataFrame({"at_ns": middle_ns, "source": CLIENT, "device": "run", "metric": name, "value": values})
        for name, values in columns.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _width_s(timeline: pd.DataFrame) -> float:
    steps = timeline["t_s"].diff().dropna()
    return float(steps.iloc[0]) if len(steps) else 1.0


def power_scatter(points: pd.DataFrame, theme: Theme = LIGHT) -> go.Figure:
    """Output (tok/s) against the power of all GPUs (W), a point per bin of time, at most six levels.

    `points` hold `label`, `power_w` and `output_tokens_per_s`.
    """
    axes = [scale(points[name]) for name in ("power_w", "output_tokens_per_s")]
    chart = figure(
        theme, 380, showlegend=True, margin_t=60,
        xaxis={"title": "Power of all GPUs (W), lower is better", **axes[0]},
        yaxis={"title": "Output throughput (tok/s), higher is better", **axes[1]},
    )  # fmt: skip
    for place, (label, rows) in enumerate(list(points.groupby("label", sort=False))[:MAX_SERIES]):
        colour, symbol, _ = series_style(place, theme)
        per_token = np.where(
            rows["output_tokens_per_s"] > 0, rows["power_w"] / rows["output_tokens_per_s"], np.nan
        )
        chart.add_scatter(
            x=rows["power_w"], y=rows["output_tokens_per_s"], mode="markers", name=str(label),
            marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.7},
            customdata=[quantity(float(each), "J/tok") for each in per_token],
            hovertemplate="%{y:,.3~g} tok/s at %{x:,.3~g} W, %{customdata}<extra>" + str(label) + "</extra>",
        )  # fmt: skip
    return chart
