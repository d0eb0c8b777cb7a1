"""One request as a lane of time: what it waited for, when each piece came, what ran beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.analysis.server_clock import server_parts
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.figures.axes import quantity
from loadlab.figures.theme import DASHES, LIGHT, Theme, figure

STALL_FACTOR, STALL_MS = 5.0, 50.0
_WORDS = {
    "waited": "Waited for a place", "connect": "Connected", "ttft": "First token", "reasoning": "Reasoning",
    "answer": "Answer", "end": "After the last token",
}  # fmt: skip
_CLOCK = "Time since the request was planned (ms)"
_BESIDE = (
    ("nvml", "utilisation_percent", "GPU busy (%)"),
    ("nvml", "power_w", "GPU power (W)"),
    ("server", "running", "Requests in the server"),
    ("server", "waiting", "Waiting in the server"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a request: which, and its ends in ms since it was planned."""

    name: str
    start_ms: float
    end_ms: float

    @property
    def label(self) -> str:
        """For people."""
        return _WORDS[self.name]


@dataclass(frozen=True, slots=True)
class Gap:
    """The wait before one arrival, ms since the request was planned; `stall`: far longer than usual."""

    start_ms: float
    end_ms: float
    stall: bool


def spans(request: Mapping[str, Any]) -> list[Span]:
    """What a request (a row of the store) spent its time on, in order; what did not happen is left out."""
    at = {name: _ms(request, name) for name in _MARKS}
    ready = (at["sent_ns"] or 0.0) - _length(request, "connect_ns")
    found = [
        ("waited", 0.0, ready if at["sent_ns"] is not None else at["done_ns"]),
        ("connect", ready, at["sent_ns"]),
        ("ttft", at["sent_ns"], at["first_token_ns"] or at["done_ns"]),
        ("reasoning", at["first_reasoning_ns"], at["first_answer_ns"] or at["last_token_ns"]),
        ("answer", at["first_answer_ns"] or at["first_token_ns"], at["last_token_ns"]),
        ("end", at["last_token_ns"], at["done_ns"]),
    ]
    known = [(name, start, end) for name, start, end in found if start is not None and end is not None]
    return [Span(name, start, end) for name, start, end in known if end > start]


_MARKS = ("sent_ns", "first_token_ns", "first_reasoning_ns", "first_answer_ns", "last_token_ns", "done_ns")


def _ms(request: Mapping[str, Any], name: str) -> float | None:
    value = request[name]
    return None if value is None else (float(value) - float(request["planned_ns"])) / NS_PER_MS


def _length(request: Mapping[str, Any], name: str) -> float:
    return float(request[name] or 0) / NS_PER_MS


def gaps(request: Mapping[str, Any], arrivals_ns: Sequence[int]) -> list[Gap]:
    """The waits between a request's arrivals; one over five times the median, and 50 ms, is a stall."""
    at = (np.asarray(arrivals_ns, np.float64) - float(request["planned_ns"])) / NS_PER_MS
    lengths = np.diff(at)
    usual = float(np.median(lengths)) if lengths.size else 0.0
    limit = max(STALL_FACTOR * usual, STALL_MS)
    return [Gap(float(start), float(end), bool(end - start > limit)) for start, end in pairwise(at)]


def request_lane(
    request: Mapping[str, Any],
    arrivals_ns: Sequence[int],
    readings: pd.DataFrame,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Lanes on one axis, ms since the request was planned.

    Its spans, its arrivals with stalls marked, the server's own account, and what GPUs and server read
    meanwhile: `readings` are the store's rows of that time.
    """
    beside = _lanes_beside(readings)
    parts = server_parts(request.get("server_timings"))
    lanes = ["Client", "Arrivals", *(["Server says"] if parts else [])]
    share = 1.0 if not beside else 0.46
    chart = figure(
        theme, 190 + 26 * len(lanes) + 92 * len(beside), barmode="overlay", showlegend=True,
        xaxis={"title": _CLOCK, "anchor": f"y{len(beside) + 1}" if beside else "y", "tickformat": ",d"},
        yaxis={"domain": [1 - share, 1], "type": "category", "categoryarray": lanes[::-1]},
    )  # fmt: skip
    _add_spans(chart, "Client", spans(request), theme)
    _add_arrivals(chart, request, arrivals_ns, theme)
    _add_server(chart, request, parts, theme)
    for place, (title, rows) in enumerate(beside):
        _add_beside(chart, request, title, rows, place, len(beside), 1 - share, theme)
    return chart


def _add_spans(chart: go.Figure, lane: str, found: Sequence[Span], theme: Theme) -> None:
    for place, span in enumerate(found):
        length = quantity(span.end_ms - span.start_ms, "ms")
        chart.add_bar(
            y=[lane], x=[span.end_ms - span.start_ms], base=[span.start_ms], orientation="h", width=0.6,
            name=f"{span.label} {length}",
            marker={"color": theme.series[place], "pattern": {"shape": _PATTERNS[place]}},
            hovertemplate=f"{span.label}: {length}<extra></extra>",
        )  # fmt: skip


_PATTERNS = ("", "/", "", "x", "", ".")


def _add_arrivals(
    chart: go.Figure, request: Mapping[str, Any], arrivals_ns: Sequence[int], theme: Theme
) -> None:
    if not arrivals_ns:
        return
    found = gaps(request, arrivals_ns)
    first_ms = (arrivals_ns[0] - float(request["planned_ns"])) / NS_PER_MS
    at = [first_ms, *(gap.end_ms for gap in found)]
    waits = [
        "the first",
        *(quantity(gap.end_ms - gap.start_ms, "ms") + " after the one before" for gap in found),
    ]
    chart.add_scatter(
        x=at, y=["Arrivals"] * len(at), mode="markers", name=f"{len(at):,} arrivals", customdata=waits,
        marker={"symbol": "line-ns", "size": 16, "line": {"width": 1.5, "color": theme.text}},
        hovertemplate="%{x:,.1f} ms, %{customdata}<extra></extra>",
    )  # fmt: skip
    stalls = [gap for gap in found if gap.stall]
    if stalls:
        chart.add_bar(
            y=["Arrivals"] * len(stalls), x=[gap.end_ms - gap.start_ms for gap in stalls],
            base=[gap.start_ms for gap in stalls], orientation="h", width=0.5, name=f"{len(stalls)} stalled",
            marker={"color": theme.series[1], "opacity": 0.6, "pattern": {"shape": "x"}},
            hovertemplate="stalled for %{x:,.0f} ms<extra></extra>",
        )  # fmt: skip


def _add_server(
    chart: go.Figure, request: Mapping[str, Any], parts: Mapping[str, float], theme: Theme
) -> None:
    """The server's parts end to end from when we sent: its clock says lengths, not instants."""
    start = _ms(request, "sent_ns") or 0.0
    for place, (part, length) in enumerate(parts.items()):
        chart.add_bar(
            y=["Server says"], x=[length], base=[start], orientation="h", width=0.6,
            name=f"Server: {part} {quantity(length, 'ms')}",
            marker={"color": theme.series[place + 3], "pattern": {"shape": _PATTERNS[place + 3]}},
            hovertemplate=f"{part}: {quantity(length, 'ms')}, as the server says<extra></extra>",
        )  # fmt: skip
        start += length


def _lanes_beside(readings: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    known = [
        (title, readings[(readings["source"] == source) & (readings["metric"] == metric)])
        for source, metric, title in _BESIDE
    ]
    return [(title, rows) for title, rows in known if len(rows)]


def _add_beside(
    chart: go.Figure, request: Mapping[str, Any], title: str, rows: pd.DataFrame, place: int, lanes: int,
    top: float, theme: Theme,
) -> None:  # fmt: skip
    height = top / lanes
    upper = top - place * height - 0.30 * height
    chart.update_layout(
        {f"yaxis{place + 2}": {"domain": [upper - 0.55 * height, upper], "nticks": 3, "rangemode": "tozero"}}
    )
    chart.add_annotation(
        text=title, x=0, xref="paper", xanchor="left", y=upper, yref="paper", yanchor="bottom",
        showarrow=False, font={"size": 12, "color": theme.text},
    )  # fmt: skip
    for index, (device, own) in enumerate(rows.groupby("device")):
        at_ms = (own["at_ns"].to_numpy(np.float64) - float(request["planned_ns"])) / NS_PER_MS
        chart.add_scatter(
            x=at_ms, y=own["value"], mode="lines+markers", yaxis=f"y{place + 2}", showlegend=False,
            name=str(device),
            line={"color": theme.series[index % 6], "dash": DASHES[index % 6], "shape": "hv", "width": 1.5},
            marker={"size": 4}, hovertemplate="%{y:,.3~g} at %{x:,.0f} ms<extra>" + str(device) + "</extra>",
        )  # fmt: skip


def window_ns(request: Mapping[str, Any], around_s: float = 1.0) -> tuple[int, int]:
    """From when to when readings belong beside a request: its life and a second around it."""
    end = request["done_ns"] or request["last_token_ns"] or request["sent_ns"] or request["planned_ns"]
    around = int(around_s * NS_PER_S)
    return int(request["planned_ns"]) - around, int(end) + around
