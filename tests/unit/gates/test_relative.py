"""Relative rules on simulated pairs: false alarms, power, and what makes a gate INVALID."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadlab.analysis.compare import Spread
from loadlab.analysis.measures import parse
from loadlab.analysis.multiple import benjamini_hochberg, holm
from loadlab.gates import evidence, planning, relative, simulation
from loadlab.gates.nouns import Check, judged
from loadlab.gates.rules import Gate, RegressRule
from tests.unit.analysis.test_compare import observed

TTFT = parse("ttft_ms.p50")
GATE = Gate(regress=(RegressRule(TTFT),), base="main", target="new")


def checks(base: list[Any], candidate: list[Any], gate: Gate = GATE, **given: Any) -> dict[str, Check]:
    return {check.rule: check for check in relative.judge(gate, base, candidate, **given)}


def pairs(factor: float, count: int = 5) -> tuple[list[Any], list[Any]]:
    base = [observed(f"a{at}", seed=at) for at in range(count)]
    return base, [observed(f"b{at}", ttft=50.0 * factor, seed=100 + at) for at in range(count)]


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "PASS"), (1.15, "FAIL"), (0.8, "PASS")])
def test_pairs_of_known_difference(factor: float, outcome: str) -> None:
    found = checks(*pairs(factor))
    assert found[TTFT.name].outcome == outcome
    assert found["errors"].outcome == "PASS"
    assert found[TTFT.name].value == pytest.approx(factor, rel=0.02)


def test_in_between_says_how_many_pairs_it_takes() -> None:
    rng = np.random.default_rng(1)
    base = [observed(f"a{at}", ttft=50 * float(np.exp(rng.normal(0, 0.06))), seed=at) for at in range(4)]
    candidate = [observed(f"b{at}", ttft=50 * float(np.exp(rng.normal(0, 0.06))), seed=at) for at in range(4)]
    found = checks(base, candidate)[TTFT.name]
    assert found.outcome == "INCONCLUSIVE"
    assert "like these would settle it" in found.words or "too close to call" in found.words


def test_one_pair_is_no_evidence() -> None:
    found = checks(*pairs(1.0, 1))[TTFT.name]
    assert (found.outcome, found.words) == ("INCONCLUSIVE", "1 pair, at least 2 are needed")


def test_one_run_each_needs_the_scatter_of_earlier_ones() -> None:
    stored = replace(GATE, base=None, baseline="main")
    alone = checks(*pairs(1.2, 1), gate=stored)[TTFT.name]
    assert alone.outcome == "INCONCLUSIVE"
    assert "how much runs differ is unknown" in alone.words
    known = checks(*pairs(1.2, 1), gate=stored, earlier={TTFT.name: Spread(0.015, 10)})[TTFT.name]
    assert known.outcome == "FAIL"


def test_a_candidate_that_fails_fast_is_no_faster_one() -> None:
    base, candidate = pairs(0.5)
    broken = [
        replace(run, level=replace(run.level, requests={**run.level.requests, "failed": 30}))
        for run in candidate
    ]
    found = checks(base, broken)["errors"]
    assert (found.outcome, found.timeless) == ("FAIL", True)


def test_a_baseline_of_another_model_is_invalid() -> None:
    base, candidate = pairs(1.0, 2)
    spec = candidate[0].summary.spec
    other = replace(spec, endpoint=replace(spec.endpoint, model="big"))
    candidate = [replace(run, summary=replace(run.summary, spec=other)) for run in candidate]
    assert relative.invalid(GATE, base, candidate) == [
        "base and candidate are not comparable: model: tiny → big"
    ]
    assert relative.invalid(replace(GATE, vary=("model",)), base, candidate) == []


def test_a_number_that_is_none_on_one_side_decides_nothing() -> None:
    base, candidate = pairs(1.0, 3)
    level = candidate[0].level
    metrics = {**level.metrics, "ttft_ms": {**level.metrics["ttft_ms"], "p50": math.nan}}
    lost = replace(candidate[0], level=replace(level, metrics=metrics))
    found = checks(base, [lost, *candidate[1:]])[TTFT.name]
    assert (found.outcome, found.words) == ("INCONCLUSIVE", "not measured, or 0, in 1 of 6 runs")


def test_a_run_against_itself_is_invalid() -> None:
    run = observed()
    assert relative.invalid(GATE, [run], [run]) == ["run a is on both sides: it says nothing about itself"]


def test_an_invalid_run_cannot_fail_or_pass_a_gate_by_its_times() -> None:
    bad = Check("ttft", "regress", "FAIL", "slow")
    assert judged([bad], ["run b is INVALID: late"]).outcome == "INVALID"
    assert judged([replace(bad, timeless=True)], ["run b is INVALID: late"]).outcome == "FAIL"
    assert judged([replace(bad, outcome="INFO")], []).outcome == "PASS"
    outcomes = [replace(bad, outcome=outcome) for outcome in ("PASS", "INCONCLUSIVE")]
    assert judged(outcomes, []).exit_code == 4


def naive_holm(ps: list[float], alpha: float) -> list[bool]:
    """By adjusted p values, another way to say it."""
    order = sorted(ps)
    adjusted = {p: max((len(ps) - at) * q for at, q in enumerate(order[: order.index(p) + 1])) for p in ps}
    return [adjusted[p] <= alpha for p in ps]


def naive_bh(ps: list[float], share: float) -> list[bool]:
    order = sorted(ps)
    adjusted = {p: min(q * len(ps) / at for at, q in enumerate(order, 1) if q >= p) for p in ps}
    return [adjusted[p] <= share for p in ps]


def test_holm_and_bh_equal_their_other_definitions() -> None:
    rng = random.Random(4)
    for _ in range(1000):
        ps = [rng.random() ** rng.choice([1, 3]) for _ in range(rng.randint(1, 9))]
        assert holm(ps) == naive_holm(ps, 0.05)
        assert benjamini_hochberg(ps) == naive_bh(ps, 0.10)


def test_one_outlier_does_not_make_a_regression() -> None:
    logs = [0.0, 0.01, -0.01, 0.005, 0.0, 0.9]
    found = evidence.of_pairs(logs)
    assert found is not None
    assert abs(found.middle) < 0.02
    assert evidence.outcome(found, True, 0.03, 0.10, 0.05) == "INCONCLUSIVE"


PAPER = {
    (0.02, 1): [6.4, 5.9, 5.4, 5.1],
    (0.03, 3): [10.0, 8.8, 7.6, 6.9],
    (0.05, 3): [15.0, 12.9, 10.8, 9.6],
}


@pytest.mark.parametrize(("sd", "primaries"), PAPER)
def test_the_smallest_regression_found(sd: float, primaries: int) -> None:
    found = [round(100 * planning.smallest(n, sd, primaries, 0.03), 1) for n in (5, 6, 8, 10)]
    assert found == PAPER[sd, primaries]


def test_a_plan_finds_what_it_was_asked_for() -> None:
    pilot = planning.Pilot({"ttft_ms.p50": 0.012, "tpot_ms.p95": 0.02}, 1000, 50.0, 0.1)
    found = planning.plan(pilot, 0.10, {}, 0.03)
    assert found is not None
    assert max(found.finds.values()) <= 0.1005
    assert found.minutes < 20
    assert planning.plan(pilot, 0.04, {"ttft_ms.p50": 0.05}, 0.03) is None


@pytest.mark.parametrize("noise", simulation.NOISES)
def test_the_same_server_fails_rarely(noise: str) -> None:
    found = simulation.rates(noise, regression=0.0, trials=60, pairs=6, requests=300, seed=1)
    assert found["FAIL"] <= 0.05


def test_ten_percent_are_found_and_three_are_not() -> None:
    found = simulation.rates("iid", regression=0.10, trials=60, pairs=6, requests=1000, seed=2, regressed=1)
    assert found["FAIL"] >= 0.9
    assert simulation.rates("iid", regression=0.03, trials=60, pairs=6, requests=1000, seed=3)["FAIL"] <= 0.05
