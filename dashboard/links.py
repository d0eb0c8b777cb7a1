"""Addresses of pages, so that none is spelled twice. Knows paths and query keys, no layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc

from . import url


def overview_link() -> dcc.Link:
    """To the list of runs."""
    return dcc.Link("All runs", href="/")


def run_path(run_id: str, **query: str | None) -> str:
    """The address of a run's page."""
    return f"/run/{quote(run_id, safe='')}{url.write(query)}"


def request_path(run_id: str, worker: int, seq: int) -> str:
    """The address of one request's page."""
    return f"{run_path(run_id)}/request/{worker}-{seq}"


def live_path(run_id: str = "") -> str:
    """The address of a run under way; without one, of whichever is."""
    return f"/live/{quote(run_id, safe='')}" if run_id else "/live"


def tradeoff_path(run_ids: Sequence[str]) -> str:
    """The address of throughput against latency for these runs."""
    return f"/tradeoff{url.write({'runs': ','.join(run_ids)})}"


def run_link(run_id: str, words: Any) -> dcc.Link:
    """A link to a run's page."""
    return dcc.Link(words, href=run_path(run_id))


def gate_path(gate_id: str) -> str:
    """The address of a gate's page."""
    return f"/gates/{quote(gate_id, safe='')}"


def compare_path(run_ids: Sequence[str], **query: str | None) -> str:
    """The address of a comparison; the first run is the base."""
    return f"/compare{url.write({'runs': ','.join(run_ids), **query})}"


def hardware_path(run_id: str) -> str:
    """The address of what the hardware did during a run."""
    return f"/hardware{url.write({'run': run_id})}"
