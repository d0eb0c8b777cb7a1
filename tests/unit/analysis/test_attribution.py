from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handmade import levels, request, requests, run

from loadlab.analysis import curve
from loadlab.analysis.attribution import KEYS, idle_power_w, increase, level_hardware
from loadlab.analysis.summary import summarise
from loadlab.core.nouns import Level

S = 1_000_000_000
Row = tuple[float, str, str, str, float]


def frame(*parts: Iterable[Row]) -> pd.DataFrame:
    """Readings as the store gives them, times in s."""
    found = pd.DataFrame(
        [row for part in parts for row in part], columns=["at_ns", "source", "device", "metric", "value"]
    )
    at_ns = (found["at_ns"].astype(np.float64) * S).round().astype(np.int64)
    text = dict.fromkeys(("source", "device", "metric"), "str")
    return found.assign(at_ns=at_ns).astype({**text, "value": np.float64}).sort_values("at_ns")


def steady(
    metric: str, value: float, device: str = "gpu0", source: str = "nvml", period: float = 0.5, of: float = 20
) -> list[Row]:
    return [(k * period, source, device, metric, value) for k in range(round(of / period) + 1)]


def counted(metric: str, *values: float) -> list[Row]:
    return [(float(second), "server", "s", metric, value) for second, value in enumerate(values)]


TWO_GPUS = frame(
    steady("power_w", 500.0),
    steady("power_w", 100.0, "gpu1"),
    steady("utilisation_percent", 90.0),
    steady("utilisation_percent", 10.0, "gpu1", period=0.1),
    steady("memory_used_bytes", 70e9),
    steady("memory_used_bytes", 10e9, "gpu1"),
    steady("memory_used_bytes", 5e9, "gpu1.mig0"),
    [(float(t), "nvml", "gpu0", "throttled_by_power", float(t < 8)) for t in range(21)],
    steady("throttled_by_heat", 0.0, period=1.0),
)


def test_energy_per_token_and_tokens_per_watt() -> None:
    found = level_hardware(TWO_GPUS, (2 * S, 12 * S), 24_000.0)
    assert found["energy_j"] == pytest.approx(6000.0)
    assert found["gpu_power_w"] == pytest.approx(600.0)
    assert found["j_per_output_token"] == pytest.approx(0.25)
    assert found["output_tokens_per_j"] == pytest.approx((24_000 / 10) / 600)
    assert found["remarks"] == []
    assert set(found) == set(KEYS)


def test_utilisation_is_the_mean_of_gpus_not_of_samples() -> None:
    found = level_hardware(TWO_GPUS, (2 * S, 12 * S), 24_000.0)
    assert found["gpu_utilisation_percent"] == pytest.approx(50.0)
    assert found["gpus"] == 2
    assert found["gpu_memory_bytes"] == 80e9
    assert found["gpu_throttled_percent"] == pytest.approx(100 * 6 / 11, abs=8)


@pytest.mark.parametrize("tokens", [None, 0.0])
def test_energy_without_tokens_has_no_price_per_token(tokens: float | None) -> None:
    found = level_hardware(TWO_GPUS, (2 * S, 12 * S), tokens)
    assert found["energy_j"] is not None
    assert found["j_per_output_token"] is None
    assert found["output_tokens_per_j"] is None


def test_a_gap_makes_energy_unknown_and_says_so() -> None:
    gap = TWO_GPUS[(TWO_GPUS["at_ns"] < 4 * S) | (TWO_GPUS["at_ns"] > 9 * S)]
    found = level_hardware(gap, (2 * S, 12 * S), 24_000.0)
    assert found["energy_j"] is found["gpu_power_w"] is found["j_per_output_token"] is None
    assert found["gpu_utilisation_percent"] == pytest.approx(50.0)
    assert "power was not read in" in found["remarks"][0]


@pytest.mark.parametrize("readings", [None, frame(), frame(steady("cpu_percent", 3.0, "h", "host"))])
def test_without_readings_everything_is_unknown(readings: pd.DataFrame | None) -> None:
    found = level_hardware(readings, (0, S), 5.0)
    assert {key: value for key, value in found.items() if value is not None} == {"remarks": []}
    assert idle_power_w(readings, S)[0] is None


def test_idle_power_is_what_was_before_the_load() -> None:
    before = frame(
        steady("power_w", 70.0, of=3), [(t + 4.0, "nvml", "gpu0", "power_w", 600.0) for t in range(9)]
    )
    assert idle_power_w(before, 3.5 * S) == (pytest.approx(70.0), [])


def test_idle_power_of_busy_gpus_or_of_few_samples_is_doubted() -> None:
    busy = frame(steady("power_w", 400.0, of=3), steady("utilisation_percent", 80.0, of=3))
    assert idle_power_w(busy, 4 * S) == (
        400.0, ["idle power is not of idle GPUs: they were 80.0 % busy before the load"]
    )  # fmt: skip
    assert idle_power_w(busy, 1.2 * S) == (None, ["no idle power: 3 of at least 5 samples before the load"])


def test_queues_and_cache_of_the_server() -> None:
    readings = frame(
        counted("kv_cache_use", 0.1, 0.5, 0.9, 0.7, 0.1),
        counted("running", 0, 8, 8, 8, 0),
        counted("waiting", 0, 0, 5, 1, 0),
        counted("preemptions", 3, 3, 4, 6, 6),
        counted("prefix_cache_queries", 1000, 1000, 1500, 2000, 9000),
        counted("prefix_cache_hits", 500, 500, 700, 1250, 1250),
        counted("counter_restarts", 0, 0, 0, 0, 0),
        counted("spec_decode_acceptance", 0.5, 0.5, 0.5, 0.5, 0.5),
    )
    found = level_hardware(readings, (1 * S, 3 * S), 10.0)
    assert found["kv_cache_percent"] == pytest.approx(70.0)
    assert found["kv_cache_max_percent"] == pytest.approx(90.0)
    assert found["server_running"] == 8.0
    assert found["server_waiting_max"] == 5.0
    assert found["preemptions"] == 3.0
    assert found["prefix_cache_hit_percent"] == pytest.approx(75.0)
    assert found["spec_decode_accepted_percent"] == pytest.approx(50.0)
    assert found["energy_j"] is None


def test_counters_that_began_anew_gain_nothing_known() -> None:
    readings = frame(
        counted("prefix_cache_queries", 1000, 1500, 1600),
        counted("prefix_cache_hits", 500, 700, 710),
        counted("counter_restarts", 0, 0, 1),
        counted("waiting", 0, 1, 2),
    )
    found = level_hardware(readings, (0, 2 * S), 10.0)
    assert found["prefix_cache_hit_percent"] is None
    assert found["server_waiting_max"] == 2.0
    assert "began anew" in found["remarks"][0]
    assert level_hardware(readings, (0, 1 * S), 10.0)["prefix_cache_hit_percent"] == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("values", "gained"),
    [((5, 7, 9, 12), 5.0), ((5, 7, 3, 12), None), ((5,), None), ((), None), ((5, 5, 5, 5), 0.0)],
)
def test_an_increase_is_from_before_the_window_to_its_last_reading(
    values: tuple[float, ...], gained: float | None
) -> None:
    assert increase(frame(counted("n", *values)), "n", round(1.5 * S), round(3.5 * S)) == gained


def test_hits_beyond_queries_are_no_share() -> None:
    readings = frame(counted("prefix_cache_queries", 0, 100), counted("prefix_cache_hits", 0, 150))
    assert level_hardware(readings, (0, 1 * S), 10.0)["prefix_cache_hit_percent"] is None


def test_a_summary_carries_it_per_level_and_the_curve_shows_it() -> None:
    rows = [request(planned=2000.0 + 100 * k, ttft=50, tokens=100, itl=10.0) for k in range(90)]
    asked = Level(0, users=8)
    summary = summarise(
        run(asked),
        levels(asked, started=2000.0, finished=13_000.0),
        requests(*rows),
        pd.DataFrame({"level": [0], "warmup": [False], "ok": [True], "itl_ms": [10.0]}),
        TWO_GPUS,
    )
    (level,) = summary.levels
    window_s = level.window_s or 0.0
    assert level.hardware["energy_j"] == pytest.approx(600.0 * window_s)
    assert level.hardware["j_per_output_token"] == pytest.approx(600.0 * window_s / 9000)
    assert level.hardware["gpu_idle_power_w"] is None or level.hardware["gpu_idle_power_w"] == 600.0
    row: Any = curve(summary).iloc[0]
    assert row["output_tokens_per_j"] == pytest.approx(9000 / (600.0 * window_s))
    assert np.isnan(row["kv_cache_max_percent"])


def test_a_run_whose_levels_are_still_to_come_has_no_idle_power() -> None:
    assert idle_power_w(TWO_GPUS, float("nan")) == (None, [])
