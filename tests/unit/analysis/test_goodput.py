"""Goodput by level, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from loadlab.analysis.goodput import goodput_per_s

MS = 1_000_000


def requests(*rows: tuple[int, float, str | None, bool]) -> pd.DataFrame:
    """(level, ttft ms, error kind, warm-up) each."""
    return pd.DataFrame(
        [
            {
                "level": level,
                "sent_ns": 0.0,
                "first_token_ns": ttft * MS,
                "error_kind": error,
                "warmup": warmup,
            }
            for level, ttft, error, warmup in rows
        ]
    )


def test_requests_that_succeeded_within_the_limit_are_counted() -> None:
    rows = requests((0, 100, None, False), (0, 300, None, False), (0, 100, "timeout", False),
                    (0, 100, None, True), (1, 100, None, False))  # fmt: skip
    found = goodput_per_s(rows, {0: 2.0, 1: 4.0, 2: None}, {"ttft_ms": 200.0})
    assert (found[0], found[1]) == pytest.approx((0.5, 0.25))
    assert np.isnan(found[2])


def test_limit_on_gaps_is_none_of_a_request() -> None:
    rows = requests((0, 100, None, False), (0, 300, None, False))
    assert goodput_per_s(rows, {0: 1.0}, {"itl_ms": 1.0}) == {0: 2.0}
