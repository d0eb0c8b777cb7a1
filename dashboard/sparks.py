"""Small lines inside tiles, as pictures of a few hundred bytes. Knows numbers, no metric."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from dash import html

from loadlab.figures import Theme

_WIDTH, _HEIGHT, _EDGE = 120, 26, 3


def spark(values: Sequence[float], theme: Theme, words: str) -> html.Img | None:
    """A line through the values, oldest first, its last point marked; None for fewer than two."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    span = high - low or 1.0
    step = (_WIDTH - 2 * _EDGE) / (len(values) - 1)
    points = [
        (_EDGE + place * step, _HEIGHT - _EDGE - (value - low) / span * (_HEIGHT - 2 * _EDGE))
        for place, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    colour = theme.series[0]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.5" fill="{colour}"/></svg>'
    )
    return html.Img(src=f"data:image/svg+xml,{quote(svg)}", alt=words, className="spark")
