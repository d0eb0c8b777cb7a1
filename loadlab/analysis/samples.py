"""Request rows to samples: each per-request metric of the registry, in ms, NaN where it is not defined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample
from loadlab.core.units import NS_PER_MS


def column(frame: pd.DataFrame, name: str) -> Sample:
    """A numeric column as float64, unknown as NaN."""
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def flag(frame: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """A boolean column as a numpy mask, also when it came as 0/1 or as objects."""
    return frame[name].to_numpy(dtype=bool)


def ok(frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which requests succeeded."""
    return frame["error_kind"].isna().to_numpy(dtype=bool)


def _span(first: str, last: str) -> Callable[[pd.DataFrame], Sample]:
    return lambda frame: (column(frame, last) - column(frame, first)) / NS_PER_MS


def _tpot(frame: pd.DataFrame) -> Sample:
    span = _span("first_token_ns", "last_token_ns")(frame)
    gaps = column(frame, "output_tokens") - 1
    # An answer that arrived in one piece has its first and last token at the same instant: it has no pace.
    pace = np.full(len(frame), np.nan)
    np.divide(span, gaps, out=pace, where=(gaps >= 1) & (span > 0))
    return pace


def _connect(frame: pd.DataFrame) -> Sample:
    return np.where(flag(frame, "reused"), np.nan, column(frame, "connect_ns")) / NS_PER_MS


def _send_lag(frame: pd.DataFrame) -> Sample:
    waited = column(frame, "connect_ns") + column(frame, "queued_ns")
    lag = _span("planned_ns", "sent_ns")(frame) - waited / NS_PER_MS
    # `sent` of a retried request is its second sending: the first one is no lateness of the generator.
    return np.where(column(frame, "retries") > 0, np.nan, lag)


REQUEST_METRICS: dict[str, Callable[[pd.DataFrame], Sample]] = {
    "ttft_ms": _span("sent_ns", "first_token_ns"),
    "ttft_planned_ms": _span("planned_ns", "first_token_ns"),
    "tpot_ms": _tpot,
    "e2e_ms": _span("sent_ns", "done_ns"),
    "e2e_planned_ms": _span("planned_ns", "done_ns"),
    "send_lag_ms": _send_lag,
    "connect_ms": _connect,
}


def request_metrics(requests: pd.DataFrame) -> pd.DataFrame:
    """Every per-request metric of every row, successful or not, one column each."""
    return pd.DataFrame({name: of(requests) for name, of in REQUEST_METRICS.items()}, index=requests.index)
