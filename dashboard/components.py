"""The pieces pages are built of: tiles, tables, verdicts, figures, empty states. Knows no store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from .collected import offer
from .footnote import footer

_ICONS = {"VALID": "✓", "SUSPECT": "!", "INVALID": "✕", "running": "▸", "interrupted": "◌"}
_GRAPH = {
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toImage"],
}


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its head, the key of its cells, whether they are numbers, what its head explains."""

    head: str
    key: str
    number: bool = True
    help: str = ""


def page(title: str, answer: Any, *children: Any, about: str = "") -> html.Div:
    """A page: its one h1, the one-sentence answer, then the content.

    `about` begins the footnote, which exported pictures carry: data set, n, window.
    """
    lead = html.P(answer, className="answer") if answer else None
    return html.Div([html.H1(title), lead, *children, footer(about)], className="page")


def section(title: str, *children: Any, note: Any = None) -> html.Section:
    """A titled card."""
    head = [html.H2(title)] + ([html.P(note, className="note")] if note else [])
    return html.Section([*head, *children], className="card")


def tabs(label: str, options: Iterable[tuple[str, str, bool]]) -> html.Nav:
    """The parts of a page as links: (words, address, whether it is shown)."""
    links = [
        dcc.Link(
            words,
            href=href,
            className="part part-shown" if shown else "part",
            title="shown" if shown else None,
        )
        for words, href, shown in options
    ]
    return html.Nav(links, className="parts", **{"aria-label": label})


def tiles(*pairs: tuple[str, str, str]) -> html.Div:
    """A row of tiles, each (label, value, what stands below it)."""
    return html.Div([_tile(*pair) for pair in pairs], className="tiles")


def _tile(label: str, value: str, below: str) -> html.Div:
    return html.Div(
        [
            html.Div(label, className="tile-label"),
            html.Div(value, className="tile-value"),
            html.Div(below, className="tile-below"),
        ],
        className="tile",
    )


def verdict(word: str | None) -> html.Span:
    """A verdict or a run's state: icon and word, never colour alone."""
    shown = word or "no verdict"
    return html.Span(
        f"{_ICONS.get(shown, '–')} {shown}", className=f"verdict verdict-{shown.split()[0].lower()}"
    )


def table(columns: Sequence[Column], rows: Iterable[dict[str, Any]], caption: str) -> html.Div:
    """A table with a caption for screen readers; it scrolls by itself where the window is narrow."""
    heads = [html.Th(c.head, scope="col", title=c.help or None, className=_side(c)) for c in columns]
    body = [
        html.Tr([html.Td(row.get(c.key), className=_side(c)) for c in columns], className=row.get("class"))
        for row in rows
    ]
    return html.Div(
        html.Table([html.Caption(caption), html.Thead(html.Tr(heads)), html.Tbody(body)]),
        className="scroll",
        tabIndex=0,
        role="region",
        **{"aria-label": caption},
    )


def _side(column: Column) -> str:
    return "number" if column.number else "words"


def chart(name: str, figure: go.Figure, finding: str, data: Any = None, rows: Any = None) -> html.Div:
    """A figure with its finding in words for those who cannot see it, and its rows below as a table.

    `rows`, a frame or dicts, are what its CSV holds; without them the drawn points are. `name` is unique in
    the page.
    """
    offer(name, figure if rows is None else rows)
    drawn = dcc.Graph(
        id=f"figure-{name}",
        figure=figure,
        config=_GRAPH,
        style={"height": f"{figure.layout.height}px"},
    )
    table_of = [html.Details([html.Summary("Data table"), data])] if data is not None else []
    below = html.Div([*table_of, html.Div([_save(name, "PNG"), _save(name, "CSV")], className="saves")])
    told = html.Figure(drawn, role="group", **{"aria-label": finding})
    return html.Div([told, below], className="chart")


def _save(name: str, kind: str) -> html.Button:
    what = {"PNG": "picture", "CSV": "numbers"}[kind]
    return html.Button(
        kind, type="button", className="save", title=f"Save the {what} of this figure as {kind}",
        **{"data-save": kind.lower(), "data-figure": name, "aria-label": f"{kind} of figure {name}"},
    )  # fmt: skip


def facts(pairs: Iterable[tuple[str, Any]]) -> html.Dl:
    """Names and values, one pair a line; unknown ones are left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "")]
    return html.Dl(
        [item for name, value in known for item in (html.Dt(name), html.Dd(value))], className="facts"
    )


def empty(why: str, commands: Sequence[str] = (), *more: Any) -> html.Div:
    """Says why there is nothing to see and which command fills it."""
    pasted = [html.Pre(html.Code("\n".join(commands)), tabIndex=0)] if commands else []
    return html.Div([html.P(why), *pasted, *more], className="empty")
