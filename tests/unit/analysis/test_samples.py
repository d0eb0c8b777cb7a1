"""Each request metric of the registry, computed by hand from one row."""

from __future__ import annotations

import math

import handmade
import pytest

from loadlab.analysis.samples import REQUEST_METRICS, request_metrics
from loadlab.core.metrics import METRICS


def metrics_of(row: dict[str, object]) -> dict[str, float]:
    return request_metrics(handmade.requests(row)).iloc[0].to_dict()


def test_a_request_by_hand() -> None:
    row = handmade.request(1000, lag=2, connect=7, ttft=50, tokens=5, itl=10, tail=3)
    assert metrics_of(row) == pytest.approx(
        {
            "ttft_ms": 50,
            "ttft_planned_ms": 2 + 7 + 50,
            "tpot_ms": 10,
            "e2e_ms": 50 + 4 * 10 + 3,
            "e2e_planned_ms": 2 + 7 + 50 + 4 * 10 + 3,
            "send_lag_ms": 2,
            "connect_ms": 7,
        }
    )


def test_every_request_metric_of_the_registry_is_computed() -> None:
    assert set(REQUEST_METRICS) == {name for name, metric in METRICS.items() if metric.per == "request"}


def test_tpot_divides_by_tokens_and_not_by_chunks() -> None:
    row = handmade.request(ttft=50, tokens=3, itl=10, output_tokens=11, chunks=3)
    assert metrics_of(row)["tpot_ms"] == pytest.approx(20 / 10)


@pytest.mark.parametrize(
    "row",
    [
        handmade.request(tokens=1),
        handmade.request(tokens=5, output_tokens=None),
        handmade.request(tokens=1, output_tokens=40, chunks=1),
    ],
    ids=["one token", "unknown count", "whole answer in one piece"],
)
def test_no_pace_without_two_tokens_at_two_times(row: dict[str, object]) -> None:
    assert math.isnan(metrics_of(row)["tpot_ms"])


def test_a_reused_connection_has_no_connect_time() -> None:
    assert math.isnan(metrics_of(handmade.request(reused=True))["connect_ms"])


def test_a_request_sent_twice_says_nothing_of_the_generator() -> None:
    found = metrics_of(handmade.request(lag=30, retries=1))
    assert math.isnan(found["send_lag_ms"])
    assert found["ttft_ms"] == 50


def test_a_failure_before_sending_has_no_times() -> None:
    found = metrics_of(handmade.failure(kind="connect", sent_ns=None, done_ns=None))
    assert all(math.isnan(found[name]) for name in ("ttft_ms", "e2e_ms", "send_lag_ms"))
