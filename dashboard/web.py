"""What the web server answers beside Dash: a health probe, and 404 for addresses that are no page."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from loadlab.core.errors import LoadlabError

from . import pages
from .source import Source


def add_routes(server: Flask, source: Source) -> None:
    """Adds /healthz, the real 404 and the headers that keep a page to itself."""
    server.add_url_rule("/healthz", "healthz", lambda: _health(source))

    @server.after_request
    def finish(response: Response) -> Response:
        # Dash answers 200 with its index for every path: a probe of a wrong address must not pass.
        if request.endpoint == "/<path:path>" and not _exists(source, request.path):
            response.status_code = 404
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _health(source: Source) -> tuple[Response, int]:
    try:
        source.check()
    except LoadlabError as error:
        return jsonify(status="error", error=str(error)), 503
    return jsonify(status="ok"), 200


def _exists(source: Source, path: str) -> bool:
    module, parts = pages.find(path)
    if module is pages.not_found:
        return False
    try:
        return "run_id" not in parts or bool(source.run(parts["run_id"]))
    except LoadlabError:
        return False
