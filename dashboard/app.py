"""The app: shell, navigation and the one router. The URL is the only state; the browser adds its theme.

One clientside callback joins path, query and theme into `view`; the server answers a view with a page. A page
that changes its own query writes the URL and `shown` together, so that the router knows it is already drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from loadlab.core.errors import LoadlabError
from loadlab.figures import LIGHT, THEMES, Theme

from . import pages, url, web
from .components import empty, page
from .source import Source

INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" href="data:,">
    {%css%}
    <script>
      try {
        const kept = localStorage.getItem("loadlab-theme");
        const dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
        document.documentElement.classList.add(dark ? "dark" : "light");
      } catch {}
    </script>
  </head>
  <body>
    {%app_entry%}
    <noscript>These pages need JavaScript. `loadlab runs show` prints the same numbers.</noscript>
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def create_app(store: Any) -> Dash:
    """The dashboard over an open store. Several may live in one process."""
    source = Source(store)
    app = Dash(
        __name__,
        assets_folder=str(Path(__file__).parent / "assets"),
        pages_folder="",
        use_pages=False,
        title="loadlab",
        update_title="",
        index_string=INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,
    )
    app.layout = _shell()
    _route(app, source)
    for module in pages.PAGES:
        module.register(app, source)
    web.add_routes(app.server, source)
    return app


def _shell() -> dmc.MantineProvider:
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="view"),
            dcc.Store(id="shown"),
            dmc.AppShell(
                [
                    dmc.AppShellNavbar(_navigation(), p="sm"),
                    dmc.AppShellMain(html.Div(id="page")),
                ],
                navbar={
                    "width": {"base": 176, "lg": 208},
                    "breakpoint": "sm",
                    "collapsed": {"mobile": False},
                },
                padding="md",
            ),
        ],
        id="mantine",
        defaultColorScheme="auto",
        theme={
            "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
        },
    )


def _navigation() -> list[Any]:
    links = [
        dmc.NavLink(label=module.TITLE, href=module.PATH, active="exact")
        for module in pages.PAGES
        if "<" not in module.PATH
    ]
    toggle = html.Button(
        [html.Span("☾ Dark theme", className="in-light"), html.Span("☀ Light theme", className="in-dark")],
        id="theme",
        type="button",
    )
    return [
        html.Div("loadlab", className="brand"),
        html.Div(links),
        toggle,
    ]


def _route(app: Dash, source: Source) -> None:
    app.clientside_callback(
        "loadlab.view",
        Output("view", "data"),
        Output("mantine", "forceColorScheme"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("theme", "n_clicks"),
        State("shown", "data"),
    )

    @app.callback(  # type: ignore[untyped-decorator]
        Output("page", "children"), Output("shown", "data"), Input("view", "data"), prevent_initial_call=True
    )
    def show(view: dict[str, str]) -> tuple[Any, dict[str, str]]:
        return render(source, view), view

    app.clientside_callback("loadlab.title", Input("page", "children"))


def render(source: Source, view: dict[str, str]) -> Any:
    """The page of a view {path, search, theme}; an error of the store becomes a page that says it."""
    theme: Theme = THEMES.get(view.get("theme", ""), LIGHT)
    try:
        module, parts = pages.find(view["path"])
        return module.layout(source, theme, {**url.read(view.get("search")), **parts})
    except LoadlabError as error:
        again = dcc.Link("The same page with its defaults", href=view["path"])
        return page("This page cannot be shown", None, empty(str(error), (), again))
