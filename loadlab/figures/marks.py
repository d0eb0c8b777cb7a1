"""How one measured level is drawn: its symbol, its label, what hovering it shows. One trace for the line,
another for the points: a lines+markers trace with numeric colours logs a colour warning in plotly.js 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from loadlab.figures.axes import axis
from loadlab.figures.slo import Limit, failures
from loadlab.figures.theme import MAX_SERIES, Theme, series_style

COST = "usd_per_mtok_output"
_HOVERED = ("ttft_ms_p95", "itl_ms_p95", "output_tokens_per_s", "interactivity_tok_s", COST, "error_rate")


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's levels with the look that tells it apart; `place` counts from 0."""

    name: str
    frame: pd.DataFrame
    place: int
    colour: str
    symbol: str
    dash: str

    def values(self, column: str) -> list[float]:
        """The known values of a column."""
        return [float(value) for value in self.frame[column].dropna()]


def curves_of(frames: Mapping[str, pd.DataFrame], x: str, y: str, theme: Theme) -> list[Curve]:
    """At most six curves, of the levels where both columns are known."""
    first = list(frames.items())[:MAX_SERIES]
    return [
        Curve(name, frame.dropna(subset=[x, y]), place, *series_style(place, theme))
        for place, (name, frame) in enumerate(first)
    ]


def line(curve: Curve, frame: pd.DataFrame, x: str, y: str, shape: str = "linear") -> go.Scatter:
    """The line of a curve, which also stands for it in the legend."""
    return go.Scatter(
        x=frame[x], y=frame[y], mode="lines", name=curve.name, legendgroup=curve.name, hoverinfo="skip",
        line={"color": curve.colour, "dash": curve.dash, "width": 2, "shape": shape},
    )  # fmt: skip


def points(
    curve: Curve,
    frame: pd.DataFrame,
    x: str,
    y: str,
    limits: Sequence[Limit],
    textposition: str,
    **marker: Any,
) -> go.Scatter:
    """The points of a curve, labelled with their load; INVALID ones are hollow."""
    levels: list[dict[str, Any]] = [{str(key): row[key] for key in row} for row in frame.to_dict("records")]
    look = {
        "symbol": [
            f"{curve.symbol}-open" if level["verdict"] == "INVALID" else curve.symbol for level in levels
        ],
        "size": 12,
        "color": curve.colour,
        "line": {"color": curve.colour, "width": 2},
    }
    return go.Scatter(
        x=frame[x], y=frame[y], mode="markers+text", name=curve.name, legendgroup=curve.name,
        showlegend=False, marker={**look, **marker}, cliponaxis=False,
        text=[short_offer(level) for level in levels], textposition=textposition, textfont={"size": 11},
        customdata=[hover(curve.name, level, limits) for level in levels],
        hovertemplate="%{customdata}<extra></extra>",
        error_x=interval(curve, frame, x), error_y=interval(curve, frame, y),
    )  # fmt: skip


def interval(curve: Curve, frame: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """The 95 % interval of a column as error bars, from its columns `_low` and `_high`; None without them."""
    low, high = f"{column}_low", f"{column}_high"
    if low not in frame or frame[low].isna().all():
        return None
    return {
        "type": "data", "symmetric": False, "color": curve.colour, "thickness": 1, "width": 4,
        "array": (frame[high] - frame[column]).fillna(0).tolist(),
        "arrayminus": (frame[column] - frame[low]).fillna(0).tolist(),
    }  # fmt: skip


def short_offer(level: Mapping[str, Any]) -> str:
    """The offered load as a label beside a point: "8" users, or "5/s"; INVALID is said."""
    users = level.get("users")
    closed = users is not None and not math.isnan(users)
    offer = f"{users:.0f}" if closed else f"{level.get('rate') or 0:g}/s"
    return f"{offer} INVALID" if level.get("verdict") == "INVALID" else offer


def hover(name: str, level: Mapping[str, Any], limits: Sequence[Limit]) -> str:
    """What hovering a level shows: its numbers with n and verdict, and whether it meets the limits."""
    lines = [f"<b>{name}</b>", f"{level['offered']} · n = {level['n']:,.0f} · {level['verdict']}"]
    lines += [f"{axis(column).brief}: {axis(column).text(level.get(column))}" for column in _HOVERED]
    if limits:
        reasons = failures(level, limits)
        lines.append("misses the SLO: " + ", ".join(reasons) if reasons else "meets the SLO")
    return "<br>".join(lines)
