"""The pages; the navigation groups and orders them (dashboard/navigation.py).

A page is a module with PATH (which may hold `<name>` parts), TITLE, `layout(source, theme, query)` and
`register(app, source)`; GROUP, when given, is its group in the navigation. `query` holds the URL's parameters
and the parts of its path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from dash import Dash

from loadlab.figures import Theme

from ..source import Source
from . import (
    capacity,
    compare,
    cost,
    gate,
    gates,
    glossary,
    hardware,
    live,
    live_run,
    not_found,
    overview,
    regressions,
    request,
    run,
    runs,
    settings,
    targets,
    tradeoff,
    vendors,
)


class Page(Protocol):
    """What the router needs of a page module."""

    PATH: str
    TITLE: str

    def layout(self, source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
        """The page for these parameters. May raise LoadlabError."""

    def register(self, app: Dash, source: Source) -> None:
        """Adds the page's own callbacks, if it has any."""


PAGES: tuple[Page, ...] = (
    overview,
    live,
    tradeoff,
    compare,
    regressions,
    vendors,
    cost,
    hardware,
    capacity,
    gates,
    runs,
    targets,
    settings,
    glossary,
    run,
    request,
    live_run,
    gate,
)


def find(path: str) -> tuple[Page, dict[str, str]]:
    """The page at a path and the named parts of it; the not-found page when there is none."""
    for page in PAGES:
        pattern = re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", page.PATH)
        if match := re.fullmatch(pattern, path.rstrip("/") or "/"):
            return page, match.groupdict()
    return not_found, {"path": path}
