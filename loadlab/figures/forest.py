"""A forest plot: ratios against a base with their intervals, on one logarithmic axis with a line at 1.

Metrics of which less is better stand in a panel of their own, so that the better side is one side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from loadlab.analysis.compare import PRACTICAL, Difference
from loadlab.figures.theme import LIGHT, MAX_SERIES, Theme, figure, series_style

_ROW_PX, _EDGE_PX = 26, 120
_TICKS = {  # by how many times the right end is the left one
    1.8: (0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5),
    6.0: (0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0),
    math.inf: (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
}
_SIDES = {"lower": "◀ better", "higher": "better ▶"}


def forest(
    against: Mapping[str, Sequence[Difference]], practical: float = PRACTICAL, theme: Theme = LIGHT
) -> go.Figure:
    """Each series' ratio to the base per metric with its 95 % interval; at most five series.

    The band around 1 holds differences that are none in practice. A ratio without an interval is hollow.
    """
    drawn = dict(list(against.items())[: MAX_SERIES - 1])
    panels = {better: _measures(drawn, better) for better in _SIDES}
    panels = {better: names for better, names in panels.items() if names}
    rows = sum(len(names) for names in panels.values())
    height = _EDGE_PX + (_ROW_PX * max(1, len(drawn) * 3 // 4)) * rows + 40 * max(0, len(panels) - 1)
    chart = figure(theme, max(height, 220), showlegend=True, margin_l=230, margin_t=64)
    ticks, span = _scale(drawn)
    for place, (better, names) in enumerate(panels.items()):
        _add_panel(
            chart, drawn, better, names, place, _domain(list(panels.values()), place), practical, theme
        )
        number = place + 1 if place else ""
        axis = {
            "type": "log", "range": span, "anchor": f"y{number}",
            "tickvals": ticks, "ticktext": [f"× {tick:g}" for tick in ticks],
        }  # fmt: skip
        chart.update_layout({f"xaxis{number}": axis})
    last = f"xaxis{len(panels)}" if len(panels) > 1 else "xaxis"
    return chart.update_layout({last: {"title": "Ratio to the base, with its 95 % interval (log)"}})


def _measures(against: Mapping[str, Sequence[Difference]], better: str) -> list[str]:
    """Titles in order, of those with a ratio in any series."""
    found = {
        each.measure.title: None
        for differences in against.values()
        for each in differences
        if each.ratio is not None and each.measure.of.better == better
    }
    return list(found)


def _domain(panels: Sequence[Sequence[str]], place: int) -> list[float]:
    """The panel's share of the height, from the top, with room for its head and ticks."""
    gap = 0.16 if len(panels) > 1 else 0.0
    whole = sum(len(names) for names in panels)
    above = sum(len(names) for names in panels[:place]) / whole * (1 - gap) + gap * place
    return [max(0.0, 1 - above - len(panels[place]) / whole * (1 - gap)), 1 - above]


def _scale(against: Mapping[str, Sequence[Difference]]) -> tuple[list[float], list[float]]:
    known = [
        end
        for differences in against.values()
        for each in differences
        for end in (each.ratio, each.low, each.high)
        if end
    ]
    low, high = min([0.9, *known]) / 1.05, max([1.1, *known]) * 1.05
    low, high = max(low, 0.02), min(high, 50.0)
    ticks = next(ticks for limit, ticks in _TICKS.items() if high / low <= limit)
    return [tick for tick in ticks if low <= tick <= high], [math.log10(low), math.log10(high)]


def _add_panel(
    chart: go.Figure,
    against: Mapping[str, Sequence[Difference]],
    better: str,
    names: Sequence[str],
    place: int,
    domain: list[float],
    practical: float,
    theme: Theme,
) -> None:
    number = place + 1 if place else ""
    chart.update_layout(
        {
            f"yaxis{number}": {
                "domain": domain, "range": [len(names) - 0.4, -0.6], "tickvals": list(range(len(names))),
                "ticktext": list(names), "anchor": f"x{number}", "automargin": True,
            }
        }
    )  # fmt: skip
    across = {"xref": f"x{number}", "yref": f"y{number} domain", "y0": 0, "y1": 1}
    chart.add_shape(
        type="rect", x0=1 - practical, x1=1 + practical, fillcolor=theme.grid, line_width=0, layer="below",
        name="none in practice", **across,
    )  # fmt: skip
    line = {"color": theme.text, "width": 1.5}
    chart.add_shape(type="line", x0=1, x1=1, line=line, name="the same", **across)
    left = better == "lower"
    chart.add_annotation(
        text=_SIDES[better], xref="paper", x=0.0 if left else 1.0, xanchor="left" if left else "right",
        yref="paper", y=domain[1], yanchor="bottom", showarrow=False,
        font={"size": 12, "color": theme.muted},
    )  # fmt: skip
    for index, (name, differences) in enumerate(against.items()):
        known = {each.measure.title: each for each in differences if each.ratio is not None}
        _add_series(chart, name, [known.get(title) for title in names], index, len(against), number, theme)


def _add_series(
    chart: go.Figure,
    name: str,
    found: Sequence[Difference | None],
    index: int,
    series: int,
    number: int | str,
    theme: Theme,
) -> None:
    colour, symbol, _ = series_style(index + 1, theme)  # the first style is the base's, elsewhere
    known = [(at, each) for at, each in enumerate(found) if each is not None and each.ratio is not None]
    nudge = (index - (series - 1) / 2) * 0.7 / max(series, 1)
    bounded = [each.low is not None and each.high is not None for _, each in known]
    chart.add_scatter(
        x=[each.ratio for _, each in known], y=[at + nudge for at, _ in known], mode="markers", name=name,
        legendgroup=name, showlegend=not number, xaxis=f"x{number}", yaxis=f"y{number}",
        marker={
            "color": colour, "size": 9, "line": {"color": colour, "width": 2},
            "symbol": [symbol if sure else f"{symbol}-open" for sure in bounded],
        },
        error_x={
            "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 4,
            "array": [(each.high or each.ratio or 0) - (each.ratio or 0) for _, each in known],
            "arrayminus": [(each.ratio or 0) - (each.low or each.ratio or 0) for _, each in known],
        },
        customdata=[_hover(each) for _, each in known],
        hovertemplate="%{customdata}<extra>" + name + "</extra>",
    )  # fmt: skip


def _hover(found: Difference) -> str:
    span = "no interval" if found.low is None else f"{found.low:.3f} … {found.high:.3f}"
    return f"{found.measure.title}: × {found.ratio:.3f} ({span}), {found.verdict}"
