"""Luck by seed, and the faults that are ordered with it."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean, stdev

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server.faults import RateLimit, parse_faults
from loadlab.server.luck import lognormal, uniform

S = 1_000_000_000


def test_luck_is_uniform_and_belongs_to_its_counters() -> None:
    drawn = [uniform(7, counter) for counter in range(20_000)]
    assert 0 < min(drawn) < 0.001
    assert 0.999 < max(drawn) < 1
    assert mean(drawn) == pytest.approx(0.5, abs=0.01)
    assert stdev(drawn) == pytest.approx(12**-0.5, rel=0.02)
    lag = mean((a - 0.5) * (b - 0.5) for a, b in pairwise(drawn))
    assert lag == pytest.approx(0, abs=0.005)
    assert [uniform(7, counter) for counter in reversed(range(20_000))] == drawn[::-1]
    assert uniform(8, 0) != drawn[0]


def test_noise_has_mean_one_and_the_variation_asked_for() -> None:
    drawn = [lognormal(0.3, 1, counter) for counter in range(50_000)]
    assert mean(drawn) == pytest.approx(1, rel=0.01)
    assert stdev(drawn) == pytest.approx(0.3, rel=0.03)
    assert lognormal(0.0, 1, 1) == 1.0


def test_shares_are_met_and_follow_the_seed() -> None:
    faults = parse_faults(["error:500:0.1", "error:429:0.2", "cut:0.3", "stall:0.05:500ms"])
    statuses = [faults.refused(1, request) for request in range(20_000)]
    assert statuses.count(500) == pytest.approx(2_000, rel=0.1)
    assert statuses.count(429) == pytest.approx(4_000, rel=0.1)
    assert statuses == [faults.refused(1, request) for request in range(20_000)]
    assert statuses != [faults.refused(2, request) for request in range(20_000)]
    cuts = [faults.cut_after(1, request, 50) for request in range(20_000)]
    assert sum(cut is not None for cut in cuts) == pytest.approx(6_000, rel=0.1)
    assert {cut for cut in cuts if cut is not None} == set(range(1, 50))
    stalls = [faults.stalled_ns(1, step) for step in range(20_000)]
    assert stalls.count(S // 2) == pytest.approx(1_000, rel=0.15)
    assert set(stalls) == {0, S // 2}


def test_nothing_ordered_means_nothing_goes_wrong() -> None:
    faults = parse_faults([])
    assert all(faults.refused(0, request) is None for request in range(100))
    assert all(faults.cut_after(0, request, 9) is None for request in range(100))
    assert RateLimit(0).wait_s(0) == 0


def test_a_limit_lets_one_second_s_worth_through_and_says_how_long_to_wait() -> None:
    limit = RateLimit(4)
    assert [limit.wait_s(S) for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.25]
    assert limit.wait_s(S + S // 4) == 0
    assert limit.wait_s(S + S // 4) == 0.25
    assert limit.wait_s(10 * S) == 0


@pytest.mark.parametrize("text", ["error:200:0.1", "error:500", "cut:2", "stall:0.1", "limit:0", "cold:soon"])
def test_what_is_no_fault_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"error:503:0\.02"):
        parse_faults([text])


def test_unknown_kinds_and_shares_beyond_all_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'stall'"):
        parse_faults(["stal:0.1:1s"])
    with pytest.raises(UsageError, match=r"add up to 1\.2"):
        parse_faults(["error:500:0.6", "error:503:0.6"])
