"""The client's error: how it is measured, and which one a run is told to expect."""

from __future__ import annotations

from typing import Any

import handmade
import pandas as pd
import pytest

from loadlab.analysis import summarise
from loadlab.analysis.accuracy import ERRORS, Calibration, calibrated, cpu_seconds, expected_error
from loadlab.analysis.nouns import Signs
from loadlab.core.nouns import Level

LADDER = handmade.calibration(
    {"streams": 1, "ttft_p50_ms": 0.1},
    {"streams": 10, "ttft_p50_ms": 0.2},
    {"streams": 10, "tokens_per_s": 20.0, "ttft_p50_ms": 0.15},
    {"streams": 100, "ttft_p50_ms": 0.4},
    {"streams": 400, "ttft_p50_ms": 5.0, "processes": 2},
)


def expected(under_way: float | None, events_per_s: float | None, processes: int = 1) -> dict[str, Any]:
    return expected_error(Signs(under_way=under_way, events_per_s=events_per_s), processes, LADDER)


@pytest.mark.parametrize(
    ("under_way", "events_per_s", "error", "basis"),
    [
        (1, 95, 0.1, "calibrated 2026-11-18 at 1 streams × 100 tok/s"),
        (1, 101, 0.15, "calibrated 2026-11-18 at 10 streams × 20 tok/s"),
        (2, 150, 0.15, "calibrated 2026-11-18 at 10 streams × 20 tok/s"),
        (2, 250, 0.2, "calibrated 2026-11-18 at 10 streams × 100 tok/s"),
        (10, 1_001, 0.4, "calibrated 2026-11-18 at 100 streams × 100 tok/s"),
        (100, 9_000, 0.4, "calibrated 2026-11-18 at 100 streams × 100 tok/s"),
    ],
)
def test_the_nearest_calibrated_load_at_or_above(
    under_way: float, events_per_s: float, error: float, basis: str
) -> None:
    found = expected(under_way, events_per_s)
    assert found["ttft_p50_ms"] == error
    assert found["basis"] == basis
    assert set(found) == {*ERRORS, "basis"}


@pytest.mark.parametrize(
    ("found", "basis"),
    [
        (expected(101, 10), "not calibrated beyond 100 streams; see loadlab calibrate --full"),
        (expected(20, 10_001), "not calibrated beyond 10,000 tok/s; see loadlab calibrate --rates"),
        (expected(1, 1, 4), "not calibrated for 4 processes; run loadlab calibrate --processes 4"),
        (expected(None, None), "no request was measured"),
        (expected_error(Signs(), 1, None), "not calibrated; run loadlab calibrate"),
        (expected_error(Signs(), 1, LADDER[:0]), "not calibrated; run loadlab calibrate"),
    ],
)
def test_nothing_is_extrapolated(found: dict[str, Any], basis: str) -> None:
    assert found == {**dict.fromkeys(ERRORS), "basis": basis}


def test_other_processes_are_other_rows() -> None:
    assert expected(101, 10, processes=2)["ttft_p50_ms"] == 5.0


def ledger(n: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "n": n,
        "tokens": 6,
        "ttft_ms": {"p50": 49.0, "p99": 55.0},
        "itl_ms": {"p50": 10.5, "p99": 10.25},
        "late_ms": {"p99": 2.0},
        **changes,
    }


def measured(truth: dict[str, Any], *more: dict[str, Any], cpu_s: float | None = 0.003) -> Calibration:
    rows = handmade.requests(handmade.request(0, ttft=50), handmade.request(5, ttft=60), *more)
    found = summarise(handmade.run(), handmade.levels(), rows, handmade.gaps(rows))
    return calibrated(found.levels[0], cpu_s, truth, 100.0, 1)


def test_an_error_is_the_clients_quantile_less_the_servers() -> None:
    found = measured(ledger())
    errors = [getattr(found, name) for name in ERRORS]
    assert errors == pytest.approx([1.0, 5.0, -0.5, -0.25])
    assert (found.streams, found.requests, found.tokens, found.trouble) == (8, 2, 6, "")
    assert found.cpu_us_per_token == pytest.approx(500.0)
    assert "trouble" not in found.row()


def test_without_tokens_or_readings_the_unknown_is_none() -> None:
    empty = {"p50": None, "p99": None}
    found = measured(ledger(tokens=0, ttft_ms=empty, itl_ms=empty, n=2), cpu_s=None)
    assert [getattr(found, name) for name in ERRORS] == [None] * 4
    assert found.cpu_us_per_token is None


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        (
            measured(ledger(late_ms={"p99": 10.1})),
            "the server itself was late: p99 10.1 ms of a token, limit 10.0 ms (a gap)",
        ),
        (measured(ledger(3)), "the client has 2 requests, the server 3: they are not the same"),
        (measured(ledger(3), handmade.failure(9)), "1 of 3 requests failed"),
    ],
)
def test_what_must_not_be_kept_says_why(found: Calibration, trouble: str) -> None:
    assert found.trouble == trouble


def test_cpu_time_is_of_the_level_and_of_every_worker() -> None:
    def frame(*rows: dict[str, Any]) -> pd.DataFrame:
        return handmade.readings(*rows)

    levels = handmade.levels(Level(0, users=1), started=1_000, finished=3_000)
    readings = frame(
        handmade.reading("cpu_percent", 100, at=900),
        handmade.reading("cpu_percent", 10, at=1_500),
        handmade.reading("cpu_percent", 30, at=2_000),
        handmade.reading("cpu_percent", 40, at=2_000, device="worker1"),
        handmade.reading("cpu_percent", 100, at=2_000, source="host"),
        handmade.reading("cpu_percent", 100, at=3_500),
    )
    assert cpu_seconds(readings, levels) == pytest.approx(0.6 * 2.0)
    assert cpu_seconds(frame(), levels) is None
