"""Series of runs over weeks: a lane per metric, its dots, what is usual between steps, and the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import plotly.graph_objects as go

from loadlab.core.units import NS_PER_S
from loadlab.figures.axes import quantity
from loadlab.figures.theme import LIGHT, Theme, figure, series_style
from loadlab.history.found import Found
from loadlab.history.segments import Cut

MAX_LANES = 6
_LANE_PX, _EDGE_PX = 150, 90
Over = Literal["time", "run"]
STEP, WEAK, FLAG = 2, 3, 4  # places in the palette


def regressions(all_found: Sequence[Found], over: Over = "time", theme: Theme = LIGHT) -> go.Figure:
    """At most six series of one kind of run, a lane each on a common axis of time or of runs.

    Dots are runs with their own 95 % interval; the line is the median between steps, the band two standard
    deviations of runs around it. A rule stands at each certain step, dotted where one opinion lacks; a
    triangle below where something around the runs changed; the newest run is hollow when it is suspect.
    """
    drawn = all_found[:MAX_LANES]
    title = "Run began (UTC)" if over == "time" else "Run, the newest is right"
    chart = figure(
        theme, _EDGE_PX + _LANE_PX * max(len(drawn), 1), showlegend=False, margin={"t": 28, "b": 48},
        xaxis={"anchor": f"y{len(drawn)}" if len(drawn) > 1 else "y", "title": title},
    )  # fmt: skip
    for place, found in enumerate(drawn):
        _add_lane(chart, found, place, len(drawn), over, theme)
    return chart


def places(found: Found, over: Over) -> list[Any]:
    """Where each run stands across: its time, or its number from 1."""
    if over == "run":
        return list(range(1, len(found.series.points) + 1))
    return [datetime.fromtimestamp(point.at_ns / NS_PER_S, UTC) for point in found.series.points]


def _add_lane(chart: go.Figure, found: Found, place: int, lanes: int, over: Over, theme: Theme) -> None:
    number, across = (place + 1 if place else ""), places(found, over)
    top, height = 1 - place / lanes, 1 / lanes
    domain = [max(0.0, top - height * 0.80), top - height * 0.16]
    low, high = _span(found)
    chart.update_layout({
        f"yaxis{number}": {
            "domain": domain, "range": [low, high], "nticks": 4, "tickformat": ",.4~g",
        },
    })  # fmt: skip
    measure = found.series.measure
    better = "" if measure.of.better == "neither" else f", {measure.of.better} is better"
    chart.add_annotation(
        text=f"<b>{measure.title}</b> ({measure.of.unit}{better})", x=0, xref="paper", xanchor="left",
        y=domain[1], yref="paper", yanchor="bottom", yshift=4, showarrow=False,
        font={"size": 12, "color": theme.text},
    )  # fmt: skip
    axis = {"xaxis": "x", "yaxis": f"y{number}"}
    for start, end in found.stretches:
        _add_usual(chart, found, across, start, end, axis, theme)
    _add_runs(chart, found, across, axis, theme)
    _add_flags(chart, found, across, low, axis, theme)
    for cut in found.cuts:
        _add_cut(chart, found, cut, across, (low, high), axis, theme)


def _span(found: Found) -> tuple[float, float]:
    values = [float(value) for value in found.series.values]
    low, high = min(values), max(values)
    room = (high - low) * 0.25 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _add_usual(
    chart: go.Figure, found: Found, across: Sequence[Any], start: int, end: int, axis: dict[str, str],
    theme: Theme,
) -> None:  # fmt: skip
    """The median of a stretch as a line, and the band in which its runs usually are."""
    logs = sorted(found.series.logs[start:end])
    middle = float(logs[len(logs) // 2] + logs[(len(logs) - 1) // 2]) / 2
    ends = [across[start], across[end - 1]]
    if scatter := found.scatter:
        low, high = math.exp(middle - 2 * scatter), math.exp(middle + 2 * scatter)
        chart.add_trace(go.Scatter(
            x=[*ends, *reversed(ends)], y=[low, low, high, high], fill="toself", mode="none",
            fillcolor=theme.shade, hoverinfo="skip", **axis,
        ))  # fmt: skip
    chart.add_trace(go.Scatter(
        x=ends, y=[math.exp(middle)] * 2, mode="lines", hoverinfo="skip",
        line={"color": theme.baseline, "width": 2}, **axis,
    ))  # fmt: skip


def _add_runs(
    chart: go.Figure, found: Found, across: Sequence[Any], axis: dict[str, str], theme: Theme
) -> None:
    series, (colour, symbol, _) = found.series, series_style(0, theme)
    suspect = found.alarm.run_id if found.alarm else None
    symbols = [f"{symbol}-open" if point.run_id == suspect else symbol for point in series.points]
    chart.add_trace(go.Scatter(
        x=across, y=series.values, mode="markers", hovertemplate="%{customdata}<extra></extra>",
        marker={"color": colour, "size": 7, "symbol": symbols, "line": {"color": colour, "width": 2}},
        error_y={
            "type": "data", "symmetric": False, "array": series.high - series.values,
            "arrayminus": series.values - series.low, "thickness": 1, "width": 0, "color": colour,
        },
        customdata=[_hover(found, place) for place in range(len(series.points))], **axis,
    ))  # fmt: skip


def _hover(found: Found, place: int) -> str:
    point, unit = found.series.points[place], found.series.measure.of.unit
    lines = [f"<b>{quantity(float(found.series.values[place]), unit)}</b>", f"run {point.run_id}"]
    lines += [f"commit {point.commit[:12]}"] if point.commit else []
    lines += found.series.marked.get(place, [])
    if found.alarm and found.alarm.run_id == point.run_id:
        lines.append("suspect: repeat it before it counts")
    return "<br>".join(lines)


def _add_flags(
    chart: go.Figure, found: Found, across: Sequence[Any], low: float, axis: dict[str, str], theme: Theme
) -> None:
    """A triangle at the foot where something around the runs changed."""
    marked = found.series.marked
    colour, _, _ = series_style(FLAG, theme)
    if marked:
        chart.add_trace(go.Scatter(
            x=[across[at] for at in marked], y=[low] * len(marked), mode="markers", cliponaxis=False,
            marker={"symbol": "triangle-up", "size": 11, "color": colour},
            customdata=["<br>".join(["changed here:", *words]) for words in marked.values()],
            hovertemplate="%{customdata}<extra></extra>", **axis,
        ))  # fmt: skip


def _add_cut(
    chart: go.Figure, found: Found, cut: Cut, across: Sequence[Any], span: tuple[float, float],
    axis: dict[str, str], theme: Theme,
) -> None:  # fmt: skip
    colour, _, _ = series_style(STEP if cut.strong else WEAK, theme)
    where = across[cut.at]
    chart.add_trace(go.Scatter(
        x=[where, where], y=span, mode="lines", hovertemplate=f"{words(found, cut)}<extra></extra>",
        line={"color": colour, "width": 2 if cut.strong else 1, "dash": "solid" if cut.strong else "dot"},
        **axis,
    ))  # fmt: skip
    if cut.strong:
        chart.add_annotation(
            text=f"{change(cut)}, p {cut.step.p:.0g}", x=where, xref=axis["xaxis"], y=span[1],
            yref=axis["yaxis"], showarrow=False, yanchor="top", font={"size": 12, "color": colour},
            xanchor="left" if cut.at < len(across) / 2 else "right",
            xshift=4 if cut.at < len(across) / 2 else -4,
        )  # fmt: skip


def change(cut: Cut) -> str:
    """A cut as a change: "+20.3 %"."""
    return f"{100 * (cut.step.ratio[0] - 1):+.1f} %"


def words(found: Found, cut: Cut) -> str:
    """A cut in words: "+20.3 % (18.1 … 22.4), p 2e-12, worse"."""
    _, low, high = cut.step.ratio
    kind = "worse" if found.worse(cut) else "better"
    sure = "" if cut.strong else ", not certain"
    return (
        f"{change(cut)} ({100 * (low - 1):+.1f} … {100 * (high - 1):+.1f}), p {cut.step.p:.1g}, {kind}{sure}"
    )


def finding(all_found: Sequence[Found]) -> str:
    """The message of the figure in words."""
    told = [
        f"{found.series.measure.title}: {words(found, found.strong[-1])} since run "
        f"{found.series.points[found.strong[-1].at].run_id}"
        for found in all_found if found.strong
    ]  # fmt: skip
    return ". ".join(told) + "." if told else "No certain step in any of these series."
