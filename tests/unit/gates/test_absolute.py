"""Absolute rules on known counts: shown, refuted, or open with how much more it takes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadlab.analysis.measures import Observed
from loadlab.analysis.summary import summarise
from loadlab.gates.absolute import judge
from loadlab.gates.rules import slo_rules
from tests.unit.analysis import handmade
from tests.unit.analysis.handmade import failure, request


def observed(ttfts: Any, failures: int = 0) -> Observed:
    """Requests one after the other; slow and failed ones are anywhere among them."""
    made = [lambda at, ttft=ttft: request(at, ttft=float(ttft)) for ttft in ttfts]
    made += [failure] * failures
    order = np.random.default_rng(3).permutation(len(made))
    return put(handmade.requests(*(made[which](at * 2000.0) for at, which in enumerate(order))))


def put(frame: Any) -> Observed:
    summary = summarise(handmade.run(), handmade.levels(), frame, handmade.gaps(frame))
    return Observed(summary, summary.levels[0], frame, np.empty(0))


def judged(text: str, run: Observed) -> Any:
    return judge(slo_rules([text], {})[0], [run])


def slow(n: int, over: int) -> list[float]:
    return [50.0] * (n - over) + [900.0] * over


@pytest.mark.parametrize(
    ("n", "over", "outcome"),
    [(299, 0, "PASS"), (298, 0, "INCONCLUSIVE"), (3, 0, "INCONCLUSIVE"), (400, 20, "FAIL")],
)
def test_a_p99_passes_only_when_shown(n: int, over: int, outcome: str) -> None:
    found = judged("ttft_ms.p99 <= 800ms", observed(slow(n, over)))
    assert found.outcome == outcome
    assert f"{over} of {n} beyond the limit" in found.words


def test_three_requests_say_how_many_it_takes() -> None:
    assert "; about 299 requests would show it" in judged("ttft_ms.p99 <= 1s", observed([50.0] * 3)).words


def test_a_value_on_the_limit_breaks_only_the_strict_rule() -> None:
    run = observed([50.0] * 300)
    assert judged("ttft_ms.p99 <= 50ms", run).outcome == "PASS"
    assert judged("ttft_ms.p99 < 50ms", run).outcome == "FAIL"


def test_failures_count_against_goodput() -> None:
    assert judged("chat", observed([50.0] * 400)).outcome == "PASS"
    assert judged("chat", observed([50.0] * 400, failures=60)).outcome == "FAIL"


@pytest.mark.parametrize(("failures", "outcome"), [(0, "PASS"), (4, "INCONCLUSIVE"), (40, "FAIL")])
def test_the_share_of_failures(failures: int, outcome: str) -> None:
    found = judged("error_rate < 1%", observed([50.0] * 400, failures))
    assert (found.outcome, found.timeless) == (outcome, True)


def test_not_one_may_fail() -> None:
    assert judged("error_rate <= 0%", observed([50.0] * 20)).outcome == "PASS"
    assert judged("error_rate <= 0%", observed([50.0] * 20, 1)).outcome == "FAIL"


def test_all_failed_has_no_latency_to_judge() -> None:
    found = judged("ttft_ms.p50 <= 1s", observed([], failures=9))
    assert (found.outcome, found.words) == ("INVALID", "nothing was measured: no value to judge")
    assert judged("error_rate < 1%", observed([], failures=300)).outcome == "FAIL"


def test_numbers_that_are_none_are_left_out() -> None:
    """A NaN is a value that was not measured; alone there is nothing to judge."""
    run = observed([50.0] * 300 + [math.nan] * 20)
    assert "0 of 300 beyond the limit" in judged("ttft_ms.p99 <= 800ms", run).words
    for rule in ("ttft_ms.p50 <= 1s", "ttft_ms.mean <= 1s"):
        assert judged(rule, observed([math.nan] * 30)).outcome == "INVALID"


def test_an_empty_window_has_nothing_to_judge() -> None:
    run = observed([50.0] * 9)
    empty = replace(run, requests=run.requests.iloc[:0])
    for rule in ("ttft_ms.p50 <= 1s", "ttft_ms.mean <= 1s", "chat", "error_rate < 1%"):
        assert judged(rule, empty).outcome == "INVALID", rule


def test_a_mean_is_judged_by_its_interval() -> None:
    rng = np.random.default_rng(5)
    run = observed(rng.normal(100, 20, 400))
    assert judged("ttft_ms.mean < 110", run).outcome == "PASS"
    assert judged("ttft_ms.mean < 100.5", run).outcome == "INCONCLUSIVE"
    assert judged("ttft_ms.mean < 90", run).outcome == "FAIL"


def test_a_rate_has_one_number_per_run() -> None:
    run = observed([50.0] * 50)
    assert judged("requests_per_s >= 0.4", run).outcome == "PASS"
    assert "at face value" in judged("requests_per_s >= 100", run).words


def test_bursts_of_slow_ones_are_worth_less() -> None:
    rng = np.random.default_rng(8)
    at = np.zeros(1000, dtype=bool)
    at[rng.choice(50, 3, replace=False)[:, None] * 20 + np.arange(20)] = True
    found = judged("ttft_ms.p90 <= 800ms", observed_in_order(np.where(at, 900.0, 50.0)))
    assert re.search(r"worth \d+ of \d+: neighbours are alike", found.words)
    assert found.outcome == "INCONCLUSIVE"


def observed_in_order(ttfts: Any) -> Observed:
    return put(handmade.requests(*(request(at * 2000.0, ttft=float(ms)) for at, ms in enumerate(ttfts))))
