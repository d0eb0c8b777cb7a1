"""What is measured of each answer of a vendor: the same clock points and the same yardstick for all.

Speeds count the tokens of one reference tokenizer, not those a vendor bills. In scope: one request at a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, column, ok
from loadlab.core.metrics import METRICS, Metric
from loadlab.core.units import NS_PER_MS, NS_PER_S

NORMAL_TOKENS = 500

_OWN = (
    Metric(
        "ttft_answer_ms", "Time to first answer token", "ms", "lower", "request", "first_answer - sent",
        "As ttft_ms, to the first read that carried the answer itself: thinking aloud comes before it.",
    ),
    Metric(
        "reference_tokens_per_s", "Output speed", "tok/s", "higher", "request",
        "reference_tokens * (1 - 1/chunks) / (last_token - first_answer)",
        "Pace of the answer after its first piece, in tokens of the reference tokenizer. Not defined for "
        "answers that came in one piece.",
    ),
    Metric(
        "chars_per_s", "Characters per second", "char/s", "higher", "request",
        "output_chars * (1 - 1/chunks) / (last_token - first_answer)",
        "The same pace in characters, which no tokenizer can change.",
    ),
    Metric(
        "e2e_500_ms", f"Time to {NORMAL_TOKENS} tokens", "ms", "lower", "request",
        f"ttft_answer_ms + {NORMAL_TOKENS} * 1000 / reference_tokens_per_s",
        "What an answer of 500 reference tokens would take at the answer's own pace: end-to-end latency "
        "without the vendors' habits of answering at length.",
    ),
)  # fmt: skip

MEASURES = {metric.name: metric for metric in (METRICS["ttft_ms"], *_OWN, METRICS["e2e_ms"])}
PRIMARY = "e2e_500_ms"
TIERED = (PRIMARY, "ttft_answer_ms", "reference_tokens_per_s")


def answers(rows: pd.DataFrame) -> pd.DataFrame:
    """The answered requests on a connection that was open already, with a column per measure.

    The first request of a run opens the connection: it is the cold one, and apart. Where a vendor closes the
    connection after each answer, all but the first count, and the connecting is in none of the measures.
    What an INVALID run answered is in the availability alone.
    """
    believed = (rows["verdict"] != "INVALID").to_numpy(dtype=bool)
    warm = rows[ok(rows) & believed & (column(rows, "seq") > 0)]
    return warm.assign(**{name: of(warm) for name, of in _FORMULAS.items()})


def _since_sent(name: str, rows: pd.DataFrame) -> Sample:
    return np.asarray((column(rows, name) - column(rows, "sent_ns")) / NS_PER_MS)


def _pace(counted: str, rows: pd.DataFrame) -> Sample:
    """Per second; NaN where the answer came in one piece or nothing was counted."""
    chunks, span = column(rows, "chunks"), column(rows, "last_token_ns") - column(rows, "first_answer_ns")
    pace = np.full(len(rows), np.nan)
    after_first = column(rows, counted) * (1 - 1 / np.maximum(chunks, 1))
    np.divide(after_first * NS_PER_S, span, out=pace, where=(chunks >= 2) & (span > 0))
    return pace


def _normalised(rows: pd.DataFrame) -> Sample:
    pace = _pace("reference_tokens", rows)
    tail = np.full(len(rows), np.nan)
    np.divide(NORMAL_TOKENS * 1000, pace, out=tail, where=pace > 0)
    whole: Sample = _since_sent("first_answer_ns", rows) + tail
    return whole


_FORMULAS = {
    "ttft_ms": REQUEST_METRICS["ttft_ms"],
    "ttft_answer_ms": lambda rows: _since_sent("first_answer_ns", rows),
    "reference_tokens_per_s": lambda rows: _pace("reference_tokens", rows),
    "chars_per_s": lambda rows: _pace("output_chars", rows),
    "e2e_500_ms": _normalised,
    "e2e_ms": REQUEST_METRICS["e2e_ms"],
}
