"""Money as figures: what each day cost, list prices beside what was paid, what idle hours make of a price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from loadlab.core.units import usd
from loadlab.figures.axes import scale
from loadlab.figures.theme import LIGHT, MAX_SERIES, Theme, figure, series_style

PATTERNS = ("", "/", "x", "-", "+", ".")
OTHERS = "others"


def spend_per_day(
    rows: pd.DataFrame, by: str, budget_usd_per_day: float | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Money (USD) per UTC day, stacked by a column; the five dearest groups and the others together.

    `rows` hold `day` ("2026-11-21"), the column and `usd`. The dashed line is the budget of one day.
    """
    days = sorted(rows["day"].unique())
    spent = rows.pivot_table(index=by, columns="day", values="usd", aggfunc="sum", fill_value=0.0)
    spent = _fewer(spent.loc[spent.sum(axis=1).sort_values(ascending=False).index])
    chart = figure(
        theme, 320, barmode="stack", showlegend=True, margin_t=60,
        xaxis={"title": "Day (UTC)", "type": "category", "range": [-0.5, max(len(days), 7) - 0.5]},
        yaxis={"title": "Cost per day (USD)", "rangemode": "tozero", **_money(spent.sum().max())},
    )  # fmt: skip
    for place, (name, values) in enumerate(spent.iterrows()):
        chart.add_bar(
            x=list(spent.columns), y=list(values), name=f"{name} ({usd(float(values.sum()))})", width=0.6,
            marker={"color": series_style(place, theme)[0], "pattern": _pattern(place, theme)},
            customdata=[usd(value) for value in values],
            hovertemplate="%{customdata}<extra>" + str(name) + "</extra>",
        )  # fmt: skip
    if budget_usd_per_day:
        line = {"color": theme.slo, "width": 2, "dash": "dash"}
        chart.add_hline(y=budget_usd_per_day, line=line, name="budget")
        chart.add_annotation(
            text=f"budget {usd(budget_usd_per_day)} a day", x=1, xref="paper", xanchor="right",
            yanchor="bottom", y=budget_usd_per_day, showarrow=False, font={"color": theme.slo, "size": 12},
        )  # fmt: skip
    return chart


def _fewer(spent: pd.DataFrame) -> pd.DataFrame:
    if len(spent) <= MAX_SERIES:
        return spent
    rest = spent.iloc[MAX_SERIES - 1 :].sum()
    return pd.concat([spent.iloc[: MAX_SERIES - 1], rest.to_frame(OTHERS).T])


def _pattern(place: int, theme: Theme) -> dict[str, object]:
    return {"shape": PATTERNS[place], "fillmode": "overlay", "fgcolor": theme.paper, "solidity": 0.2}


def _money(most: float) -> dict[str, str]:
    decimals = max(2, 2 - math.floor(math.log10(most))) if most > 0 else 2
    return {"tickformat": f"$,.{min(decimals, 6)}f"}


@dataclass(frozen=True, slots=True)
class Paid:
    """What a million tokens of one name cost in USD: at the bare list rates, and all things counted."""

    name: str
    list_usd: float
    effective_usd: float


def list_and_effective(rows: Sequence[Paid], theme: Theme = LIGHT) -> go.Figure:
    """A dumbbell per row on a logarithmic money axis: hollow circle the list price, diamond what was paid."""
    ends = [end for row in rows for end in (row.list_usd, row.effective_usd)]
    axis = scale([end for end in ends if end > 0])
    if axis["type"] == "log":
        axis["ticktext"] = [usd(tick) for tick in axis["tickvals"]]
    else:
        axis |= _money(max(ends, default=1.0))
    chart = figure(
        theme, 110 + 34 * max(len(rows), 1), showlegend=True, margin_l=160, margin_t=56,
        xaxis={"title": "USD per million tokens, prompt and output together, lower is better", **axis},
        yaxis={"tickvals": list(range(len(rows))), "ticktext": [row.name for row in rows],
               "range": [len(rows) - 0.5, -0.5], "showgrid": False},
    )  # fmt: skip
    for place, row in enumerate(rows):
        chart.add_scatter(
            x=[row.list_usd, row.effective_usd], y=[place, place], mode="lines", showlegend=False,
            line={"color": theme.baseline, "width": 3}, hoverinfo="skip",
        )  # fmt: skip
    for name, values, colour, symbol in (
        ("list price alone", [row.list_usd for row in rows], theme.baseline, "circle-open"),
        ("what was paid", [row.effective_usd for row in rows], theme.series[0], "diamond"),
    ):
        chart.add_scatter(
            x=values, y=list(range(len(rows))), mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": 12, "line": {"width": 2, "color": colour}},
            customdata=[f"{row.name}: {usd(value)}/Mtok" for row, value in zip(rows, values, strict=True)],
            hovertemplate="%{customdata}<extra>" + name + "</extra>",
        )  # fmt: skip
    return chart


def idle_hours(best: Mapping[str, tuple[float, float]], theme: Theme = LIGHT) -> go.Figure:
    """What a million output tokens cost (USD) by the share of paid hours at work, at most six curves.

    `best` gives, by name, the cost with no idle hour and the duty cycle in force, which is marked.
    """
    shares = np.linspace(0.05, 1, 39)
    drawn = list(best.items())[:MAX_SERIES]
    values = [cost / share for _, (cost, _) in drawn for share in (0.05, 1.0)]
    axis = scale(values)
    if axis["type"] == "log":
        axis["ticktext"] = [usd(tick) for tick in axis["tickvals"]]
    chart = figure(
        theme, 320, showlegend=True, margin_t=60,
        xaxis={"title": "Share of paid hours at work (%)", "range": [0, 102]},
        yaxis={"title": "USD per million output tokens,<br>lower is better", **axis},
    )  # fmt: skip
    for place, (name, (cost, duty)) in enumerate(drawn):
        colour, symbol, dash = series_style(place, theme)
        chart.add_scatter(
            x=100 * shares, y=cost / shares, mode="lines", name=name, legendgroup=name,
            line={"color": colour, "dash": dash, "width": 2},
            customdata=[usd(float(cost / share)) for share in shares],
            hovertemplate="%{customdata}/Mtok at %{x:.0f} %<extra>" + name + "</extra>",
        )  # fmt: skip
        chart.add_scatter(
            x=[100 * duty], y=[cost / duty], mode="markers", name=name, legendgroup=name, showlegend=False,
            marker={"color": colour, "symbol": symbol, "size": 12},
            hovertemplate=f"{usd(cost / duty)}/Mtok at {duty:.0%}, in force<extra>{name}</extra>",
        )  # fmt: skip
    return chart
