"""Comparisons of known differences: verdicts, refusals, and what one run alone cannot say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadlab.analysis.compare import Spread, compare
from loadlab.analysis.measures import Observed, parse
from loadlab.analysis.summary import summarise
from loadlab.core.errors import UnknownNameError, UsageError
from tests.unit.analysis import handmade
from tests.unit.analysis.handmade import failure, request

TTFT = parse("ttft_ms.p50")


def observed(name: str = "a", ttft: float = 50.0, n: int = 400, seed: int = 1, **changes: Any) -> Observed:
    """A run of `n` requests one after the other, TTFT around `ttft`; `endpoint` and others change the run."""
    rng = np.random.default_rng(seed)
    tokens = changes.pop("tokens", 3)
    rows = [
        request(at * 200.0, ttft=ttft * float(np.exp(rng.normal(0, 0.1))), tokens=tokens) for at in range(n)
    ]
    frame = handmade.requests(*rows)
    stored = handmade.run(environment={"cpu": changes.pop("cpu", "epyc")})
    stored.id = name
    stored.spec = replace(stored.spec, **changes)
    summary = summarise(stored, handmade.levels(), frame, handmade.gaps(frame))
    return Observed(summary, summary.levels[0], frame, np.full(n, 10.0), stored.environment)


def one(a: list[Observed], b: list[Observed], **options: Any) -> Any:
    found = compare(a, b, [TTFT], **options)
    assert not found.refused
    return found.differences[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1.3, "worse"), (0.7, "better")])
def test_a_clear_difference_is_seen(factor: float, verdict: str) -> None:
    base = [observed(ttft=50.0, seed=seed) for seed in (1, 2, 3)]
    other = [observed("b", ttft=50.0 * factor, seed=seed) for seed in (4, 5, 6)]
    found = one(base, other)
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor, rel=0.03)
    assert found.low < factor < found.high
    assert found.why == ""


def test_the_same_is_the_same() -> None:
    runs = [observed(seed=seed) for seed in range(6)]
    assert one(runs[:3], runs[3:]).verdict == "same"


def test_one_run_each_is_marked() -> None:
    found = one([observed()], [observed("b", ttft=65.0, seed=2)])
    assert found.verdict == "worse"
    assert found.why == "one run each: how much runs differ from each other is not in the interval"


def test_earlier_runs_say_how_much_runs_differ() -> None:
    pair = [observed()], [observed("b", ttft=55.0, seed=2)]
    assert one(*pair).verdict == "worse"
    noisy = one(*pair, earlier={TTFT.name: Spread(0.10, 8)})
    assert noisy.verdict == "unclear"
    assert noisy.why == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scenario": "rag"}, "scenario: chat → rag"),
        ({"max_tokens": 7}, "max_tokens: None → 7"),
        ({"endpoint": replace(handmade.run().spec.endpoint, model="big")}, "model: tiny → big"),
        ({"cpu": "other"}, "client cpu: epyc → other"),
    ],
)
def test_what_was_asked_otherwise_is_not_compared(changes: dict[str, Any], words: str) -> None:
    found = compare([observed()], [observed("b", **changes)], [TTFT])
    assert found.refused == f"the runs are not comparable: {words}"
    assert found.differences == ()


def test_what_was_meant_to_differ_is_compared_and_said() -> None:
    big = observed("b", endpoint=replace(handmade.run().spec.endpoint, model="big"), seed=9)
    found = compare([observed()], [big], [TTFT], vary=["model"])
    assert not found.refused
    assert [each.words for each in found.environment] == ["model: tiny → big"]


def test_an_invalid_run_is_not_compared() -> None:
    frame = handmade.requests(*(failure(at * 200.0) for at in range(5)))
    summary = summarise(handmade.run(), handmade.levels(), frame, handmade.gaps(frame))
    broken = Observed(summary, summary.levels[0], frame, np.empty(0), {"cpu": "epyc"})
    assert "is INVALID: no request succeeded" in compare([observed()], [broken], [TTFT]).refused


def test_answers_of_other_lengths_have_no_comparable_end() -> None:
    pair = [observed()], [observed("b", tokens=6, seed=2)]
    ttft, e2e = compare(*pair, [TTFT, parse("e2e_ms.p50")]).differences
    assert ttft.verdict in ("same", "unclear")
    assert e2e.verdict == "not comparable"
    assert "answers of 3.00 and 6.00 tokens" in e2e.why


def test_three_requests_have_no_p99_to_compare() -> None:
    found = compare([observed(n=3)], [observed("b", n=3)], [parse("ttft_ms.p99")]).differences[0]
    assert found.verdict == "unclear"
    assert "3 independent values (3 measured), at least 368 are needed" in found.why


def test_a_measure_of_requests_needs_a_statistic() -> None:
    assert parse("ttft_ms.p(99.9)").name == "ttft_ms.p99.9"
    assert parse("itl_ms.med").name == "itl_ms.p50"
    with pytest.raises(UsageError, match=r"ttft_ms.p50 or"):
        parse("ttft_ms")
    with pytest.raises(UsageError, match="one number per level"):
        parse("error_rate.p50")
    with pytest.raises(UnknownNameError, match="did you mean 'ttft_ms'"):
        parse("ttft.p50")
    with pytest.raises(UnknownNameError, match="statistic 'p101'"):
        parse("ttft_ms.p101")
