"""A run over time: what happened in each bin of `bin_s` seconds since the run's anchor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from loadlab.analysis.percentiles import Sample, percentile
from loadlab.analysis.samples import REQUEST_METRICS, column, ok
from loadlab.core.units import NS_PER_S

_NICE_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_BINS_AIMED_AT = 120
COLUMNS = ("t_s", "sent", "ok", "failed", "ttft_ms_p50", "ttft_ms_p95", "in_flight", "output_tokens")


def timeline(requests: pd.DataFrame, bin_s: float | None = None) -> pd.DataFrame:
    """One row per bin, warm-up included; `t_s` is the bin's start, seconds from the run's anchor.

    A request counts as sent when it left, as ok or failed when it ended. TTFT belongs to the bin in which the
    request left. `in_flight` is the mean number of open requests. Output tokens are spread evenly between an
    answer's first and last token. Without `bin_s` a round width giving at most 120 bins is chosen.
    """
    if not len(requests):
        return pd.DataFrame({name: pd.Series(dtype=np.float64) for name in COLUMNS})
    start, end, succeeded = _start(requests), _end(requests), ok(requests)
    edges = _edges(float(start.min()), float(end.max()), bin_s)
    return pd.DataFrame(
        {
            "t_s": edges[:-1] / NS_PER_S,
            "sent": _count(column(requests, "sent_ns"), edges),
            "ok": _count(end[succeeded], edges),
            "failed": _count(end[~succeeded], edges),
            **_ttft(requests[succeeded], edges),
            "in_flight": spread(start, end, end - start, edges) / np.diff(edges),
            "output_tokens": _tokens(requests[succeeded], edges),
        }
    )


def _start(requests: pd.DataFrame) -> Sample:
    """When a request began, ns: sent, or planned where it never left."""
    sent = column(requests, "sent_ns")
    return np.where(np.isnan(sent), column(requests, "planned_ns"), sent)


def _end(requests: pd.DataFrame) -> Sample:
    """When a request ended, ns: done, or its begin where no end was seen."""
    done = column(requests, "done_ns")
    return np.where(np.isnan(done), _start(requests), done)


def _edges(first: float, last: float, bin_s: float | None) -> Sample:
    """Whole ns, which float64 holds exactly: a request on an edge always falls into the later bin."""
    span_s = (last - first) / NS_PER_S
    chosen = bin_s or next((nice for nice in _NICE_S if span_s / nice <= _BINS_AIMED_AT), _NICE_S[-1])
    width = round(chosen * NS_PER_S)
    return np.arange(first // width, last // width + 2) * width


def _bins(times: Sample, edges: Sample) -> npt.NDArray[np.intp]:
    return np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)


def _count(times: Sample, edges: Sample) -> npt.NDArray[np.intp]:
    return np.bincount(_bins(times[~np.isnan(times)], edges), minlength=len(edges) - 1)


def _ttft(answered: pd.DataFrame, edges: Sample) -> dict[str, Sample]:
    """Sorted by bin, each bin's values are one slice."""
    bins = _bins(_start(answered), edges)
    ends = np.cumsum(np.bincount(bins, minlength=len(edges) - 1))
    ordered = REQUEST_METRICS["ttft_ms"](answered)[np.argsort(bins, kind="stable")]
    slices = np.split(ordered, ends[:-1])
    return {
        f"ttft_ms_{name}": np.array([percentile(values, p) for values in slices], dtype=np.float64)
        for name, p in (("p50", 0.50), ("p95", 0.95))
    }


def _tokens(answered: pd.DataFrame, edges: Sample) -> Sample:
    first, last = column(answered, "first_token_ns"), column(answered, "last_token_ns")
    return spread(first, last, column(answered, "output_tokens"), edges)


def spread(start: Sample, end: Sample, weight: Sample, edges: Sample) -> Sample:
    """Each weight spread evenly over its interval, summed per bin; an empty interval falls into one bin."""
    known = ~(np.isnan(start) | np.isnan(end) | np.isnan(weight))
    start, end, weight = start[known], end[known], weight[known]
    point = end <= start
    whole = np.bincount(_bins(start[point], edges), weights=weight[point], minlength=len(edges) - 1)
    start, end, slope = start[~point], end[~point], weight[~point] / (end[~point] - start[~point])
    summed: Sample = whole + np.diff(ramp(start, slope, edges) - ramp(end, slope, edges))
    return summed


def ramp(start: Sample, slope: Sample, at: Sample) -> Sample:
    """Sum over i of slope[i] * max(0, at - start[i]), by prefix sums: requests × bins would be too many."""
    order = np.argsort(start)
    n = np.searchsorted(start[order], at)
    slopes = np.concatenate(([0.0], np.cumsum(slope[order])))[n]
    offsets = np.concatenate(([0.0], np.cumsum((slope * start)[order])))[n]
    summed: Sample = slopes * at - offsets
    return summed
