"""The page of a store without runs: which commands fill it."""

from __future__ import annotations

from dash import html

from .components import empty
from .source import Source


def no_runs(source: Source, verb: str, load: str) -> html.Div:
    """Says that this store is empty and how `loadlab <verb>` writes to it."""
    ask = f"loadlab {verb} chat --url http://127.0.0.1:8000/v1 --model NAME {load} --db {source.where}"
    why = f"No run is recorded in {source.where} yet. The first command fills it; the second needs no server:"
    return empty(why, (ask, "make demo    # a real model under load, in a store and pages of its own"))
