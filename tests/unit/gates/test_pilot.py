"""A pilot's own uncertainty goes into the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from loadlab.analysis.measures import Observed, parse
from loadlab.core.errors import UsageError
from loadlab.gates import pilot


class Run:
    """A run of lognormal latencies, as far as a pilot looks at one."""

    id = "run-1"

    def __init__(self, n: int) -> None:
        self.values = np.exp(np.random.default_rng(n).normal(4, 0.3, n))

    def sample(self, metric: str) -> Any:
        return self.values

    def interval(self, measure: Any) -> Any:
        return Observed.interval(cast("Any", self), measure)


def error(n: int, measure: str = "ttft_ms.p95") -> pilot.Error:
    return pilot.error(cast("Any", Run(n)), parse(measure))


def test_a_small_pilot_is_widened_more_than_a_large_one() -> None:
    large, small = error(5000), error(200)
    assert 1.0 < large.widened < 1.25 < small.widened < 1.6
    assert not large.guessed


def test_a_pilot_too_small_for_an_interval_is_not_taken_as_exact() -> None:
    """A p95 of 40 answers has no interval: once it counted as free of error."""
    tiny = error(40)
    assert tiny.guessed
    assert tiny.value > error(5000).value * np.sqrt(5000 / 40) / 2


@pytest.mark.parametrize("seed", range(3))
def test_the_widened_error_is_rarely_below_the_true_one(seed: int) -> None:
    true = 0.3 * np.sqrt(0.05 * 0.95 / 300) / 0.1031
    rng, low = np.random.default_rng(seed), 0
    for _ in range(100):
        run = Run(300)
        run.values = np.exp(rng.normal(4, 0.3, 300))
        low += pilot.error(cast("Any", run), parse("ttft_ms.p95")).value < true
    assert low <= 25


def test_a_handful_is_refused() -> None:
    with pytest.raises(UsageError, match="3 values of ttft_ms"):
        error(3)


def test_the_reader_is_told() -> None:
    assert "200 requests is small" in pilot.words({"ttft_ms.p95": error(200)}, 200)
    assert "its spread stands for one" in pilot.words({"ttft_ms.p95": error(40)}, 40)
    assert pilot.words({"ttft_ms.p50": replace(error(5000), widened=1.05)}, 5000) == ""
