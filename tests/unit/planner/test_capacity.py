"""What a replica holds: the crossing, its interval, the brackets, and every refusal with its command."""

from __future__ import annotations

import math

import pytest
import sweeps

from loadlab.core.errors import (
    ExitCode,
    MeasurementError,
    NoDataError,
    SloError,
    UnknownNameError,
    UsageError,
)
from loadlab.planner import capacity, slo_criteria
from loadlab.planner.capacity import next_loads

P95 = "ttft_ms.p95="


def test_the_capacity_is_where_the_curve_meets_the_limit() -> None:
    found = capacity(sweeps.knee(), slo_criteria(f"{P95}450"))
    assert 6.0 < found.load < 8.0
    assert found.low <= found.load <= found.high
    assert found.high - found.low < 2.0
    assert (found.held.load, found.missed and found.missed.load) == (6.0, 8.0)
    assert found.why_missed.startswith("TTFT p95 ≤ 450 ms, found ")
    fit = found.fits[0]
    assert fit.at(found.load) == pytest.approx(1.0, abs=1e-6)


def test_a_limit_met_at_a_measured_load_gives_that_load() -> None:
    """Interpolation adds nothing at the points: p95 at 4 req/s is what was put in, within sampling."""
    found = capacity(sweeps.knee(n=20_000), slo_criteria(f"{P95}150"))
    assert found.load == pytest.approx(4.0, rel=0.02)


def test_more_answers_make_the_interval_narrower() -> None:
    few, many = (capacity(sweeps.knee(n=n), slo_criteria(f"{P95}450")) for n in (200, 4000))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_repeats_that_differ_make_it_wider() -> None:
    loads = ((2.0, 100.0), (4.0, 150.0), (6.0, 225.0), (8.0, 900.0))
    alike = [sweeps.level(x, y, axis="users", run=f"r{i}", seed=i) for x, y in loads for i in range(3)]
    apart = [
        sweeps.level(x, y * (0.8 + 0.2 * i), axis="users", run=f"r{i}", seed=i)
        for x, y in loads
        for i in range(3)
    ]
    narrow, wide = (capacity(sweeps.sweep(levels), slo_criteria(f"{P95}450")) for levels in (alike, apart))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert all("measured once" not in doubt for doubt in wide.doubts)


def test_the_same_measurement_gives_the_same_answer() -> None:
    one, two = (capacity(sweeps.knee(), slo_criteria(f"{P95}450")) for _ in range(2))
    assert (one.load, one.low, one.high) == (two.load, two.low, two.high)


def test_a_sweep_that_holds_throughout_is_at_least_its_last_load() -> None:
    found = capacity(sweeps.knee(), slo_criteria(f"{P95}5000"))
    assert (found.load, found.at_least, found.missed) == (8.0, True, None)
    assert found.high == 8.0
    assert next_loads(found) == [10.0, 12.8]


def test_an_unstable_load_is_an_upper_bracket_and_no_point() -> None:
    levels = [
        sweeps.level(2, 100),
        sweeps.level(4, 120),
        sweeps.level(6, 130, unstable=True),
        sweeps.level(8, 90),
    ]
    found = capacity(sweeps.sweep(levels), slo_criteria(f"{P95}500"))
    assert found.load == 4.0
    assert found.why_missed == "unstable: more came than went"
    assert "does not keep up" in found.cliff


def test_a_steep_wide_bracket_is_a_cliff() -> None:
    assert "rises" in capacity(sweeps.knee(), slo_criteria(f"{P95}450")).cliff
    gentle = [sweeps.level(x, y) for x, y in ((2.0, 100.0), (4.0, 150.0), (6.0, 200.0), (8.0, 300.0))]
    assert capacity(sweeps.sweep(gentle), slo_criteria(f"{P95}250")).cliff == ""


def test_the_strictest_requirement_decides() -> None:
    both = capacity(sweeps.knee(), slo_criteria(f"{P95}450,e2e_ms.p95=650"))
    assert both.binding == "end-to-end p95 ≤ 650 ms"
    assert both.load < capacity(sweeps.knee(), slo_criteria(f"{P95}450")).load


def test_a_share_of_requests_counts_failures_as_broken() -> None:
    levels = [sweeps.level(2, 100), sweeps.level(4, 100, failed=40), sweeps.level(6, 100, failed=200)]
    found = capacity(sweeps.sweep(levels), slo_criteria("ttft_ms=500", share=0.8, errors=0.6))
    assert 4.0 <= found.load < 6.0
    assert capacity(sweeps.sweep(levels), slo_criteria(f"{P95}500", errors=0.01)).load < 4.0


def test_an_slo_missed_at_the_lightest_load_is_refused_with_exit_code_1() -> None:
    with pytest.raises(SloError, match="does not hold the SLO at the lightest") as refused:
        capacity(sweeps.knee(), slo_criteria(f"{P95}50"))
    assert refused.value.exit_code == ExitCode.GATE_FAILED
    assert "--rate 0.5,1" in str(refused.value)


def test_too_few_requests_are_refused_with_the_command() -> None:
    with pytest.raises(MeasurementError, match="at least 100 are needed") as refused:
        capacity(sweeps.knee(n=60), slo_criteria("ttft_ms.p99=450"))
    assert "loadlab sweep chat" in str(refused.value)
    assert "--requests 1000" in str(refused.value)


def test_only_failures_do_not_hold_anything() -> None:
    with pytest.raises(SloError, match="errors ≤ 1 %, found 100 %"):
        capacity(sweeps.sweep([sweeps.level(2, 100, failed=400)]), slo_criteria(f"{P95}450"))


def test_what_was_not_measured_cannot_be_promised() -> None:
    levels = [sweeps.level(2, 100)]
    levels[0].requests["output_tokens"] = math.nan
    with pytest.raises(NoDataError, match="tpot_ms"):
        capacity(sweeps.sweep(levels), slo_criteria("tpot_ms.p95=50"))


def test_wider_limits_never_hold_less() -> None:
    found = capacity(sweeps.knee(), slo_criteria(f"{P95}450"))
    lows = [found.stretched(factor) for factor in (0.8, 1.0, 1.2)]
    assert lows == sorted(lows)
    assert lows[1] == pytest.approx(found.low)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nonsense", UnknownNameError), ("ttft_ms.p95=-1", UsageError), ("ttft_ms.p95=", UsageError),
        ("ttft_mx=5", UnknownNameError), ("error_rate=1", UsageError), ("itl_ms=5", UsageError),
        ("ttft_ms.max=5", UsageError),
    ],
)  # fmt: skip
def test_an_slo_that_means_nothing_is_said(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        slo_criteria(text)


def test_a_preset_brings_its_limits_and_share() -> None:
    goodput, errors = slo_criteria("chat")
    assert (goodput.limits, goodput.quantile) == ({"ttft_ms": 300.0, "e2e_ms": 3000.0}, 0.95)
    assert errors.ceiling == 0.01
