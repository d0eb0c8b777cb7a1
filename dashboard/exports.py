"""What a page is taken away as: the rows of a figure as CSV, the whole of it as one HTML file.

The page is drawn anew from its address, so that what is saved is what the address says and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from flask import Flask, Response, request

from loadlab.reports import csv

from . import collected, saved
from .source import Source

Render = Callable[[Source, dict[str, str]], Any]


def add_routes(server: Flask, source: Source, render: Render) -> None:
    """Adds /export/rows.csv?figure=NAME and /export/page.html, both with path and search of a view."""

    def rows() -> Response:
        name = request.args.get("figure", "")
        with collected.collecting() as found:
            render(source, _view(request.args))
        if name not in found:
            known = ", ".join(found) or "none"
            return Response(
                f"This page has no figure '{name}'. It has: {known}.\n", 404, mimetype="text/plain"
            )
        return _file(csv.rows(_frame(found[name])), "text/csv", f"loadlab-{name}.csv")

    def page() -> Response:
        view = _view(request.args)
        light, dark = (render(source, {**view, "theme": theme}) for theme in ("light", "dark"))
        return _file(
            saved.saved(light, dark, view["path"] + view["search"]), "text/html", _name(view["path"])
        )

    server.add_url_rule("/export/rows.csv", "export_rows", rows)
    server.add_url_rule("/export/page.html", "export_page", page)


def _view(asked: Mapping[str, str]) -> dict[str, str]:
    return {
        "path": asked.get("path", "/"),
        "search": asked.get("search", ""),
        "theme": asked.get("theme", "light"),
    }


def _name(path: str) -> str:
    return f"loadlab-{re.sub(r'[^A-Za-z0-9]+', '-', path).strip('-') or 'overview'}.html"


def _file(text: str, kind: str, name: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(text, mimetype=kind, headers={"Content-Disposition": disposition})


def _frame(rows: Any) -> pd.DataFrame:
    return _points(rows) if isinstance(rows, go.Figure) else pd.DataFrame(rows)


def _points(figure: go.Figure) -> pd.DataFrame:
    """Every drawn point: its series and its numbers on both axes."""
    parts = [pd.DataFrame(_columns(trace)) for trace in figure.data]
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=["series", "x", "y"])


def _columns(trace: Any) -> dict[str, Any]:
    values = {axis: trace[axis] for axis in ("x", "y") if axis in trace and trace[axis] is not None}
    return {"series": trace.name or "", **{axis: list(found) for axis, found in values.items()}}
