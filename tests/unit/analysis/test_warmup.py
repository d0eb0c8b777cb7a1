"""The warm-up check: finds a transient of known length, leaves flat series alone."""

from __future__ import annotations

import numpy as np
import pytest

from loadlab.analysis import warmup
from loadlab.analysis.summary import summarise
from loadlab.core.nouns import Level
from tests.unit.analysis import handmade
from tests.unit.analysis.handmade import request

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("length", [150.0, 300.0])
def test_mser_cuts_an_exponential_transient_at_three_time_constants(length: float) -> None:
    at = np.arange(2000.0)
    cuts = []
    for _ in range(40):
        values = 100 + 30 * np.exp(-at / length) + RNG.normal(0, 3, at.size)
        found = warmup.settling("ttft_ms", values)
        assert found is not None
        assert found.course == "warmup"
        cuts.append(found.cut * at.size)
    assert np.median(cuts) == pytest.approx(3 * length, rel=0.2)


def test_flat_series_are_left_alone() -> None:
    wrong = sum(
        found.course != "flat"
        for _ in range(300)
        if (found := warmup.settling("ttft_ms", np.exp(RNG.normal(4, 0.3, 600))))
    )
    assert wrong <= 0.05 * 300


def test_what_becomes_slower_did_not_warm_up() -> None:
    found = warmup.settling("ttft_ms", np.r_[RNG.normal(50, 2, 150), RNG.normal(70, 2, 600)])
    assert found is not None
    assert found.course == "slowdown"


def test_what_never_settles_is_said() -> None:
    found = warmup.settling("ttft_ms", np.linspace(100, 50, 400) + RNG.normal(0, 1, 400))
    assert found is not None
    assert found.course == "no_steady_state"


def test_too_few_values_say_nothing() -> None:
    assert warmup.settling("ttft_ms", np.ones(199)) is None


def verdict(slow: int, level: Level | None = None) -> tuple[str, str]:
    level = level or Level(0, users=1, requests=300)
    rows = [
        request(at * 100.0, ttft=(80 if at < slow else 50) + float(RNG.normal(0, 2)), tokens=1)
        for at in range(300)
    ]
    rows = handmade.requests(*rows)
    stored = handmade.run(level)
    found = summarise(stored, handmade.levels(level), rows, handmade.gaps(rows)).levels[0]
    return found.verdict, " ".join(found.reasons)


def test_a_short_warm_up_makes_a_level_suspect() -> None:
    assert verdict(slow=0) == ("VALID", "")
    found, words = verdict(slow=60)
    assert found == "SUSPECT"
    assert "warm-up too short: mean Time to first token" in words
    assert "in the first 20% of the requests" in words


def test_a_load_that_is_meant_to_change_may() -> None:
    _, words = verdict(60, Level(0, arrivals="shape", requests=300))
    assert "warm-up" not in words
