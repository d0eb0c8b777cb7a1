"""GPUs in numbers and output against power, from readings made up to be checked by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from loadlab.analysis.devices import device_table, devices, power_points

S = 1_000_000_000


def readings(*rows: tuple[float, str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [(round(t * S), "nvml", device, metric, value) for t, device, metric, value in rows],
        columns=["at_ns", "source", "device", "metric", "value"],
    )


def test_gpu_has_statistics_energy_and_time_held_back() -> None:
    steady = [(float(t), "gpu0", "power_w", 100.0) for t in range(11)]
    held = [(float(t), "gpu0", "throttled_by_heat", float(t < 4)) for t in range(11)]
    (found,) = device_table(readings(*steady, *held))
    assert found["device"] == "gpu0"
    assert found["power_w"]["mean"] == 100
    assert found["energy_j"] == pytest.approx(1000)
    assert found["held_s"] == pytest.approx(4)
    assert found["held_percent"] == pytest.approx(40)
    assert found["utilisation_percent"]["n"] == 0


def test_pause_in_the_readings_is_not_counted_as_held_back() -> None:
    rows = [(float(t), "gpu0", "throttled_by_power", 1.0) for t in (0, 1, 2, 3, 100)]
    assert device_table(readings(*rows))[0]["held_s"] == pytest.approx(6)


def test_power_is_that_of_all_gpus_in_each_bin_of_a_level() -> None:
    timeline = pd.DataFrame({"t_s": [0.0, 1.0, 2.0], "output_tokens": [10.0, 20.0, 30.0]})
    rows = [(t + half, gpu, "power_w", watt) for t in range(3) for half in (0.1, 0.6)
            for gpu, watt in (("gpu0", 100.0 + t), ("gpu1", 50.0))]  # fmt: skip
    found = power_points(timeline, readings(*rows), [("1 user", 0.0, 2.0)])
    assert found["power_w"].tolist() == [150, 151]
    assert found["output_tokens_per_s"].tolist() == [10, 20]


def test_bin_in_which_one_gpu_was_not_read_is_left_out() -> None:
    timeline = pd.DataFrame({"t_s": [0.0, 1.0], "output_tokens": [10.0, 20.0]})
    rows = readings(
        (0.5, "gpu0", "power_w", 1.0), (1.5, "gpu0", "power_w", 1.0), (1.5, "gpu1", "power_w", 1.0)
    )
    assert len(power_points(timeline, rows, [("1 user", 0.0, 2.0)])) == 1


def test_nothing_read_is_nothing() -> None:
    empty = readings()
    assert devices(empty) == device_table(empty) == []
