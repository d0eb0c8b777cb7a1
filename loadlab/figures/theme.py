"""How every figure looks: two themes, one slim template. Knows colours and fonts, refuses to know data.

The palettes were checked for contrast and for three kinds of colour-vision deficiency; a series is told
apart by colour, symbol and dash together, so at most six are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "10px,2px", "7px,2px,2px,2px")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one theme. `series`: one per series. `shade` tints the region that meets the SLO.

    `baseline` is the grey of what others are compared with.

    `cost` runs from cheap to dear: Cividis, whose dark end is lifted where the paper is dark.
    """

    name: str
    series: tuple[str, ...]
    text: str
    muted: str
    grid: str
    paper: str
    slo: str
    shade: str
    baseline: str
    cost: tuple[str, str, str]


LIGHT = Theme(
    name="light",
    series=("#0077AA", "#DD7722", "#553300", "#AA8866", "#881155", "#113388"),
    text="#1F2328",
    muted="#57606A",
    grid="#E7E9EC",
    paper="#FFFFFF",
    slo="#0B6E4F",
    shade="rgba(11, 110, 79, 0.08)",
    baseline="#6B7280",
    cost=("#00224E", "#7C7B78", "#FEE838"),
)
DARK = Theme(
    name="dark",
    series=("#55BBEE", "#AA7722", "#DD4477", "#FFDD55", "#7777EE", "#BBEE99"),
    text="#E6E8EB",
    muted="#A9B1BA",
    grid="#2E3238",
    paper="#1A1B1E",
    slo="#4CC38A",
    shade="rgba(76, 195, 138, 0.10)",
    baseline="#9AA3AF",
    cost=("#3D6FC4", "#A59C74", "#FFEA46"),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
MAX_SERIES = len(LIGHT.series)


def template(theme: Theme) -> go.layout.Template:
    """The slim template: a few hundred bytes where plotly's own sends seven thousand with every figure."""
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 13}},
        "tickfont": {"size": 12, "color": theme.muted},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": theme.text},
            "paper_bgcolor": theme.paper,
            "plot_bgcolor": theme.paper,
            "colorway": list(theme.series),
            "margin": {"l": 64, "r": 24, "t": 48, "b": 52},
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "font": {"size": 12},
            },
            "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 12}},
            "hovermode": "closest",
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def figure(theme: Theme, height: int, **layout: Any) -> go.Figure:
    """An empty figure in the theme, `height` px tall, whose zoom survives a redraw."""
    return go.Figure(layout={"template": template(theme), "height": height, "uirevision": "keep", **layout})


def series_style(index: int, theme: Theme) -> tuple[str, str, str]:
    """(colour, symbol, dash) of the series at `index`, counted from 0."""
    place = index % MAX_SERIES
    return theme.series[place], SYMBOLS[place], DASHES[place]
