"""Frames in, numbers out: percentiles, the Summary with its verdict, the curve, the timeline.

In scope: arithmetic on rows that were measured. Out of scope: SQL, sockets, drawing.
"""

from __future__ import annotations

from typing import Any

from loadlab.analysis.curve import at_slo, curve, dominated
from loadlab.analysis.ledger import at_pricing, priced_at
from loadlab.analysis.nouns import LevelSummary, Stored, Summary, label
from loadlab.analysis.samples import request_metrics
from loadlab.analysis.summary import summarise
from loadlab.analysis.timeline import timeline

__all__ = [
    "LevelSummary",
    "Stored",
    "Summary",
    "at_slo",
    "curve",
    "dominated",
    "label",
    "priced_at",
    "request_metrics",
    "summarise",
    "summary_of",
    "timeline",
]


def summary_of(store: Any, ref: str) -> Summary:
    """The Summary of the stored run that `ref` names: an id, a unique prefix or "latest". Raises NoDataError.

    `store` is what `loadlab.store.open` returns; analysis does not import that room.
    """
    stored = store.run(ref)
    of = stored.id
    stored, requests = at_pricing(stored, store.requests(of), store.pricings(of)[-1])
    return summarise(
        stored,
        store.levels(of),
        requests,
        store.gaps(of),
        store.readings(of),
        store.calibration(stored.environment),
    )
