"""Requests that were stored, priced once more. Knows rows and a meter; adds nothing up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loadlab import pricing
from loadlab.analysis.samples import column
from loadlab.core.nouns import Price


def priced(requests: pd.DataFrame, price: Price | None, started_at_ns: int) -> pd.DataFrame:
    """The requests with what each costs under another price; `started_at_ns` is the run's anchor in UTC.

    Those that went to another route than the run's own target keep what they cost.
    """
    own = column(requests, "route") == 0
    costs = np.where(own, np.nan, column(requests, "cost_nano_usd"))
    if price is not None and price.kind == "token":
        meter = pricing.Meter(price)
        costs[own] = [
            meter.billed_nano_usd(row, pricing.Use.of(row), started_at_ns + (row.sent_ns or row.planned_ns))
            for row in _rows(requests[own])
        ]
    return requests.assign(cost_nano_usd=costs)


class _Row(NamedTuple):
    """What a meter asks of a request, with plain numbers, unknown as None."""

    error_kind: str | None
    status: int | None
    sent_ns: int | None
    planned_ns: int
    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    audio_input_tokens: int | None
    reasoning_tokens: int | None
    audio_output_tokens: int | None
    audio_s: float | None


def _rows(requests: pd.DataFrame) -> Iterator[_Row]:
    columns = [[_plain(name, cell) for cell in requests[name]] for name in _Row._fields]
    return (_Row(*cells) for cells in zip(*columns, strict=True))


def _plain(name: str, cell: Any) -> Any:
    if pd.isna(cell):
        return None
    return cell if name == "error_kind" else float(cell) if name == "audio_s" else int(cell)
