"""The timeline: counts by hand, and sums that must be the same in any binning."""

from __future__ import annotations

import handmade
import numpy as np
import pandas as pd
import pytest

from loadlab.analysis import timeline
from loadlab.analysis.timeline import COLUMNS


def test_three_requests_by_hand() -> None:
    requests = handmade.requests(
        handmade.request(0, ttft=100, tokens=11, itl=100, tail=0),
        handmade.request(500, ttft=300, tokens=1, tail=200),
        handmade.failure(1_500, done_ns=2_500 * handmade.MS),
    )
    frame = timeline(requests, bin_s=1.0)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["t_s"].tolist() == [0, 1, 2]
    assert frame["sent"].tolist() == [2, 1, 0]
    assert frame["ok"].tolist() == [0, 2, 0]
    assert frame["failed"].tolist() == [0, 0, 1]
    assert frame["ttft_ms_p50"].tolist()[0] == 100
    assert frame["ttft_ms_p95"].tolist()[0] == 300
    assert frame["ttft_ms_p50"].isna().tolist() == [False, True, True]
    # First request open 0 to 1.1 s, second 0.5 to 1.0 s, third 1.5 to 2.5 s.
    assert frame["in_flight"].tolist() == pytest.approx([1.5, 0.1 + 0.5, 0.5])
    # Eleven tokens evenly from 0.1 to 1.1 s; the single token of the second answer at 0.8 s.
    assert frame["output_tokens"].tolist() == pytest.approx([11 * 0.9 + 1, 11 * 0.1, 0])


def test_a_request_on_an_edge_falls_into_the_later_bin() -> None:
    requests = handmade.requests(*(handmade.request(at * 100) for at in range(30)))
    assert timeline(requests, bin_s=0.1)["sent"].tolist()[:30] == [1] * 30


@pytest.mark.parametrize("bin_s", [0.05, 0.3, 1.0, 7.0, None])
def test_sums_do_not_depend_on_the_binning(bin_s: float | None) -> None:
    random = np.random.default_rng(3)
    rows = [
        handmade.request(float(at), ttft=float(ttft), tokens=int(tokens))
        for at, ttft, tokens in zip(
            random.uniform(5_000, 20_000, 300),
            random.lognormal(4, 1, 300),
            random.integers(1, 40, 300),
            strict=True,
        )
    ] + [handmade.failure(float(at)) for at in random.uniform(5_000, 20_000, 30)]
    requests = handmade.requests(*rows)
    frame = timeline(requests, bin_s)
    width = frame["t_s"].diff().iloc[1]
    open_s = (requests["done_ns"] - requests["sent_ns"]).sum() / 1e9
    assert frame["sent"].sum() == 330
    assert (frame["ok"].sum(), frame["failed"].sum()) == (300, 30)
    assert frame["output_tokens"].sum() == pytest.approx(requests["output_tokens"].sum())
    assert (frame["in_flight"] * width).sum() == pytest.approx(open_s)


def test_a_width_is_chosen_that_keeps_the_bins_few() -> None:
    for last_ms in (50, 5_000, 500_000, 50_000_000):
        frame = timeline(handmade.requests(handmade.request(0), handmade.request(last_ms)))
        assert 1 <= len(frame) <= 122


def test_a_request_that_never_left_is_not_sent_but_failed() -> None:
    frame = timeline(handmade.requests(handmade.failure(10, "connect", sent_ns=None, done_ns=None)), 1.0)
    assert frame[["sent", "ok", "failed"]].to_numpy().tolist() == [[0, 0, 1]]


def test_no_requests_is_an_empty_frame_with_the_same_columns() -> None:
    frame = timeline(handmade.requests())
    assert frame.empty
    assert list(frame.columns) == list(COLUMNS)
    assert isinstance(frame, pd.DataFrame)
