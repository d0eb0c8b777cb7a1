"""The rows behind the figures of a page, kept while the page is drawn to be exported, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_rows: ContextVar[dict[str, Any] | None] = ContextVar("rows", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, Any]]:
    """Figures drawn inside put what they show here under their names: a frame, or a plotly figure."""
    found: dict[str, Any] = {}
    token = _rows.set(found)
    try:
        yield found
    finally:
        _rows.reset(token)


def offer(name: str, rows: Any) -> None:
    """Keeps the rows of a figure if somebody collects them."""
    if (found := _rows.get()) is not None:
        found[name] = rows
