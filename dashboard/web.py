"""What the web server answers beside Dash: health, the drawing library, real 404s, headers on everything."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from dash import Dash
from flask import Response, jsonify, request

from loadlab.core.errors import LoadlabError
from loadlab.figures import assets

from . import gating, packing, pages
from .pages import request as request_page
from .shell import EARLY
from .source import Source

# The traces that are drawn here, a third of plotly's own bundle; with it present Dash asks for no other.
PLOTLY = f"_loadlab/plotly-{version('plotly')}.js"
_YEAR = "private, max-age=31536000, immutable"
_HOUR = "private, max-age=3600"
_HREF = re.compile(rb'"href": ?"(?:/|\\u002f)')  # inside a string of the JSON the quotes would be escaped
_STATIC = ("/_dash-component-suites/", "/assets/", "/_loadlab/")


def add_routes(app: Dash, source: Source, prefix: str, *, quiet: bool) -> None:
    """Adds /healthz, the bundle, the real 404, security headers, caching and compression.

    `quiet`: health tells strangers no reason, which would name the store.
    """
    server = app.server
    server.add_url_rule("/healthz", "healthz", lambda: _health(source, quiet))
    server.add_url_rule(
        f"/{PLOTLY}", "plotly", lambda: Response(assets.text(assets.BUNDLE), mimetype="text/javascript")
    )
    policy = _policy([*app.csp_hashes(), _hash(EARLY)])

    @server.after_request  # type: ignore[untyped-decorator]
    def finish(response: Response) -> Response:
        # Dash answers 200 with its index for every path: a probe of a wrong address must not pass.
        stray = request.endpoint == "/<path:path>" and response.status_code == 200
        if stray and not _exists(source, request.path):
            response.status_code = 404
        response.headers.update(_SAFE, **{"Content-Security-Policy": policy})
        response.headers["Cache-Control"] = _cached(response)
        return packing.packed(_prefixed(response, prefix), request.headers.get("Accept-Encoding", ""))

    server.wsgi_app = _below(prefix, server.wsgi_app)


_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def script(prefix: str) -> str:
    """The element that loads the bundle."""
    return f'<script src="{prefix}{PLOTLY}"></script>'


def _policy(scripts: Iterable[str]) -> str:
    """Nothing from elsewhere, no script but ours. Styles are set by plotly and Mantine on their elements."""
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *scripts]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _cached(response: Response) -> str:
    """How long a browser may keep a response: files of a version for good, what was measured not at all."""
    if response.status_code != 200 or not request.path.startswith(_STATIC):
        return "no-store"
    versioned = ".v" in request.path or "m" in request.args or request.path.startswith("/_loadlab/")
    return _YEAR if versioned else _HOUR


def _prefixed(response: Response, prefix: str) -> Response:
    """Addresses in the JSON of pages begin at the app's root; behind a proxy the root has a prefix."""
    if prefix != "/" and response.mimetype == "application/json":
        response.set_data(_HREF.sub(b'"href":"' + prefix.encode(), response.get_data()))
    return response


def _below(prefix: str, application: Callable[..., Any]) -> Callable[..., Any]:
    """The application, also for a proxy that leaves the prefix in the path."""

    def inner(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        path = environ.get("PATH_INFO", "")
        if prefix != "/" and path.startswith(prefix):
            environ = {**environ, "PATH_INFO": path.removeprefix(prefix.rstrip("/"))}
        return application(environ, start)

    return inner


def _health(source: Source, quiet: bool) -> tuple[Response, int]:
    try:
        source.check()
    except LoadlabError as error:
        return jsonify(status="error", **({} if quiet else {"error": str(error)})), 503
    return jsonify(status="ok"), 200


def _exists(source: Source, path: str) -> bool:
    module, parts = pages.find(path)
    if module is pages.not_found:
        return False
    try:
        if "gate_id" in parts:
            return bool(gating.document(source, parts["gate_id"]))
        run = source.run(parts["run_id"]) if "run_id" in parts else None
        return (
            run is None
            or "request" not in parts
            or bool(request_page.found(source, run.id, parts["request"]))
        )
    except LoadlabError:
        return False
