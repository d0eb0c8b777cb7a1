"""Choices as links: what is chosen stands in the URL, so a choice needs no callback. Knows no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dash import dcc, html

from . import url


def chips(
    label: str, path: str, query: Mapping[str, str | None], key: str, options: Iterable[tuple[str, str]]
) -> html.Div:
    """A row of links that set `key` to a value: (value, words), "" is the default and leaves the key out."""
    now = query.get(key) or ""
    links = [
        dcc.Link(
            words,
            href=path + url.write({**query, key: value}),
            className="chip chip-chosen" if value == now else "chip",
            title="chosen" if value == now else None,
        )
        for value, words in options
    ]
    return html.Div(
        [html.Span(label, className="chips-label"), *links],
        className="chips",
        role="group",
        **{"aria-label": label},
    )


def only(query: Mapping[str, str], *keys: str) -> dict[str, str | None]:
    """The parameters of these names, for links that keep them; those of the path are left out."""
    return {key: query.get(key) for key in keys}


def note(*parts: Any) -> html.P:
    """Small print."""
    return html.P(list(parts), className="note")
