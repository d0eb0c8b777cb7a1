"""Traffic: peaks, means, days, traces."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from loadlab.core.errors import UsageError
from loadlab.planner import demand


def test_a_mean_becomes_a_peak_with_the_scatter_of_a_minute() -> None:
    found = demand.of_mean(10, ratio=2, dispersion=4)
    assert found.peak == pytest.approx(20 + 3 * math.sqrt(4 * 20 / 60))
    assert found.mean == 10


def test_a_day_of_hours_becomes_minutes() -> None:
    found = demand.of_day([1.0] * 23 + [13.0])
    assert found.minutes is not None
    assert found.minutes.shape == (1440,)
    assert found.mean == pytest.approx(1.5)
    assert found.peak == pytest.approx(13 + 3 * math.sqrt(13 / 60))
    assert found.bin_minutes == 60


def test_growth_grows_all_of_it() -> None:
    found = demand.of_day([1.0, 3.0]).grown(0.5)
    assert found.mean == pytest.approx(3.0)
    assert found.minutes is not None
    assert found.minutes.max() == 4.5


def write_trace(path: Path, at_s: np.ndarray, **lengths: int) -> str:  # type: ignore[type-arg]
    path.write_text("\n".join(json.dumps({"timestamp": 1000 * at, **lengths}) for at in at_s))
    return str(path)


def test_a_trace_tells_peak_bursts_and_lengths(tmp_path: Path) -> None:
    at = np.cumsum(np.random.default_rng(1).exponential(1 / 20, 24_000))
    file = write_trace(tmp_path / "t.jsonl", at, input_length=300, output_length=40)
    found = demand.read_day(file)
    assert found.peak == pytest.approx(20, rel=0.15)
    assert found.mean == pytest.approx(20, rel=0.03)
    assert found.dispersion == pytest.approx(1.0, abs=0.7)
    assert found.gap_variation == pytest.approx(1.0, abs=0.1)
    assert (found.prompt_tokens, found.output_tokens) == (300, 40)


def test_bursts_show_in_dispersion_and_gaps(tmp_path: Path) -> None:
    starts = np.cumsum(np.random.default_rng(1).exponential(5.0, 400))
    at = np.sort(np.concatenate([starts + 0.01 * i for i in range(20)]))
    found = demand.read_day(write_trace(tmp_path / "t.jsonl", at))
    assert found.dispersion > 5
    assert found.gap_variation is not None
    assert found.gap_variation > 10


@pytest.mark.parametrize(
    "text",
    ["hour,rate\n0,1\n1,2\n", "1\n2\n", "1,2", "\n1;1\n2;2\n"],
    ids=["head", "lines", "line", "semicolon"],
)
def test_a_file_of_rates(tmp_path: Path, text: str) -> None:
    (tmp_path / "day.csv").write_text(text)
    found = demand.read_day(str(tmp_path / "day.csv"))
    assert found.minutes is not None
    assert (found.minutes[0], found.minutes[-1]) == (1.0, 2.0)


@pytest.mark.parametrize("text", ["1,2,x", "nowhere.csv", "1,2,3,4,5,6,7", "0,0", "1,-2", "1,nan", "3"])
def test_a_day_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        demand.read_day(text)


def test_a_file_with_a_wrong_value_names_it(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("rate\n1\nmany\n")
    with pytest.raises(UsageError, match="value 2: 'many'"):
        demand.read_day(str(tmp_path / "day.csv"))


def test_a_trace_too_short_for_a_peak_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5 minutes"):
        demand.read_day(write_trace(tmp_path / "t.jsonl", np.array([0.0, 30.0])))


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_peak_must_be_a_number_above_0(value: float) -> None:
    with pytest.raises(UsageError):
        demand.of_peak(value, "req/s")
