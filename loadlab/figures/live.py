"""A run while it lasts, as lanes that grow: requests, TTFT, gaps, tokens, GPU, the client itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from loadlab.figures.over_time import CLOCK
from loadlab.figures.theme import DASHES, LIGHT, Theme, figure

_LANE_PX, _EDGE_PX = 112, 80


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: its title, the columns drawn in it with the words for them; `log`: how its axis counts."""

    title: str
    columns: dict[str, str]
    log: bool = False


LANES = (
    Lane("Requests ended (1/s)", {"requests_per_s": "all", "errors_per_s": "failed"}),
    Lane("TTFT (ms)", {"ttft_p50": "p50", "ttft_p95": "p95"}, log=True),
    Lane("Inter-token latency (ms)", {"itl_p50": "p50", "itl_p95": "p95"}, log=True),
    Lane("Output of answers that ended (tok/s)", {"output_tok_s": "tok/s"}),
    Lane("GPU busy (%)", {"gpu_percent": "mean of the GPUs"}),
    Lane("Load generator CPU (% of a core)", {"client_percent": "busiest worker"}),
)
_GPU = "gpu_percent"
_TICKS = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]


def lanes(*, gpu: bool) -> list[Lane]:
    """The lanes of a run; without a GPU that is read there is none for it."""
    return [lane for lane in LANES if gpu or _GPU not in lane.columns]


def live(
    bins: pd.DataFrame, ttft_limit_ms: float | None = None, theme: Theme = LIGHT, *, gpu: bool = True
) -> go.Figure:
    """The lanes, one trace for each of their columns in order, which `extension` continues.

    `bins` has `t_s` (seconds since the run began) and those columns, NaN where nothing is known. TTFT's lane
    has the SLO.
    """
    shown = lanes(gpu=gpu)
    chart = figure(theme, _EDGE_PX + _LANE_PX * len(shown), showlegend=False, hovermode="x")
    for place, lane in enumerate(shown):
        _add_lane(chart, bins, lane, place, len(shown), theme)
    chart.update_xaxes(title=CLOCK, anchor=f"y{len(shown)}", rangemode="tozero").update_layout(margin_t=28)
    if ttft_limit_ms:
        chart.add_shape(
            type="line", xref="paper", x0=0, x1=1, yref="y2", y0=ttft_limit_ms, y1=ttft_limit_ms,
            line={"color": theme.slo, "width": 2, "dash": "dash"}, name="SLO",
        )  # fmt: skip
    return chart


def extension(bins: pd.DataFrame, at_most: int, *, gpu: bool = True) -> list[Any]:
    """What `dcc.Graph(extendData=…)` wants to continue the traces of `live` with further bins."""
    columns = [column for lane in lanes(gpu=gpu) for column in lane.columns]
    more = {"x": [_plain(bins["t_s"])] * len(columns), "y": [_plain(bins[column]) for column in columns]}
    return [more, list(range(len(columns))), at_most]


def _plain(values: pd.Series[float]) -> list[float | None]:
    """A list that JSON can hold. plotly.js extends no array that came to it packed."""
    return [None if pd.isna(value) else float(value) for value in values]


def _add_lane(chart: go.Figure, bins: pd.DataFrame, lane: Lane, place: int, among: int, theme: Theme) -> None:
    top, height = 1 - place / among, 1 / among
    domain = [max(0.0, top - height * 0.96), top - height * 0.26]
    ends = (
        {"type": "log", "tickvals": _TICKS, "ticktext": [f"{tick:,}" for tick in _TICKS]}
        if lane.log
        else {"rangemode": "tozero", "nticks": 4}
    )
    chart.update_layout({f"yaxis{place + 1}" if place else "yaxis": {"domain": domain, **ends}})
    words = ", ".join(f"{word} {_LINES[at]}" for at, word in enumerate(lane.columns.values()))
    chart.add_annotation(
        text=f"{lane.title}: {words}" if len(lane.columns) > 1 else lane.title,
        x=0, xref="paper", xanchor="left", y=domain[1], yref="paper", yanchor="bottom",
        showarrow=False, font={"size": 12, "color": theme.text},
    )  # fmt: skip
    for at, (column, word) in enumerate(lane.columns.items()):
        chart.add_scatter(
            x=_plain(bins["t_s"]), y=_plain(bins[column]), mode="lines", name=f"{lane.title} {word}",
            yaxis=f"y{place + 1}" if place else "y", connectgaps=False,
            line={"color": theme.series[at], "dash": DASHES[at], "width": 1.5},
            hovertemplate="%{y:,.3~g}<extra>" + f"{lane.title} {word}" + "</extra>",
        )  # fmt: skip


_LINES = ("——", "– –")
