"""What a batch came to: turnaround, counts, and its cost beside what the same would cost interactively."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.nouns import Stored
from loadlab.analysis.repricing import priced
from loadlab.analysis.samples import column, ok
from loadlab.core.money import Price
from loadlab.core.units import NS_PER_S
from loadlab.pricing.costs import NANO_PER_USD


def batch_of(stored: Stored, row: Mapping[str, Any], requests: pd.DataFrame) -> dict[str, Any]:
    """The numbers of a batch, of its row and its requests; None is unknown.

    `turnaround_s` is from handing it in to seeing it over, as far as `poll_s` tells; `vendor` holds the same
    by the vendor's own clock: until it began, at work, and both together.
    """
    turnaround_s = _between(row["handed_in_ns"], row["over_ns"])
    answered = requests[ok(requests)] if len(requests) else requests
    cost, usual = _usd(requests), _usual(stored, row, requests)
    return {
        "language": row["language"],
        "id": row["batch_id"],
        "word": row["word"],
        "error": row["error"],
        "counts": row["counts"] or {},
        "requests": len(row["max_tokens"]),
        "answered": len(answered),
        "turnaround_s": turnaround_s,
        "poll_s": row["poll_s"],
        "vendor": _vendor(row["times"] or {}),
        "requests_per_s": _rate(len(answered), turnaround_s),
        "output_tokens_per_s": _rate(_sum(answered, "output_tokens"), turnaround_s),
        "cost_usd": cost,
        "interactive_usd": usual,
        "saved_share": None if cost is None or not usual else 1 - cost / usual,
    }


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / NS_PER_S


def _vendor(times: Mapping[str, float]) -> dict[str, float | None]:
    """Seconds by the vendor's clock, which counts whole ones."""
    created, started, ended = (times.get(name) for name in ("created", "started", "ended"))
    return {
        "waited_s": started - created if created and started else None,
        "worked_s": ended - started if started and ended else None,
        "turnaround_s": ended - created if created and ended else None,
    }


def _rate(count: float | None, seconds: float | None) -> float | None:
    return None if count is None or not seconds else count / seconds


def _sum(rows: pd.DataFrame, name: str) -> float | None:
    values = column(rows, name)
    return None if not len(values) or np.isnan(values).all() else float(np.nansum(values))


def _usd(requests: pd.DataFrame) -> float | None:
    """What all requests cost; None where one has no cost."""
    costs = column(requests, "cost_nano_usd")
    return None if not len(costs) or np.isnan(costs).any() else float(costs.sum()) / NANO_PER_USD


def _usual(stored: Stored, row: Mapping[str, Any], requests: pd.DataFrame) -> float | None:
    if not row["usual_price"] or not len(requests):
        return None
    price = Price.from_dict(row["usual_price"])
    return _usd(priced(requests, price, stored.started_at_ns)) if price.kind == "token" else None
