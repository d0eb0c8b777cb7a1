"""Frames in, numbers out: percentiles, the Summary with its verdict, the curve, the timeline.

In scope: arithmetic on rows that were measured. Out of scope: SQL, sockets, drawing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loadlab.analysis.batch import batch_of
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


def summary_of(store: Any, ref: str, level: int | None = None) -> Summary:
    """The Summary of the stored run that `ref` names: an id, a unique prefix or "latest". Raises NoDataError.

    With `level` only that one is in it. `store` is what `loadlab.store.open` returns; analysis does not
    import that room.
    """
    stored = store.run(ref)
    of, levels = stored.id, store.levels(stored.id)
    stored, requests = at_pricing(stored, store.requests(of, level), store.pricings(of)[-1])
    summary = summarise(
        stored,
        levels if level is None else levels[levels["level"] == level],
        requests,
        store.gaps(of, level),
        store.readings(of),
        store.calibration(stored.environment),
    )
    batch = store.batches.of(of)
    return replace(summary, batch=batch_of(stored, batch, requests)) if batch else summary
