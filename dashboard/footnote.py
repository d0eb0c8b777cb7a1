"""The line below every page and in every saved picture: what was measured, where it lies, who drew it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from dash import html

from loadlab import __version__

ID = "footnote"


def footnoted(page: Any, where: str) -> Any:
    """The page, its footer completed by the store, the versions and the time."""
    foot = [child for child in getattr(page, "children", None) or () if getattr(child, "id", None) == ID]
    for each in foot:
        each.children = " · ".join([*filter(None, [each.children]), *_common(where)])
    return page


def _common(where: str) -> list[str]:
    drawn = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [where, f"loadlab {__version__}, plotly {version('plotly')}", f"drawn {drawn}"]


def footer(about: str) -> html.Footer:
    """The footer of a page before it is completed; `about` says data set, n and window."""
    return html.Footer(about, id=ID, className="footnote")
