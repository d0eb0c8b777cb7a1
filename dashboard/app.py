"""The app and its one router. The URL is the only state; the browser adds its theme.

One clientside callback joins path, query and theme into `view`; the server answers a view with a page. A page
that changes its own query writes the URL and `shown` together, so that the router knows it is already drawn.
"""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, no_update, set_props

from loadlab.core.errors import LoadlabError
from loadlab.figures import LIGHT, THEMES, Theme

from . import exports, pages, url, web
from .access import Access, role
from .components import empty, page
from .doors import add_doors
from .footnote import footnoted
from .shell import INDEX, shell
from .source import Source

_log = logging.getLogger("loadlab.dashboard")


def create_app(store: Any, *, prefix: str = "/", access: Access | None = None) -> Dash:
    """The dashboard over an open store. Several may live in one process.

    `prefix` is the path under which browsers see it, such as "/loadlab/"; a proxy may strip it or not.
    `access` says who gets in; without it everybody who names this machine as localhost does, to read.
    """
    source, access = Source(store), access or Access()
    app = Dash(
        __name__,
        assets_folder=str(Path(__file__).parent / "assets"),
        pages_folder="",
        use_pages=False,
        title="loadlab",
        update_title="",
        index_string=INDEX.replace("BUNDLE", web.script(prefix)),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,
        requests_pathname_prefix=prefix,
        routes_pathname_prefix="/",
        on_error=_say,
    )
    app.layout = lambda: shell(pages.PAGES, source.where, role(), prefix if access.asks else None)
    _route(app, source)
    for module in pages.PAGES:
        module.register(app, source)
    add_doors(app.server, access, prefix)
    exports.add_routes(app.server, source, render)
    web.add_routes(app, source, prefix, quiet=access.asks)
    return app


def _route(app: Dash, source: Source) -> None:
    app.clientside_callback(
        ClientsideFunction("loadlab", "view"),
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

    app.clientside_callback(ClientsideFunction("loadlab", "drawn"), Input("page", "children"))


def render(source: Source, view: dict[str, str]) -> Any:
    """The page of a view {path, search, theme}; whatever goes wrong becomes a page that says it."""
    theme: Theme = THEMES.get(view.get("theme", ""), LIGHT)
    try:
        module, parts = pages.find(view["path"])
        drawn = module.layout(source, theme, {**url.read(view.get("search")), **parts})
        return footnoted(drawn, source.where)
    except LoadlabError as error:
        again = dcc.Link("The same page with its defaults", href=view["path"])
        return page("This page cannot be shown", None, empty(str(error), (), again))
    except Exception:
        why = f"{_logged()} The terminal of `loadlab dash` shows the traceback under that number."
        return page("This page failed", None, empty(why, (), dcc.Link("Overview", href="/")))


def _say(error: Exception) -> Any:
    """A callback that failed leaves the page as it was and says why above it."""
    set_props("notice", {"children": empty(str(error) if isinstance(error, LoadlabError) else _logged())})
    return no_update


def _logged() -> str:
    number = uuid.uuid4().hex[:8]
    _log.exception("error %s", number)
    return f"Something went wrong inside loadlab (error {number}); this is a defect."
