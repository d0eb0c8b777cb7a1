from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loadlab.analysis.energy import level_energy_j

S = 1_000_000_000
Rows = list[tuple[int, str, str, str, float]]


def frame(*rows: Rows) -> pd.DataFrame:
    """Readings as the store gives them."""
    return pd.DataFrame(
        [row for part in rows for row in part], columns=["at_ns", "source", "device", "metric", "value"]
    ).astype({"at_ns": np.int64, "value": np.float64})


def samples(metric: str, of: Callable[[float], float], at_s: Iterable[float], device: str = "gpu0") -> Rows:
    return [(round(t * S), "nvml", device, metric, of(t)) for t in at_s]


def every(period: float, start: float, end: float) -> list[float]:
    return [start + k * period for k in range(round((end - start) / period) + 1)]


def constant(watt: float) -> Callable[[float], float]:
    return lambda _: watt


def counter(watt: float, base: float = 5e6) -> Callable[[float], float]:
    return lambda t: base + watt * t


def test_constant_power_is_power_times_time() -> None:
    readings = frame(samples("power_w", constant(300.0), every(0.1, 0, 20)))
    assert level_energy_j(readings, 5 * S, 15 * S) == (pytest.approx(3000.0), [])


def test_a_ramp_is_the_area_under_it_also_between_samples() -> None:
    readings = frame(samples("power_w", lambda t: 100 + 10 * t, every(0.3, 0, 30)))
    joule, reasons = level_energy_j(readings, round(4.05 * S), round(11.4 * S))
    assert joule == pytest.approx((140.5 + 214) / 2 * 7.35)
    assert reasons == []


def test_the_counter_wins_where_it_agrees_and_several_gpus_are_summed() -> None:
    at = every(0.5, 0, 20)
    readings = frame(
        samples("energy_j", counter(310.0), at),
        samples("power_w", constant(300.0), at),
        samples("power_w", constant(50.0), at, "gpu1"),
    )
    assert level_energy_j(readings, 2 * S, 12 * S) == (pytest.approx(3100 + 500), [])


def test_the_counter_is_read_between_its_samples() -> None:
    readings = frame(samples("energy_j", counter(400.0), every(1.0, 0.5, 20.5)))
    joule, reasons = level_energy_j(readings, 2 * S, 12 * S)
    assert joule == pytest.approx(4000.0)
    assert reasons == []


def without(rows: Rows, start: float, end: float) -> Rows:
    return [row for row in rows if not start < row[0] / S < end]


POWER = samples("power_w", constant(300.0), every(0.1, 0, 20))
COUNTER = samples("energy_j", counter(300.0), every(0.1, 0, 20))


def test_a_short_gap_is_bridged_and_said() -> None:
    power = samples("power_w", constant(300.0), every(0.1, 0, 40))
    joule, reasons = level_energy_j(frame(without(power, 7.05, 8.45)), 0, 40 * S)
    assert joule == pytest.approx(12_000.0)
    assert reasons == ["gpu0: power was not read in 1.50 s of 40.0 s, taken to be like the rest"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([without(POWER, 7.0, 9.0)], "gpu0: no energy: power was not read in 2.00 s of 10.0 s, limit 5%"),
        ([without(POWER, -1.0, 6.95)], "power was not read in 2.00 s of 10.0 s"),
        ([without(COUNTER, 12.95, 21.0)], "the energy counter was not read in 2.10 s of 10.0 s"),
        ([without(COUNTER, 0.05, 9.95)], "the energy counter was not read in 5.00 s"),
        ([POWER[60:64]], "4 of at least 5 power samples"),
        ([COUNTER[60:61]], "1 of at least 2 readings"),
        ([samples("power_w", constant(-3.0), every(0.1, 0, 20))], "a power of -3 W cannot be"),
        ([samples("temperature_c", constant(60.0), every(0.1, 0, 20))], "no GPU gave power or energy"),
        ([[(row[0], "host", *row[2:]) for row in POWER]], "no GPU gave power or energy"),
        ([POWER, samples("energy_j", counter(900.0), every(0.1, 0, 20))], "disagree by more than 25%"),
        ([], "no GPU gave power or energy"),
    ],
)
def test_what_was_not_measured_is_unknown_with_the_reason(rows: Any, words: str) -> None:
    joule, reasons = level_energy_j(frame(*rows), 5 * S, 15 * S)
    assert joule is None
    assert words in "; ".join(reasons)


def test_a_counter_that_goes_back_gives_way_to_the_power_samples() -> None:
    reset = samples("energy_j", lambda t: 5e6 + 300 * t if t < 9 else 300 * (t - 9), every(0.1, 0, 20))
    joule, reasons = level_energy_j(frame(reset, POWER), 5 * S, 15 * S)
    assert joule == pytest.approx(3000.0)
    assert reasons == ["gpu0: the energy counter went back; it cannot be used"]
    assert level_energy_j(frame(reset), 5 * S, 15 * S)[0] is None
    assert level_energy_j(frame(reset), 10 * S, 15 * S)[0] == pytest.approx(1500.0)


def test_a_counter_that_stands_still_while_power_flows_is_not_believed() -> None:
    still = samples("energy_j", constant(5e6), every(0.1, 0, 20))
    joule, reasons = level_energy_j(frame(still, POWER), 5 * S, 15 * S)
    assert joule == pytest.approx(3000.0)
    assert reasons == ["gpu0: the energy counter stood still; it cannot be used"]
    assert level_energy_j(frame(still), 5 * S, 15 * S)[0] is None


def test_part_of_the_gpus_is_not_their_energy() -> None:
    lost = samples("power_w", constant(300.0), every(0.1, 0, 8), "gpu1")
    joule, reasons = level_energy_j(frame(POWER, lost), 5 * S, 15 * S)
    assert joule is None
    assert len(reasons) == 1
    assert reasons[0].startswith("gpu1: no energy: power was not read in 7.00 s")


def test_an_empty_stretch_has_no_energy() -> None:
    assert level_energy_j(frame(POWER), 5 * S, 5 * S) == (None, ["no energy: the stretch of time is empty"])


@pytest.mark.parametrize("seed", range(20))
def test_stretches_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    watt = rng.uniform(50, 700, 400)
    readings = frame([(k * S // 10, "nvml", "gpu0", "power_w", float(watt[k])) for k in range(400)])
    cuts = np.array([0.0, 2.0, 4.0]) + np.sort(rng.uniform(0, 35.9, 3))
    a, b, c = (round(float(cut) * S) for cut in cuts)
    first, second, whole = (level_energy_j(readings, *edges)[0] for edges in ((a, b), (b, c), (a, c)))
    assert first is not None
    assert second is not None
    assert whole == pytest.approx(first + second)
