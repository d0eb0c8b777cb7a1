"""Live, of the run that the address names; one that has ended has a page of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, dcc

from loadlab.figures import Theme

from ..components import empty, page
from ..links import live_path, run_link
from ..source import Source
from . import live

PATH = "/live/<run_id>"
TITLE = "Live run"


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The run while it lasts. Raises NoDataError."""
    run = source.run(query["run_id"])
    if run.state == "running":
        return live.followed(source, theme, query, run.id)
    words = f"Run {run.id} is over ({run.state}), so there is nothing to follow."
    links = (run_link(run.id, "What it measured"), " · ", dcc.Link("What is under way", href=live_path()))
    return page("This run is over", None, empty(words, (), *links))


def register(app: Dash, source: Source) -> None:
    """The callbacks are those of the page above it."""
