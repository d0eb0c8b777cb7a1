"""What stands around every page: index, top bar, navigation, the sheet of shortcuts. Knows no run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from .access import Role
from .navigation import grouped

# The theme is set before the first paint: a dark page must not flash white.
EARLY = """
      try {
        const kept = localStorage.getItem("loadlab-theme");
        const dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
        document.documentElement.classList.add(dark ? "dark" : "light");
      } catch {}
    """
INDEX = (
    """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" href="data:,">
    {%css%}
    <script>"""
    + EARLY
    + """</script>
  </head>
  <body>
    <a class="skip" href="#page">Skip to the page</a>
    {%app_entry%}
    <noscript>These pages need JavaScript. `loadlab runs show` prints the same numbers.</noscript>
    <footer>{%config%}BUNDLE{%scripts%}{%renderer%}</footer>
  </body>
</html>"""
)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SHORTCUTS = (
    ("?", "Show or close this sheet"),
    ("/", "Go to the first field of the page"),
    ("t", "Switch between light and dark"),
    ("c", "Copy the link to this view"),
    ("s", "Save this page as one HTML file"),
    ("g o", "Overview"),
    ("g l", "Live"),
    ("g t", "Throughput vs latency"),
    ("g c", "Compare"),
    ("g p", "Capacity"),
    ("g g", "Gates"),
    ("g r", "Runs"),
)


def shell(pages: Iterable[Any], where: str, role: Role, login_below: str | None) -> dmc.MantineProvider:
    """The frame. `where` names the store; `login_below` is the prefix of the app where people log in."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="view"),
            dcc.Store(id="shown"),
            html.Header(_bar(where, role, login_below), className="bar"),
            html.Div(
                [
                    html.Nav(_links(pages), id="nav", className="nav", **{"aria-label": "Pages"}),
                    html.Main(
                        [html.Div(id="notice", role="alert"), html.Div(id="page", tabIndex=-1)],
                        className="main",
                    ),
                ],
                className="frame",
            ),
            _sheet(),
            html.Div(id="said", role="status", className="said"),
        ],
        id="mantine",
        defaultColorScheme="auto",
        theme={"fontFamily": _FONT, "respectReducedMotion": True},
    )


def _bar(where: str, role: Role, login_below: str | None) -> list[Any]:
    out = [] if login_below is None else [html.A("Log out", href=f"{login_below}logout", className="button")]
    may = {"reader": "read-only", "operator": "may change"}[role]
    theme = [
        html.Span("☾ Dark theme", className="in-light"),
        html.Span("☀ Light theme", className="in-dark"),
    ]
    return [
        _button("☰", id="menu", **{"aria-label": "Pages", "aria-controls": "nav"}),
        dcc.Link("loadlab", href="/", className="brand"),
        html.Span(["Store ", html.Code(where), f" · {may}"], className="where", title=where),
        html.Div(
            [
                _button("Copy link", id="copy", title="Shortcut: c"),
                _button("Save page", id="save", title="One HTML file that needs no network. Shortcut: s"),
                _button(theme, id="theme", title="Shortcut: t"),
                _button("?", id="help", **{"aria-label": "Keyboard shortcuts", "aria-controls": "sheet"}),
                *out,
            ],
            className="actions",
        ),
    ]


def _button(words: Any, **properties: Any) -> html.Button:
    return html.Button(words, type="button", className="button", **properties)


def _links(pages: Iterable[Any]) -> list[Any]:
    return [
        html.Div(
            [
                html.Div(group, className="group", id=f"group-{group.lower()}"),
                html.Ul(
                    [html.Li(dcc.Link(page.TITLE, href=page.PATH)) for page in members],
                    **{"aria-labelledby": f"group-{group.lower()}"},
                ),
            ]
        )
        for group, members in grouped(pages).items()
    ]


def _sheet() -> html.Dialog:
    rows = [
        html.Div([html.Dt([html.Kbd(key) for key in keys.split()]), html.Dd(words)])
        for keys, words in SHORTCUTS
    ]
    return html.Dialog(
        [
            html.H2("Keyboard", id="sheet-title"),
            html.Dl(rows, className="keys"),
            html.P("Every figure: PNG and CSV below it, its rows under “Data table”.", className="note"),
            _button("Close", id="sheet-close"),
        ],
        id="sheet",
        **{"aria-labelledby": "sheet-title"},
    )
