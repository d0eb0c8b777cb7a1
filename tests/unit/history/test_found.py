"""What one series shows: the suspect newest run, the scatter, how soon a step would be noticed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadlab.analysis.measures import parse
from loadlab.analysis.percentiles import Sample
from loadlab.history.found import alarm, delay, found
from loadlab.history.series import Kind, Point, Series

KIND = Kind("chat", "tiny", "lab", "2 × H100", "8 users", "", "{}")


def series(
    logs: Sample, measure: str = "ttft_ms.p50", around: dict[int, dict[str, str]] | None = None
) -> Series:
    points = tuple(Point(f"run-{at}", 0, at, f"c{at}", (around or {}).get(at, {})) for at in range(logs.size))
    unknown = np.full(logs.size, np.nan)
    return Series(KIND, parse(measure), points, np.exp(logs), unknown, unknown)


def noise(runs: int, scatter: float = 0.02) -> Sample:
    return np.random.default_rng(1).normal(0, scatter, runs)


def test_the_newest_run_is_suspect_beyond_its_limit_and_not_before_eight() -> None:
    logs = noise(20)
    assert alarm("new", logs) is None
    logs[-1] = 0.15
    seen = alarm("new", logs)
    assert seen is not None
    assert seen.run_id == "new"
    before = logs[:-1]
    t = 3.922  # one-sided 0.9995 of Student's t with 18 degrees of freedom
    assert seen.limit == pytest.approx(t * before.std(ddof=1) * math.sqrt(1 + 1 / 19), rel=1e-3)
    assert alarm("new", logs[-8:]) is None
    assert alarm("new", logs[-9:]) is not None


def test_less_than_three_per_cent_is_never_suspect() -> None:
    assert alarm("new", np.array([0.0, 0.001] * 6 + [0.029])) is None
    assert alarm("new", np.array([0.0, 0.001] * 6 + [0.031])) is not None


def test_below_eight_runs_nothing_is_said() -> None:
    seen = found(series(np.repeat([0.0, 0.5], [4, 3])))
    assert (seen.cuts, seen.alarm, seen.scatter, seen.delay_runs) == ((), None, None, None)


def test_the_scatter_is_that_between_steps() -> None:
    logs = noise(60)
    logs[30:] += 0.2
    seen = found(series(logs))
    assert [cut.at for cut in seen.strong] == [30]
    assert seen.stretches == [(0, 30), (30, 60)]
    assert seen.scatter == pytest.approx(0.02, rel=0.25)


def test_worse_is_up_for_latency_and_down_for_throughput() -> None:
    logs = noise(60)
    logs[30:] += 0.2
    assert [found(series(logs, name)).worse(found(series(logs, name)).strong[0]) for name in (
        "ttft_ms.p50", "output_tokens_per_s", "gpu_utilisation_percent")] == [True, False, False]  # fmt: skip


def test_noisier_series_notice_later() -> None:
    waits = [delay(scatter, 20, 1e-3) for scatter in (0.01, 0.03, 0.05)]
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    assert waits[0] == 3
    assert delay(0.3, 20, 1e-3) is None


def test_what_changed_around_a_run_is_named_and_tried() -> None:
    old, new = {"driver": "570"}, {"driver": "580"}
    logs = noise(40)
    logs[20:] += 0.1
    seen = found(series(logs, around={at: old if at < 20 else new for at in range(40)}))
    assert seen.series.marked == {20: ["driver: 570 → 580"]}
    assert [cut.at for cut in seen.strong] == [20]


def test_what_only_one_side_knows_is_no_change() -> None:
    assert found(series(noise(20), around={5: {"driver": "570"}})).series.marked == {}
