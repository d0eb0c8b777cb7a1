"""The page for an address that is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash

from loadlab.figures import Theme

from ..components import empty, page
from ..links import overview_link
from ..source import Source

PATH = "/404"
TITLE = "No such page"


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """Says which address is unknown and where to go on."""
    return page(TITLE, None, empty(f"There is nothing at {query.get('path', PATH)}.", (), overview_link()))


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page."""
