"""Rules of a gate as figures: each run's value beside the limit, and outcomes day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from loadlab.figures.axes import quantity
from loadlab.figures.theme import LIGHT, Theme, figure, series_style

MAX_RULES = 8
_LANE_PX, _EDGE_PX = 104, 70
_LOOKS = {"PASS": (0, ""), "FAIL": (1, "x"), "INCONCLUSIVE": (3, "/"), "INVALID": (4, ".")}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule with what each run measured, in `unit`; `low` and `high` bound `value` where they are known.

    `limit` must not be crossed, upwards where `upper`.
    """

    rule: str
    outcome: str
    unit: str
    base: tuple[float, ...] = ()
    candidate: tuple[float, ...] = ()
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    upper: bool = True


def rule_dots(rows: Sequence[RuleRow], theme: Theme = LIGHT) -> go.Figure:
    """A lane per rule on an axis of its own: a dot per run, the judged value with its interval, the limit.

    At most eight rules are drawn. The side beyond the limit is tinted.
    """
    drawn = rows[:MAX_RULES]
    chart = figure(theme, _EDGE_PX + _LANE_PX * max(len(drawn), 1), margin_t=40, margin_l=84, margin_b=30)
    for place, row in enumerate(drawn):
        _add_rule(chart, row, place, len(drawn), theme)
    return chart


def _add_rule(chart: go.Figure, row: RuleRow, place: int, rows: int, theme: Theme) -> None:
    top, height = 1 - place / rows, 1 / rows
    domain = [max(0.0, top - height * 0.72), top - height * 0.26]
    low, high = _span(row)
    number = place + 1 if place else ""
    chart.update_layout(
        {
            f"xaxis{number}": {
                "range": [low, high], "anchor": f"y{number}", "nticks": 7, "tickformat": ",.4~g",
                "ticksuffix": f" {row.unit}",
            },
            f"yaxis{number}": {
                "domain": domain, "range": [-0.6, 1.6], "anchor": f"x{number}", "showgrid": False,
                "tickvals": [0, 1] if row.base else [1],
                "ticktext": ["base", "candidate"] if row.base else ["candidate"],
            },
        }
    )  # fmt: skip
    limit = "" if row.limit is None else f" · limit {quantity(row.limit, row.unit)}"
    chart.add_annotation(
        text=f"<b>{row.rule}</b> · {row.outcome}{limit}", x=0, xref="paper", xanchor="left", y=domain[1],
        yref="paper", yanchor="bottom", showarrow=False, font={"size": 12, "color": theme.text},
    )  # fmt: skip
    for name, height_at, values in (("base", 0, row.base), ("candidate", 1, row.candidate)):
        _add_dots(chart, row, name, height_at, values, number, theme)
    if row.value is not None:
        _add_value(chart, row, number, theme)
    if row.limit is not None:
        _add_limit(chart, row, (low, high), number, theme)


def _span(row: RuleRow) -> tuple[float, float]:
    known = [*row.base, *row.candidate]
    known += [each for each in (row.value, row.low, row.high, row.limit) if each is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    return low - room if low < 0 or low - room > 0 else 0.0 - room / 4, high + room


def _add_dots(
    chart: go.Figure, row: RuleRow, name: str, at: int, values: Sequence[float], number: int | str,
    theme: Theme,
) -> None:  # fmt: skip
    if not values:
        return
    colour, symbol = (theme.baseline, "circle") if name == "base" else (theme.series[0], "diamond")
    chart.add_scatter(
        x=list(values), y=[at] * len(values), mode="markers", name=name, xaxis=f"x{number}",
        yaxis=f"y{number}", showlegend=False,
        marker={"color": colour, "symbol": symbol, "size": 9, "opacity": 0.8},
        customdata=[quantity(value, row.unit) for value in values],
        hovertemplate="%{customdata}<extra>one " + name + " run</extra>",
    )  # fmt: skip


def _add_value(chart: go.Figure, row: RuleRow, number: int | str, theme: Theme) -> None:
    value = row.value or 0.0
    bounds = None
    if row.low is not None and row.high is not None:
        bounds = {
            "type": "data", "symmetric": False, "array": [max(0.0, row.high - value)],
            "arrayminus": [max(0.0, value - row.low)], "color": theme.text, "thickness": 1.5, "width": 5,
        }  # fmt: skip
    chart.add_scatter(
        x=[value], y=[1], mode="markers", name="judged", xaxis=f"x{number}", yaxis=f"y{number}",
        showlegend=False, error_x=bounds, marker={"color": theme.text, "symbol": "line-ns-open", "size": 16},
        hovertemplate=f"{quantity(value, row.unit)}<extra>judged</extra>",
    )  # fmt: skip


def _add_limit(
    chart: go.Figure, row: RuleRow, ends: tuple[float, float], number: int | str, theme: Theme
) -> None:
    where = {"xref": f"x{number}", "yref": f"y{number} domain", "y0": 0, "y1": 1}
    good = (ends[0], row.limit) if row.upper else (row.limit, ends[1])
    chart.add_shape(
        type="rect", x0=good[0], x1=good[1], fillcolor=theme.shade, line_width=0, layer="below",
        name="within the limit", **where,
    )  # fmt: skip
    line = {"color": theme.slo, "width": 2, "dash": "dash"}
    chart.add_shape(type="line", x0=row.limit, x1=row.limit, line=line, name="limit", **where)


def gate_trend(days: Mapping[str, Mapping[str, int]], theme: Theme = LIGHT) -> go.Figure:
    """Gates per UTC day, stacked by outcome; colour and hatching tell the outcomes apart."""
    chart = figure(
        theme, 260, barmode="stack", showlegend=True,
        xaxis={"title": "Day (UTC)", "type": "category", "range": [-0.5, max(len(days), 7) - 0.5]},
        yaxis={"title": "Gates", "rangemode": "tozero", "tickformat": ",d"},
    )  # fmt: skip
    for outcome, (place, pattern) in _LOOKS.items():
        counts = [day.get(outcome, 0) for day in days.values()]
        if any(counts):
            chart.add_bar(
                x=list(days), y=counts, name=f"{outcome} ({sum(counts):,})", width=0.6,
                marker={
                    "color": series_style(place, theme)[0],
                    "pattern": {
                        "shape": pattern, "fillmode": "overlay", "fgcolor": theme.paper, "solidity": 0.2,
                    },
                },
                hovertemplate="%{y} " + outcome + "<extra>%{x}</extra>",
            )  # fmt: skip
    most = max((sum(day.values()) for day in days.values()), default=0)
    return chart.update_layout(yaxis_dtick=1 if most <= 6 else None)
